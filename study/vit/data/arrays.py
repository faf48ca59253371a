"""Decoded images in memory, before they become tensors on a device.

Shapes: N images, C channels, H height, W width.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from study.vit.data.dataset import DatasetInfo

Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]
LEVELS = 16
PRINT = 32  # bytes of a fingerprint
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Part:
    """One split."""

    images: Pixels  # (N, C, H, W)
    labels: Labels | None  # (N,)
    prints: Pixels | None = None  # (N, 32) fingerprints of the images as read; None if no split is by content


@dataclass(frozen=True)
class Decoded:
    """A whole data set as read from its source: its description and one part per split."""

    info: DatasetInfo
    parts: dict[str, Part]  # train, validation, test


def uniform(images_NCHW: Pixels) -> int:
    """Images of nearly one colour: less than LEVELS of 255 between the darkest and brightest pixel of each channel."""
    if not len(images_NCHW):
        return 0
    range_NC = images_NCHW.max((2, 3)).astype(np.int16) - images_NCHW.min((2, 3))
    return int((range_NC.max(1) < LEVELS).sum())


def rows_of(prints: Sequence[bytes]) -> Pixels:
    """Fingerprints as an array, one row each."""
    return np.frombuffer(bytearray(b"".join(prints)), np.uint8).reshape(len(prints), PRINT)


def select(
    images_NCHW: Pixels, labels_N: Labels | None, indices: dict[str, NDArray[np.intp]], prints: Sequence[bytes]
) -> dict[str, Part]:
    """One part per split, with the images at its `indices`; a split without indices is empty."""
    none, prints_NB = np.empty(0, np.intp), rows_of(prints)
    return {
        split: Part(images_NCHW[chosen], None if labels_N is None else labels_N[chosen], prints_NB[chosen])
        for split in SPLITS
        for chosen in [indices.get(split, none)]
    }
