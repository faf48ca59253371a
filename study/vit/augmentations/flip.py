"""Left-right mirroring."""

from __future__ import annotations

from typing import TYPE_CHECKING

from study.utils.frozen_model import StrictBool
from study.vit.augmentations.base import Pixels, per_image

if TYPE_CHECKING:
    from torch import Tensor


class Flip(Pixels):
    setting = StrictBool
    neutral = False
    description = "mirror left-right with probability 1/2"
    draws = 1

    def apply(self, images_BCHW: Tensor, strength: float, u_BU: Tensor) -> Tensor:
        import torch

        return torch.where(per_image(u_BU[:, 0] < 0.5), images_BCHW.flip(-1), images_BCHW)
