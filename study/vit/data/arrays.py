"""Decoded images in memory, before they become tensors on a device.

Shapes: N images, C channels, H height, W width.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from study.vit.data.dataset import DatasetInfo

Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]
LEVELS = 16
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Part:
    """One split."""

    images: Pixels  # (N, C, H, W)
    labels: Labels | None  # (N,)


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


def select(images_NCHW: Pixels, labels_N: Labels | None, indices: dict[str, NDArray[np.intp]]) -> dict[str, Part]:
    """One part per split, with the images at its `indices`; a split without indices is empty."""
    none = np.empty(0, np.intp)
    return {
        split: Part(images_NCHW[chosen], None if labels_N is None else labels_N[chosen])
        for split in SPLITS
        for chosen in [indices.get(split, none)]
    }
