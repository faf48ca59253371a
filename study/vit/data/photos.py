"""Crops of scikit-learn's two sample photographs: natural images without labels, for pre-training without a network.

Crops of four scales are taken on a grid over each photograph and averaged down to 32 x 32; crops of plain sky or
blurred background are left out. The bottom rows of each photograph are the validation region, which training crops do
not overlap.
"""

from importlib.metadata import version

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from study.vit.data.arrays import Decoded, Part, Pixels
from study.vit.data.dataset import DatasetInfo
from study.vit.data.images import fit
from study.vit.data.source import Source

SIDE = 32  # of a stored crop, in pixels
SCALES = (1, 2, 3, 4)  # a crop covers SCALE * SIDE pixels of the photograph each way
VALIDATION_HEIGHT = 128  # of the photograph's 427 pixels: room for a crop of the largest scale
STRIDES = {"train": 12, "validation": 24}  # pixels of the photograph between neighbouring crops
CONTRAST = 7.3
"""Minimum standard deviation of a crop's grey values. No crop is within 0.015 of it, so that JPEG decoders that round
differently select the same crops."""


class Photos(Source):
    """Two photographs of 427 x 640 pixels without labels, for pre-training only; the test split is empty."""

    def describe(self) -> DatasetInfo:
        return DatasetInfo(
            name=self.name,
            image_size=SIDE,
            channels=3,
            classes=None,
            splits={"train": 4965, "validation": 454, "test": 0},
            description="crops of two photographs, 32 x 32 colour, no labels: for pre-training only",
            source="scikit-learn's load_sample_images: photographs by danielbuechele and vultilion on Flickr",
            licence="CC BY 2.0",
            origins={"validation": "the bottom of each photograph"},
        )

    def fingerprint(self) -> str:
        return f"1, scikit-learn {version('scikit-learn')}"

    def read(self, size: int) -> Decoded:
        from sklearn.datasets import load_sample_image  # type: ignore[import-untyped]

        photos = [load_sample_image(file) for file in ("china.jpg", "flower.jpg")]
        regions = {
            "train": [photo[:-VALIDATION_HEIGHT] for photo in photos],
            "validation": [photo[-VALIDATION_HEIGHT:] for photo in photos],
            "test": [],
        }
        none = np.empty((0, 3, SIDE, SIDE), np.uint8)
        parts = {
            split: np.concatenate([none, *(crops(region, STRIDES[split]) for region in found)])
            for split, found in regions.items()
        }
        return Decoded(self.describe(), {split: Part(fit(images, size), None) for split, images in parts.items()})


def crops(region_HWC: Pixels, stride: int) -> Pixels:
    """The crops of a region with enough contrast, at all scales, averaged down; shape (N, 3, SIDE, SIDE)."""
    found_NCHW = np.concatenate([windows(region_HWC, scale, stride) for scale in SCALES])
    shown_N: NDArray[np.bool_] = found_NCHW.mean(1).std((1, 2)) >= CONTRAST
    return found_NCHW[shown_N]


def windows(region_HWC: Pixels, scale: int, stride: int) -> Pixels:
    """All crops of one scale, row by row. A pixel is the mean of a square of `scale` x `scale` pixels of the region,
    rounded to the nearest, halves up; shape (N, 3, SIDE, SIDE)."""
    span = scale * SIDE
    crops_YXCHW = sliding_window_view(region_HWC, (span, span), axis=(0, 1))[::stride, ::stride]
    sums_YXCHW = np.zeros((*crops_YXCHW.shape[:3], SIDE, SIDE), np.int32)
    for down in range(scale):
        for across in range(scale):
            sums_YXCHW += crops_YXCHW[..., down::scale, across::scale]
    area = scale * scale
    return ((sums_YXCHW + area // 2) // area).astype(np.uint8).reshape(-1, 3, SIDE, SIDE)
