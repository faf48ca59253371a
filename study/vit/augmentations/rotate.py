"""Rotations about the centre; pixels from outside the image are black."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from study.vit.augmentations.base import Geometry, affine, signed

if TYPE_CHECKING:
    from torch import Tensor


class Rotate(Geometry):
    setting = Annotated[float, Field(ge=0, le=180, strict=True)]
    description = "largest rotation, in degrees"
    draws = 1

    def maps(self, strength: float, u_BU: Tensor) -> Tensor:
        import torch

        angle_B = signed(u_BU[:, 0]) * math.radians(strength)
        cos_B, sin_B, zero_B = angle_B.cos(), angle_B.sin(), torch.zeros_like(angle_B)
        return affine(cos_B, -sin_B, zero_B, sin_B, cos_B, zero_B)
