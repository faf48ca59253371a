"""Random erasing: one square of half the height, anywhere inside, takes the image's mean colour."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from study.vit.augmentations.base import Pixels

if TYPE_CHECKING:
    from torch import Tensor


class Erase(Pixels):
    setting = Annotated[float, Field(ge=0, le=1, strict=True)]
    description = "probability of erasing one square of a quarter of the area"
    draws = 3  # whether, x, y

    def apply(self, images_BCHW: Tensor, strength: float, u_BU: Tensor) -> Tensor:
        import torch

        erased_B, x_B, y_B = u_BU.unbind(1)
        height, width = images_BCHW.shape[-2:]
        side = max(1, height // 2)
        rows_BH, columns_BW = _inside(y_B, height, side), _inside(x_B, width, side)
        square_BHW = rows_BH.unsqueeze(2) & columns_BW.unsqueeze(1) & (erased_B < strength).view(-1, 1, 1)
        return torch.where(square_BHW.unsqueeze(1), images_BCHW.mean(dim=(2, 3), keepdim=True), images_BCHW)


def _inside(u_B: Tensor, length: int, side: int) -> Tensor:
    """(B, length): which positions along one axis are inside the square."""
    import torch

    first_B1 = (u_B * (length - side + 1)).floor().unsqueeze(1)
    position_L = torch.arange(length, device=u_B.device)
    return (position_L >= first_B1) & (position_L < first_B1 + side)
