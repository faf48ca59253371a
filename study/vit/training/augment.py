"""Random changes to a batch of training images, on their device, drawn afresh for every image (own choice).

Shapes: B images, C channels, H height, W width, K classes, U chances. Values are shares of full brightness, 0 to 1.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from study.vit import settings
from study.vit.training.seeds import seed_of

# What each column of an image's chances decides.
FLIP, SHIFT_X, SHIFT_Y, ZOOM, ROTATE, BRIGHTNESS, CONTRAST, ERASE, ERASE_X, ERASE_Y = range(10)


def chances(images: int, generator: torch.Generator) -> Tensor:
    """(images, U) uniform numbers from 0 to 1, U of them for each image.

    All are drawn, whatever is switched on, so that switching one change on leaves the others as they were.
    """
    return torch.rand(images, ERASE_Y + 1, generator=generator, device=generator.device)


def augment(images_BCHW: Tensor, strength: settings.Augment, u_BU: Tensor) -> Tensor:
    """Images changed by their chances as far as `strength` allows; where it is all zero, the very same images.

    What moves in from outside is black. Geometry (shift, zoom, rotate) is one bilinear resampling, so that an image
    is blurred once however many are on. Mixup needs labels and stands by itself below.
    """
    if strength.flip:
        images_BCHW = torch.where(_wide(u_BU[:, FLIP] < 0.5), images_BCHW.flip(-1), images_BCHW)
    if strength.shift or strength.zoom or strength.rotate:
        images_BCHW = _resample(images_BCHW, _placement(u_BU, strength))
    if strength.brightness or strength.contrast:
        images_BCHW = _relight(images_BCHW, u_BU, strength)
    if strength.erase:
        images_BCHW = _erase(images_BCHW, u_BU, strength.erase)
    return images_BCHW


def _wide(values_B: Tensor) -> Tensor:
    return values_B.view(-1, 1, 1, 1)


def _placement(u_BU: Tensor, strength: settings.Augment) -> Tensor:
    """(B, 2, 3) maps from where a pixel lands to where it is read, in coordinates from -1 to 1."""
    signed_BU = 2 * u_BU - 1
    angle_B = signed_BU[:, ROTATE] * math.radians(strength.rotate)
    shrink_B = 1 / (1 + signed_BU[:, ZOOM] * strength.zoom)
    cos_B, sin_B = angle_B.cos() * shrink_B, angle_B.sin() * shrink_B
    x_B, y_B = signed_BU[:, SHIFT_X] * 2 * strength.shift, signed_BU[:, SHIFT_Y] * 2 * strength.shift
    return torch.stack([cos_B, -sin_B, x_B, sin_B, cos_B, y_B], dim=1).view(-1, 2, 3)


def _resample(images_BCHW: Tensor, maps_B23: Tensor) -> Tensor:
    grid_BHW2 = F.affine_grid(maps_B23, list(images_BCHW.shape), align_corners=False)
    return F.grid_sample(images_BCHW, grid_BHW2, mode="bilinear", padding_mode="zeros", align_corners=False)


def _relight(images_BCHW: Tensor, u_BU: Tensor, strength: settings.Augment) -> Tensor:
    signed_BU = 2 * u_BU - 1
    if strength.brightness:
        images_BCHW = images_BCHW * _wide(1 + signed_BU[:, BRIGHTNESS] * strength.brightness)
    if strength.contrast:
        mean_B111 = images_BCHW.mean(dim=(1, 2, 3), keepdim=True)
        images_BCHW = mean_B111 + (images_BCHW - mean_B111) * _wide(1 + signed_BU[:, CONTRAST] * strength.contrast)
    return images_BCHW.clamp(0, 1)


def _erase(images_BCHW: Tensor, u_BU: Tensor, probability: float) -> Tensor:
    """One square of half the height in the image's mean colour, anywhere inside, in a share of the images."""
    height, width = images_BCHW.shape[-2:]
    side = max(1, height // 2)
    rows_BH = _inside(u_BU[:, ERASE_Y], height, side)
    columns_BW = _inside(u_BU[:, ERASE_X], width, side)
    square_BHW = rows_BH.unsqueeze(2) & columns_BW.unsqueeze(1) & (u_BU[:, ERASE] < probability).view(-1, 1, 1)
    return torch.where(square_BHW.unsqueeze(1), images_BCHW.mean(dim=(2, 3), keepdim=True), images_BCHW)


def _inside(u_B: Tensor, length: int, side: int) -> Tensor:
    first_B1 = (u_B * (length - side + 1)).floor().unsqueeze(1)
    place_L = torch.arange(length, device=u_B.device)
    return (place_L >= first_B1) & (place_L < first_B1 + side)


def mixup_shares(alpha: float, count: int, seed: int, epoch: int) -> Tensor:
    """(count,) shares, Beta(alpha, alpha), with which each image of an epoch stays itself (arXiv 1710.09412)."""
    shares = np.random.default_rng(seed_of(seed, "mixup", epoch)).beta(alpha, alpha, count)
    return torch.from_numpy(shares.astype(np.float32))


def mixup(images_BCHW: Tensor, targets_BK: Tensor, share_B: Tensor) -> tuple[Tensor, Tensor]:
    """Each image and its target, mixed with those of its neighbour: share * own + (1 - share) * neighbour's.

    Batches come shuffled, so that the neighbour (the image before; the first has the last) is a random partner.
    """
    images_BCHW = torch.lerp(images_BCHW.roll(1, 0), images_BCHW, _wide(share_B))
    return images_BCHW, torch.lerp(targets_BK.roll(1, 0), targets_BK, share_B.unsqueeze(1))
