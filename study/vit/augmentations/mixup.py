"""Mixup (Zhang et al., arXiv 1710.09412): each image and its target are mixed with those of another image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from study.utils.frozen_model import NonNegativeFloat
from study.vit.augmentations.base import Mixing, per_image

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


class Mixup(Mixing):
    setting = NonNegativeFloat
    description = "alpha of mixup (arXiv 1710.09412); 0 is off; labels only"

    def draw(self, strength: float, images: int, rng: np.random.Generator) -> Tensor:
        """(images,): the share of each image that stays, from Beta(alpha, alpha)."""
        import torch

        return torch.from_numpy(rng.beta(strength, strength, images)).float()

    def apply(self, images_BCHW: Tensor, targets_BK: Tensor, drawn_B: Tensor) -> tuple[Tensor, Tensor]:
        """share * own + (1 - share) * neighbour's.

        Batches are shuffled, so the neighbour (the previous image; the last one for the first) is a random partner.
        """
        import torch

        mixed_BCHW = torch.lerp(images_BCHW.roll(1, 0), images_BCHW, per_image(drawn_B))
        return mixed_BCHW, torch.lerp(targets_BK.roll(1, 0), targets_BK, drawn_B.unsqueeze(1))
