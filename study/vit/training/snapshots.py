"""Whether a snapshot fits the training that is to resume from it."""

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from study.utils.errors import StudyError

RECORDED = ("epoch", "learning_rate", "seconds")  # in each record of the history, besides losses and metrics
PROGRESS = {"history", "images", "seconds", "micro_batch"}


class InvalidSnapshot(StudyError):  # noqa: N818 (an outcome, as Diverged)
    """A snapshot of another training, or a damaged one."""


def check_progress(progress: Any, epochs: int) -> None:
    """Raise InvalidSnapshot if this is not the progress of a training of `epochs` that has begun and not ended."""
    if not isinstance(progress, dict) or progress.keys() != PROGRESS:
        raise InvalidSnapshot("its progress is incomplete")
    history, micro_batch = progress["history"], progress["micro_batch"]
    whole = isinstance(history, list) and all(map(_is_record, history))
    if not whole or [record["epoch"] for record in history] != [*range(1, len(history) + 1)]:
        raise InvalidSnapshot("its history is not that of the first epochs")
    if not 0 < len(history) < epochs or len({frozenset(record) for record in history}) > 1:
        raise InvalidSnapshot(
            f"its history has {len(history)} of {epochs} epochs, "  # never one alone: the number follows `of`
            "or other metrics in some of them"
        )
    numbers = [progress["images"], progress["seconds"], *([] if micro_batch is None else [micro_batch])]
    if not all(_is_number(value) and value > 0 for value in numbers) or isinstance(micro_batch, float):
        raise InvalidSnapshot("its numbers of images or seconds are invalid")


def check_tensors(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Raise InvalidSnapshot if names, shapes or types differ from those of the expected tensors."""
    if different := found.keys() ^ expected.keys():
        name = min(different)
        raise InvalidSnapshot(f"it {'lacks' if name in expected else 'has an unknown'} {name}")
    for name, tensor in expected.items():
        have, want = ((part.dtype, tuple(part.shape)) for part in (found[name], tensor))
        if have != want:
            raise InvalidSnapshot(f"{name} is {have[0]} of the shape {have[1]}, not {want[0]} of the shape {want[1]}")


def _is_record(record: Any) -> bool:
    return isinstance(record, dict) and set(RECORDED) <= record.keys() and all(map(_is_number, record.values()))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
