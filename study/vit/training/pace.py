"""Time and memory of a stage, measured on a few of its steps.

A whole epoch may take minutes, so a part of the training and validation images is measured and scaled up.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from time import perf_counter

import torch

from study.vit import settings
from study.vit.data import Split
from study.vit.models import Classifier, MaskedAutoencoder, build_encoder
from study.vit.training.batches import EVALUATED_AT_ONCE, Prepared, equal_batches, prepare
from study.vit.training.device import chosen, precise
from study.vit.training.finetune import classifier_task
from study.vit.training.loop import Task
from study.vit.training.pretrain import autoencoder_task
from study.vit.training.seeds import own_random_state, seed_global
from study.vit.training.supervision import labels_of

WARM_UP = 2  # steps that are not timed: the first ones allocate memory and select kernels
MOST_STEPS = 50


@dataclass(frozen=True)
class Pace:
    """Time and memory of a stage on one device."""

    setup_seconds: float  # before the first step: a linear probe encodes its images
    epoch_seconds: float  # training and validation
    final_seconds: float  # the last evaluation, on validation and test images
    peak_bytes: int | None  # of the process (CPU) or of the GPU's memory; None if the system does not report it

    def seconds(self, epochs: int) -> float:
        """Of a whole stage."""
        return self.setup_seconds + epochs * self.epoch_seconds + self.final_seconds


def measure(
    encoder: settings.Encoder, recipe: settings.Pretrain | settings.Finetune, device: str, budget: float = 2.0
) -> Pace:
    """Train for about `budget` seconds, at least one step, from random weights. Keeps the caller's random state.

    Without torch.compile, because compiling would take longer than the measurement. Raises StudyError as training does.
    """
    place = chosen(device)
    data = prepare(recipe, encoder, place)
    steps, size = equal_batches(len(data.train), recipe.batch_size)
    part = _part(data, size * min(steps, MOST_STEPS))
    _reset_peak(place)
    with own_random_state(place):
        seed_global(place, 0, "parameters")
        began = perf_counter()
        task = _task(encoder, recipe.model_copy(update={"compile": "off"}), part, place)
        setup = perf_counter() - began
        step = _step_seconds(task, recipe, place, budget)
        validation = _validation_seconds(task, place)
    share = len(data.validation) / len(part.validation)
    encoded = len(data.train) / len(part.train) if _is_probe(recipe) else 1.0
    evaluated = validation * share * (1 + len(data.dataset.test) / max(1, len(data.validation)))
    return Pace(setup * encoded, steps * step + validation * share, evaluated, _peak(place))


def _part(data: Prepared, images: int) -> Prepared:
    return replace(data, train=_first(data.train, images), validation=_first(data.validation, EVALUATED_AT_ONCE))


def _first(split: Split, images: int) -> Split:
    return Split(split.images[:images], None if split.labels is None else split.labels[:images])


def _task(
    encoder: settings.Encoder, recipe: settings.Pretrain | settings.Finetune, data: Prepared, device: torch.device
) -> Task:
    if isinstance(recipe, settings.Pretrain):
        autoencoder = MaskedAutoencoder(build_encoder(encoder), recipe).to(device)
        return autoencoder_task(autoencoder, recipe, data, encoder.num_patches, 0, device)
    classes = data.dataset.info.classes or int(labels_of(data.train).max()) + 1
    classifier = Classifier(build_encoder(encoder), classes).to(device)
    return classifier_task(classifier, recipe, data, 0, device)


def _is_probe(recipe: settings.Recipe) -> bool:
    return isinstance(recipe, settings.Finetune) and recipe.mode == "probe"


def _step_seconds(task: Task, recipe: settings.Recipe, device: torch.device, budget: float) -> float:
    """Mean seconds of a step; repeats epochs until the budget is used up."""
    task.module.train()
    batches = (batch for epoch in count(1) for batch in task.batches(epoch))
    _descend(task, recipe, batches, WARM_UP)
    _wait(device)
    began, steps = perf_counter(), 0
    while not steps or (perf_counter() - began < budget and steps < MOST_STEPS):
        _descend(task, recipe, batches, 1)
        _wait(device)
        steps += 1
    return (perf_counter() - began) / steps


def _descend(task: Task, recipe: settings.Recipe, batches: Iterator[tuple[torch.Tensor, ...]], steps: int) -> None:
    for _ in range(steps):
        batch = next(batches)
        with precise(recipe, batch[0].device):
            losses = task.losses(*batch)
        task.optimizer.descend(losses["objective"], recipe.learning_rate)


def _validation_seconds(task: Task, device: torch.device) -> float:
    task.module.eval()
    began = perf_counter()
    task.evaluate()
    _wait(device)
    return perf_counter() - began


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _reset_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    else:
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")  # Linux: resets the peak of the process


def _peak(device: torch.device) -> int | None:
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device)
    with contextlib.suppress(OSError):
        lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) * 1024
    return None
