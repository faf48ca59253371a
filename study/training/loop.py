"""The epoch loop that both stages share, and what a stage hands back."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from time import perf_counter

import torch
from torch import Tensor, nn

from study import config
from study.errors import StudyError
from study.training.device import precise
from study.training.metrics import Means
from study.training.optim import FlatAdamW, learning_rates
from study.training.seeds import seed_global

OnEpoch = Callable[[dict[str, float]], None]


class Diverged(StudyError):  # noqa: N818 (an outcome with a name of its own, as in the report)
    """Training left the finite numbers."""


@dataclass(frozen=True)
class Trained:
    """What a stage hands back; all of it on the host."""

    weights: dict[str, Tensor]  # of the encoder (pre-training) or of the whole classifier (fine-tuning)
    metrics: dict[str, float]
    history: list[dict[str, float]]  # one record per epoch
    expert_load: list[list[float]]  # of each encoder block: the share of validation tokens that each expert receives
    normalization: dict[str, list[float]]  # `mean` and `std` of each channel, by which the encoder's images were made


@dataclass(frozen=True)
class Task:
    """What a stage brings to the loop."""

    name: str  # of the stage, for messages
    module: nn.Module  # in training mode while an epoch trains, in evaluation mode otherwise
    optimizer: FlatAdamW
    steps: int  # of an epoch
    batches: Callable[[int], Iterator[tuple[Tensor, ...]]]  # of an epoch, counted from 1; images come first
    losses: Callable[..., dict[str, Tensor]]  # of a batch: `objective`, which is minimised, and scalars to record
    evaluate: Callable[[], dict[str, float]]  # on validation data


@dataclass(frozen=True)
class Fitted:
    """The course of a training."""

    history: list[dict[str, float]]
    images_per_second: float  # while training, validation left out

    @property
    def metrics(self) -> dict[str, float]:
        """`train_seconds`, the wall time of all epochs with their validation, and `images_per_second` without it."""
        seconds = sum(record["seconds"] for record in self.history)
        return {"train_seconds": seconds, "images_per_second": self.images_per_second}


def fit(task: Task, recipe: config.Recipe, seed: int, device: torch.device, on_epoch: OnEpoch) -> Fitted:
    """Train for `recipe.epochs`. After each epoch `on_epoch` receives its record: `epoch`, `train_*` (means of what
    `losses` gives, over the epoch), `learning_rate` (of its last step), what `evaluate` gives, and `seconds`.

    Changes the global random state: call it inside `own_random_state`. Raises Diverged after the first epoch with a
    number that is not finite.
    """
    rates = learning_rates(recipe.learning_rate, recipe.epochs * task.steps, round(recipe.warmup_epochs * task.steps))
    history: list[dict[str, float]] = []
    images, seconds = 0, 0.0
    for epoch in range(1, recipe.epochs + 1):
        began = perf_counter()
        seed_global(device, seed, "router noise", epoch)
        epoch_rates = rates[(epoch - 1) * task.steps : epoch * task.steps]
        means = _train(task, recipe, device, task.batches(epoch), epoch_rates)
        record = {"epoch": float(epoch)} | means.values("train_") | {"learning_rate": epoch_rates[-1]}
        images, seconds = images + means.images, seconds + perf_counter() - began
        task.module.eval()
        record |= task.evaluate() | {"seconds": perf_counter() - began}
        _check_finite(task.name, record, history)
        history.append(record)
        on_epoch(dict(record))
    return Fitted(history, images / seconds)


def _train(
    task: Task,
    recipe: config.Recipe,
    device: torch.device,
    batches: Iterator[tuple[Tensor, ...]],
    rates: list[float],
) -> Means:
    """One epoch. The host runs ahead of the device: nothing here waits for a result."""
    task.module.train()
    means = Means()
    for batch, rate in zip(batches, rates, strict=True):
        with precise(recipe, device):
            losses = task.losses(*batch)
        task.optimizer.descend(losses.pop("objective"), rate)
        means.add(len(batch[0]), losses)
    return means


def _check_finite(stage: str, record: dict[str, float], history: list[dict[str, float]]) -> None:
    lost = [name for name, value in record.items() if not math.isfinite(value)]
    if not lost:
        return
    last = ", ".join(f"{name} {value:.4g}" for name, value in history[-1].items()) if history else "none"
    raise Diverged(
        f"{stage} diverged in epoch {record['epoch']:.0f}: {', '.join(lost)} not finite; last finite values: {last}; "
        f"try a lower learning_rate, more warmup_epochs, or a clip_norm above 0"
    )


def on_host(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies of a state dict's tensors in the CPU's memory, each with a storage of its own."""
    return {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in weights.items()}
