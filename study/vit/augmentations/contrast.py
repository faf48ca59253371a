"""Changes of contrast: the distance of all pixels from the image's mean times one factor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from study.utils.frozen_model import Share
from study.vit.augmentations.base import Light, per_image, signed

if TYPE_CHECKING:
    from torch import Tensor


class Contrast(Light):
    setting = Share
    description = "largest change of contrast: factors from 1-c to 1+c"
    draws = 1

    def apply(self, images_BCHW: Tensor, strength: float, u_BU: Tensor) -> Tensor:
        mean_B111 = images_BCHW.mean(dim=(1, 2, 3), keepdim=True)
        return mean_B111 + (images_BCHW - mean_B111) * per_image(1 + signed(u_BU[:, 0]) * strength)
