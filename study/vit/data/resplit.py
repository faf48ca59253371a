"""Draws the splits of a data set anew, of the images that it has.

Only splits that this package takes from train are drawn: those that a data set gives (official ones, and files of own
data) are part of its definition. They may differ from train by design, as in other writers, and stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

from study.vit.data.arrays import SPLITS
from study.vit.data.dataset import Dataset, DatasetInfo, Split
from study.vit.data.splits import reordered, split_by_content

if TYPE_CHECKING:
    from torch import Tensor


def resplit(data: Dataset, shares: Mapping[str, Fraction], seed: int) -> Dataset:
    """A data set whose splits in `shares` are drawn anew from them and train; the digest is that of all its images.

    The rule is that of the fixed split (see `split_by_content`), with the order of the images within a class drawn by
    `seed`. It depends on the images as read, not on the size to which they are decoded. Raises ValueError for images
    without fingerprints.
    """
    import torch

    fixed = {"train": data.train, "validation": data.validation, "test": data.test}
    pool = _joined([fixed[split] for split in SPLITS if split == "train" or split in shares])
    if pool.prints is None:
        raise ValueError(f"data set {data.info.name!r} has no fingerprints, so its splits cannot be drawn anew")
    labels = None if pool.labels is None else pool.labels.tolist()
    chosen = split_by_content(reordered(_rows(pool.prints), seed), labels, shares)
    parts = fixed | {split: pool.take(torch.from_numpy(indices)) for split, indices in chosen.items()}
    return Dataset(_described(data.info, parts), **parts, digest=data.digest)


def _joined(parts: list[Split]) -> Split:
    import torch

    return Split(
        torch.cat([part.images for part in parts]), _cat([p.labels for p in parts]), _cat([p.prints for p in parts])
    )


def _cat(tensors: list[Tensor | None]) -> Tensor | None:
    import torch

    found = [tensor for tensor in tensors if tensor is not None]
    return torch.cat(found) if len(found) == len(tensors) else None


def _rows(prints_NB: Tensor) -> list[bytes]:
    return [row.tobytes() for row in prints_NB.numpy()]


def _described(info: DatasetInfo, parts: Mapping[str, Split]) -> DatasetInfo:
    """The description, with the counts of these splits where the fixed ones were counted."""
    counted = info.counts and {split: _per_class(part, info.classes) for split, part in parts.items()}
    in_train = info.in_train and {split: _also_in(parts["train"], parts[split]) for split in info.in_train}
    sizes = {split: len(part) for split, part in parts.items()}
    return replace(info, splits=sizes, counts=counted, in_train=in_train)


def _per_class(part: Split, classes: int | None) -> list[int]:
    if part.labels is None or classes is None:
        return [len(part)]
    return [int(count) for count in part.labels.bincount(minlength=classes)]


def _also_in(train: Split, part: Split) -> int:
    """How many images of another split are also in train, byte for byte."""
    known = set(_rows(train.prints)) if train.prints is not None else set()
    return sum(image in known for image in _rows(part.prints)) if part.prints is not None else 0
