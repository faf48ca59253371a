"""How a training is carried out, where that does not change what it computes: where it goes on from, what it leaves
for going on later, and how many images it takes at a time."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Snapshot:
    """A training between two epochs: all that it needs to go on from there, bit for bit.

    No state of a random generator is in it: every epoch starts streams of its own (see seeds.py).
    """

    tensors: dict[str, Tensor]  # weights, the optimiser's moments, the best weights so far; on the host
    course: dict[str, Any]  # plain JSON: history, images seen, seconds spent on them, micro-batch


def keep_nothing(take: Callable[[], Snapshot]) -> None:
    """For trainings that need not be continued."""


@dataclass(frozen=True)
class Execution:
    """How one training is carried out.

    `start` is where it goes on from, None at the beginning. `keep` is called after every epoch but the last, with a
    function that takes a snapshot; it may call it or not. `micro_batch` is the number of images whose activations are
    held at a time, None for whole batches: gradients are then summed over the parts of a batch, each with its share of
    the images, before the step. The mean loss is the same to rounding; balance losses are those of the parts, and
    router noise is drawn part by part.
    """

    start: Snapshot | None = None
    keep: Callable[[Callable[[], Snapshot]], None] = keep_nothing
    micro_batch: int | None = None


WHOLE = Execution()
"""From the beginning to the end in whole batches."""
