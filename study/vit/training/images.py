"""Resizes and converts a split's images once to the encoder's size and channels; uint8 on the device.

Shapes: N or B images, C channels, H height, W width.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

GREY = (0.299, 0.587, 0.114)  # luma of red, green, blue (ITU-R BT.601)
VALUES_AT_ONCE = 2**24  # pixel values converted at a time: bounds the memory of float copies


def fit_images(images_NCHW: Tensor, size: int, channels: int) -> Tensor:
    """(N, channels, size, size) uint8 images: grey by luma, colour by repetition, resized with antialiasing.

    Images that already have this size and channels are returned unchanged.
    """
    _, have, height, width = images_NCHW.shape
    if (have, height, width) == (channels, size, size):
        return images_NCHW
    count = max(1, VALUES_AT_ONCE // max(have * height * width, channels * size * size))
    parts = [_fit(part, size, channels) for part in torch.split(images_NCHW, count)]
    return torch.cat(parts) if parts else images_NCHW.new_empty((0, channels, size, size))


def _fit(images_BCHW: Tensor, size: int, channels: int) -> Tensor:
    values_BCHW = images_BCHW.float()
    if values_BCHW.shape[1] == 3 and channels == 1:
        luma_C = torch.tensor(GREY, device=values_BCHW.device)
        values_BCHW = torch.einsum("bchw,c->bhw", values_BCHW, luma_C).unsqueeze(1)
    if values_BCHW.shape[-2:] != (size, size):
        values_BCHW = F.interpolate(values_BCHW, (size, size), mode="bilinear", antialias=True, align_corners=False)
    images_BCHW = values_BCHW.round_().clamp_(0, 255).to(torch.uint8)
    return images_BCHW.expand(-1, channels, -1, -1).contiguous()


@dataclass(frozen=True)
class Normalization:
    """Mean and standard deviation of each channel, for values from 0 to 1."""

    mean_C: Tensor
    std_C: Tensor

    @classmethod
    def of(cls, images_NCHW: Tensor) -> "Normalization":
        """The statistics of these uint8 images, from integer counts of their 256 values: exact and reproducible."""
        channels = images_NCHW.shape[1]
        counts = [torch.bincount(images_NCHW[:, c].reshape(-1).int(), minlength=256) for c in range(channels)]
        count_CV = torch.stack(counts).cpu().double()
        share_CV = count_CV / count_CV.sum(dim=1, keepdim=True)
        value_V = torch.arange(256, dtype=torch.float64) / 255
        mean_C = share_CV @ value_V
        variance_C = (share_CV * (value_V - mean_C.unsqueeze(1)) ** 2).sum(dim=1)
        std_C = torch.where(variance_C > 0, variance_C.sqrt(), 1.0)  # a constant channel becomes zero
        return cls(mean_C.float().to(images_NCHW.device), std_C.float().to(images_NCHW.device))

    def __call__(self, values_BCHW: Tensor) -> Tensor:
        """Values from 0 to 1, normalized to mean 0 and standard deviation 1."""
        return (values_BCHW - self.mean_C.view(-1, 1, 1)) / self.std_C.view(-1, 1, 1)

    def numbers(self) -> dict[str, list[float]]:
        """`mean` and `std` of each channel as plain floats."""
        return {"mean": self.mean_C.tolist(), "std": self.std_C.tolist()}


def shares(images_BCHW: Tensor) -> Tensor:
    """uint8 images as float32 from 0 to 1."""
    return images_BCHW.float() / 255
