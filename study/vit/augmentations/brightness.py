"""Changes of brightness: all pixels of an image times one factor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from study.utils.frozen_model import Share
from study.vit.augmentations.base import Light, per_image, signed

if TYPE_CHECKING:
    from torch import Tensor


class Brightness(Light):
    setting = Share
    description = "largest change of brightness: factors from 1-b to 1+b"
    draws = 1

    def apply(self, images_BCHW: Tensor, strength: float, u_BU: Tensor) -> Tensor:
        return images_BCHW * per_image(1 + signed(u_BU[:, 0]) * strength)
