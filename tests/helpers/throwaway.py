"""An augmentation and an optimizer that tests add to the tables, and nothing else uses."""

from typing import Any

import torch
from torch import Tensor

from study.utils.frozen_model import Share
from study.vit.augmentations.base import Pixels, per_image


class Invert(Pixels):
    """Light becomes dark with probability `strength`."""

    setting = Share
    description = "probability of inverting an image"
    draws = 1

    def apply(self, images_BCHW: Tensor, strength: float, u_BU: Tensor) -> Tensor:
        return torch.where(per_image(u_BU[:, 0] < strength), 1 - images_BCHW, images_BCHW)


def plain_sgd(groups: list[dict[str, Any]], pretraining: bool) -> torch.optim.Optimizer:
    """Gradient descent without momentum."""
    return torch.optim.SGD(groups, fused=True)
