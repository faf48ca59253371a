"""Changes of scale about the centre; pixels from outside the image are black."""

from __future__ import annotations

from typing import TYPE_CHECKING

from study.utils.frozen_model import Share
from study.vit.augmentations.base import Geometry, affine, signed

if TYPE_CHECKING:
    from torch import Tensor


class Zoom(Geometry):
    setting = Share
    description = "largest change of scale: factors from 1-zoom to 1+zoom"
    draws = 1

    def maps(self, strength: float, u_BU: Tensor) -> Tensor:
        import torch

        shrink_B = 1 / (1 + signed(u_BU[:, 0]) * strength)
        zero_B = torch.zeros_like(shrink_B)
        return affine(shrink_B, zero_B, zero_B, zero_B, shrink_B, zero_B)
