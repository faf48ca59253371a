"""Shifts in both directions; pixels from outside the image are black."""

from __future__ import annotations

from typing import TYPE_CHECKING

from study.utils.frozen_model import Share
from study.vit.augmentations.base import Geometry, affine, signed

if TYPE_CHECKING:
    from torch import Tensor


class Shift(Geometry):
    setting = Share
    description = "largest shift in each direction, as a share of the image size"
    draws = 2  # x, y

    def maps(self, strength: float, u_BU: Tensor) -> Tensor:
        import torch

        x_B, y_B = (signed(u_BU[:, axis]) * 2 * strength for axis in (0, 1))  # an image is 2 wide
        zero_B, one_B = torch.zeros_like(x_B), torch.ones_like(x_B)
        return affine(one_B, zero_B, x_B, zero_B, one_B, y_B)
