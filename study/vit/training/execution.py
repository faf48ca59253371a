"""How a training is executed, without an effect on its result: resume, snapshots, micro-batches."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Snapshot:
    """The state of a training between two epochs, sufficient to resume it bit for bit.

    Randomness derives from (seed, epoch), so no RNG state is saved (see seeds.py).
    """

    tensors: dict[str, Tensor]  # weights, optimizer state, best weights so far; on the host
    progress: dict[str, Any]  # plain JSON: history, images, seconds of training, micro-batch


def keep_nothing(take: Callable[[], Snapshot]) -> None:
    """No snapshots."""


@dataclass(frozen=True)
class Execution:
    """How one training is executed.

    `start` is the snapshot to resume from, None to start from the beginning. `keep` is called after every epoch but the
    last with a function that takes a snapshot, which it may call or not. `micro_batch` is the number of images per
    forward and backward pass, None for whole batches. With micro-batches, gradients are accumulated, each weighted by
    its share of the images. The mean loss is the same up to rounding; balance losses and router noise are computed per
    micro-batch.
    """

    start: Snapshot | None = None
    keep: Callable[[Callable[[], Snapshot]], None] = keep_nothing
    micro_batch: int | None = None


WHOLE = Execution()
"""From the beginning, in whole batches, without snapshots."""
