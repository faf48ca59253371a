"""The base classes of augmentations. A new augmentation extends `Pixels`, `Light`, `Geometry` or `Mixing`.

Shapes: B images, C channels, H height, W width, U uniform random numbers per image, K classes.
Pixel values go from 0 (black) to 1.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


class Augmentation(ABC):
    """One random change to training images. Methods import torch themselves: the settings are built without it."""

    setting: ClassVar[Any]  # type of the setting, with its bounds
    neutral: ClassVar[float] = 0.0  # default of the setting, at which nothing changes
    description: ClassVar[str]  # of the setting


class ImageAugmentation(Augmentation):
    """Changes each image by itself, before normalization."""

    kind: ClassVar[str]  # neighbouring entries of one kind are applied as a group
    draws: ClassVar[int]  # U, random numbers per image


class Pixels(ImageAugmentation):
    """Changes pixels, and keeps them within 0 to 1."""

    kind = "pixels"

    @abstractmethod
    def apply(self, images_BCHW: Tensor, strength: float, u_BU: Tensor) -> Tensor:
        """The changed images; `u_BU` is uniform in [0, 1)."""


class Light(Pixels):
    """Changes pixels, also beyond 0 to 1: they are clamped once after the group."""

    kind = "light"


class Geometry(ImageAugmentation):
    """Moves pixels by an affine map. A group shares one bilinear resampling."""

    kind = "geometry"

    @abstractmethod
    def maps(self, strength: float, u_BU: Tensor) -> Tensor:
        """(B, 3, 3): from where a pixel lands to where it is read, in homogeneous coordinates from -1 to 1."""


class Mixing(Augmentation):
    """Mixes normalized images of a batch and their targets; needs labels."""

    @abstractmethod
    def draw(self, strength: float, images: int, rng: np.random.Generator) -> Tensor:
        """The random numbers of an epoch; the first dimension is `images`."""

    @abstractmethod
    def apply(self, images_BCHW: Tensor, targets_BK: Tensor, drawn_B: Tensor) -> tuple[Tensor, Tensor]:
        """The mixed images and targets."""


def signed(u_B: Tensor) -> Tensor:
    """Uniform numbers in [0, 1) as uniform numbers in [-1, 1)."""
    return 2 * u_B - 1


def per_image(values_B: Tensor) -> Tensor:
    """(B,) as (B, 1, 1, 1), which broadcasts over images."""
    return values_B.view(-1, 1, 1, 1)


def affine(xx_B: Tensor, xy_B: Tensor, x_B: Tensor, yx_B: Tensor, yy_B: Tensor, y_B: Tensor) -> Tensor:
    """(B, 3, 3) maps with the rows (xx, xy, x), (yx, yy, y) and (0, 0, 1)."""
    import torch

    zero_B, one_B = torch.zeros_like(x_B), torch.ones_like(x_B)
    return torch.stack([xx_B, xy_B, x_B, yx_B, yy_B, y_B, zero_B, zero_B, one_B], dim=1).view(-1, 3, 3)
