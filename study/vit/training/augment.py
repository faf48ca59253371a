"""Applies the augmentations that a recipe switches on to batches of training images.

Shapes: B images, C channels, H height, W width, U uniform random numbers per image, K classes.
Pixel values go from 0 (black) to 1.
"""

from collections.abc import Mapping
from functools import reduce
from itertools import groupby
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from study.vit import augmentations, settings
from study.vit.augmentations import ImageAugmentation
from study.vit.training.seeds import generator


class Draws:
    """The uniform random numbers of an epoch, for images in the order in which they are shown.

    All are drawn, whatever is switched on, so that switching one augmentation on leaves the others as they were.
    """

    def __init__(self, device: torch.device, seed: int, epoch: int) -> None:
        self._device = device
        draws = {name: entry.draws for name, entry in augmentations.items() if isinstance(entry, ImageAugmentation)}
        shared = {name: count for name, count in draws.items() if name in augmentations.SHARED_STREAM}
        self._streams = [(shared, generator(device, seed, "augmentation", epoch))] + [
            ({name: count}, generator(device, seed, "augmentation", epoch, name))
            for name, count in draws.items()
            if name not in shared
        ]

    def next(self, images: int) -> dict[str, Tensor]:
        """(images, U) numbers in [0, 1) by augmentation, for the next so many images."""
        drawn: dict[str, Tensor] = {}
        for counts, stream in self._streams:
            u_BU = torch.rand(images, sum(counts.values()), generator=stream, device=self._device)
            drawn |= zip(counts, torch.split(u_BU, list(counts.values()), dim=1), strict=True)
        return drawn


def augment(images_BCHW: Tensor, strengths: settings.Augment, drawn: Mapping[str, Tensor]) -> Tensor:
    """Images changed by the augmentations that are on; the same tensor if all are off.

    However many geometric augmentations are on, images are resampled once, so that they are blurred once.
    """
    steps = [(entry, strength, drawn[name]) for name, entry, strength in active(strengths, ImageAugmentation)]
    for kind, group in groupby(steps, key=lambda step: step[0].kind):
        if kind == "geometry":
            images_BCHW = _resample(images_BCHW, [entry.maps(strength, u_BU) for entry, strength, u_BU in group])
            continue
        for entry, strength, u_BU in group:
            images_BCHW = entry.apply(images_BCHW, strength, u_BU)
        if kind == "light":
            images_BCHW = images_BCHW.clamp(0, 1)
    return images_BCHW


def _resample(images_BCHW: Tensor, maps: list[Tensor]) -> Tensor:
    """One bilinear resampling through all maps, each (B, 3, 3); the last map is applied to the image first."""
    maps_B23 = reduce(torch.matmul, maps)[:, :2].contiguous()
    grid_BHW2 = F.affine_grid(maps_B23, list(images_BCHW.shape), align_corners=False)
    return F.grid_sample(images_BCHW, grid_BHW2, mode="bilinear", padding_mode="zeros", align_corners=False)


def active(strengths: settings.Augment, kind: type) -> list[tuple[str, Any, Any]]:
    """Name, augmentation and strength of the augmentations of one kind that are on, in the order of the table."""
    return [
        (name, entry, getattr(strengths, name))
        for name, entry in augmentations.items()
        if isinstance(entry, kind) and getattr(strengths, name) != entry.neutral
    ]
