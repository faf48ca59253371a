"""The epoch loop of both stages, and the result of a stage."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from time import perf_counter
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from study.utils.errors import StudyError
from study.vit import settings
from study.vit.training.device import precise
from study.vit.training.execution import WHOLE, Execution, Snapshot
from study.vit.training.flat_optimizer import FlatOptimizer
from study.vit.training.learning_rate import learning_rates
from study.vit.training.metrics import Means
from study.vit.training.predictions import Predictions
from study.vit.training.seeds import seed_global
from study.vit.training.snapshots import check_tensors

OnEpoch = Callable[[dict[str, float]], None]


class Diverged(StudyError):  # noqa: N818 (an outcome, named as in the report)
    """A loss or metric became NaN or inf. It does so again with the same code, data and machine."""

    data: str = ""  # digest of the data set, see `study.vit.runner.load_data`


@dataclass(frozen=True)
class Trained:
    """The result of a stage; all on the host."""

    weights: dict[str, Tensor]  # of the encoder (pre-training) or of the whole classifier (fine-tuning)
    metrics: dict[str, float]
    history: list[dict[str, float]]  # one record per epoch
    expert_load: list[list[float]]  # for each encoder block: the share of validation tokens per expert
    normalization: dict[str, list[float]]  # `mean` and `std` of each channel of the encoder's input
    data: dict[str, Any] = field(default_factory=dict)  # see `Dataset.facts`
    predictions: Predictions | None = None  # of the test images, after fine-tuning


class Best(Protocol):
    """The best weights so far, kept while training continues."""

    weights: dict[str, Tensor]

    def current(self) -> dict[str, Tensor]:
        """The weights that would be kept now."""

    def resume(self, weights: dict[str, Tensor], history: list[dict[str, float]]) -> None:
        """Restore the weights that were kept after these epochs."""


@dataclass(frozen=True)
class Task:
    """What a stage defines for the loop."""

    name: str  # of the stage, for messages
    module: nn.Module  # in training mode while an epoch trains, in evaluation mode otherwise
    optimizer: FlatOptimizer
    steps: int  # of an epoch
    batches: Callable[[int], Iterator[tuple[Tensor, ...]]]  # of an epoch, counted from 1; images come first
    losses: Callable[..., dict[str, Tensor]]  # of a batch: `objective`, which is minimized, and scalars to record
    evaluate: Callable[[], dict[str, float]]  # on validation data
    best: Best | None = None


@dataclass
class Fitted:
    """The progress of a training."""

    history: list[dict[str, float]] = field(default_factory=list)
    images: int = 0
    seconds: float = 0.0  # of training, without validation

    @property
    def metrics(self) -> dict[str, float]:
        """`train_seconds`, the wall time of all epochs with their validation, and `images_per_second` without it."""
        seconds = sum(record["seconds"] for record in self.history)
        return {"train_seconds": seconds, "images_per_second": self.images / self.seconds}


def fit(
    task: Task,
    recipe: settings.Recipe,
    seed: int,
    device: torch.device,
    on_epoch: OnEpoch,
    execution: Execution = WHOLE,
) -> Fitted:
    """Train for `recipe.epochs`. After each epoch `on_epoch` receives its record: `epoch`, `train_*` (means of
    `losses` over the epoch), `learning_rate` (of the last step), the metrics of `evaluate`, and `seconds`.

    After a resume the history contains the earlier epochs; `on_epoch` receives the later ones only. Changes the global
    random state: call it inside `own_random_state`. Raises Diverged after the first epoch with a NaN or inf, and
    InvalidSnapshot, before anything is changed, if `execution.start` does not fit the task.
    """
    rates = learning_rates(recipe.learning_rate, recipe.epochs * task.steps, round(recipe.warmup_epochs * task.steps))
    fitted = _resumed(task, execution.start) if execution.start else Fitted()
    for epoch in range(len(fitted.history) + 1, recipe.epochs + 1):
        began = perf_counter()
        seed_global(device, seed, "router noise", epoch)
        epoch_rates = rates[(epoch - 1) * task.steps : epoch * task.steps]
        means = _train(task, recipe, device, task.batches(epoch), epoch_rates, execution.micro_batch)
        record = {"epoch": float(epoch)} | means.values("train_") | {"learning_rate": epoch_rates[-1]}
        fitted.images, fitted.seconds = fitted.images + means.images, fitted.seconds + perf_counter() - began
        task.module.eval()
        record |= task.evaluate() | {"seconds": perf_counter() - began}
        _check_finite(task.name, record, fitted.history)
        fitted.history.append(record)
        on_epoch(dict(record))
        if epoch < recipe.epochs:
            execution.keep(lambda: _snapshot(task, fitted, execution.micro_batch))
    return fitted


def _train(
    task: Task,
    recipe: settings.Recipe,
    device: torch.device,
    batches: Iterator[tuple[Tensor, ...]],
    rates: list[float],
    micro_batch: int | None,
) -> Means:
    """One epoch. Nothing here waits for a result of the device, so the host runs ahead."""
    task.module.train()
    means = Means()

    def objective(part: tuple[Tensor, ...]) -> Tensor:
        with precise(recipe, device):
            losses = task.losses(*part)
        minimized = losses.pop("objective")
        means.add(len(part[0]), losses)
        return minimized

    for batch, rate in zip(batches, rates, strict=True):
        images = len(batch[0])
        if micro_batch is None or micro_batch >= images:
            task.optimizer.descend(objective(batch), rate)
        else:
            parts = zip(*(torch.split(tensor, micro_batch) for tensor in batch), strict=True)
            task.optimizer.descend_in_parts((objective(part) * (len(part[0]) / images) for part in parts), rate)
    return means


Tensors = Mapping[str, Tensor]
MODEL, OPTIMIZER, BEST = "model/", "optimizer/", "best/"


def _snapshot(task: Task, fitted: Fitted, micro_batch: int | None) -> Snapshot:
    best = task.best.weights if task.best else {}
    tensors = _tensors(task.module.state_dict(), task.optimizer.state(), best)
    return Snapshot(on_host(tensors), {**asdict(fitted), "micro_batch": micro_batch})


def _tensors(model: Tensors, optimizer: Tensors, best: Tensors) -> dict[str, Tensor]:
    """Those of a snapshot."""
    kinds = {MODEL: model, OPTIMIZER: optimizer, BEST: best}
    return {kind + name: tensor for kind, named in kinds.items() for name, tensor in named.items()}


def _resumed(task: Task, start: Snapshot) -> Fitted:
    """Restore a task from a snapshot; returns its progress. Raises InvalidSnapshot if it does not fit the task."""
    best = task.best.current() if task.best else {}
    check_tensors(start.tensors, _tensors(task.module.state_dict(), task.optimizer.state_after_a_step(), best))
    fitted = Fitted(list(start.progress["history"]), start.progress["images"], start.progress["seconds"])
    task.module.load_state_dict(_named(MODEL, start))
    task.optimizer.restore(_named(OPTIMIZER, start))
    if task.best is not None:
        task.best.resume(_named(BEST, start), fitted.history)
    return fitted


def _named(kind: str, snapshot: Snapshot) -> dict[str, Tensor]:
    return {name.removeprefix(kind): tensor for name, tensor in snapshot.tensors.items() if name.startswith(kind)}


def _check_finite(stage: str, record: dict[str, float], history: list[dict[str, float]]) -> None:
    invalid = [name for name, value in record.items() if not math.isfinite(value)]
    if not invalid:
        return
    last = ", ".join(f"{name} {value:.4g}" for name, value in history[-1].items()) if history else "none"
    raise Diverged(
        f"{stage} diverged in epoch {record['epoch']:.0f}: {', '.join(invalid)} became NaN or inf; "
        f"last finite values: {last}; try a lower learning_rate, more warmup_epochs, or a clip_norm above 0"
    )


def on_host(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies of a state dict's tensors in CPU memory, each with its own storage."""
    return {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in weights.items()}
