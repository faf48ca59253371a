"""The predicted class of every test image.

Shapes: N test images.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from study.vit.data import Split
from study.vit.training.supervision import labels_of


@dataclass(frozen=True)
class Predictions:
    """Predicted and true classes of the test images, in the order of the test split; on the host."""

    predicted_N: Tensor  # int64
    labels_N: Tensor  # int64
    images: str  # SHA-256 of the images with their labels, in order: equal only for the same test split

    @classmethod
    def of(cls, predicted: Sequence[Tensor], test: Split) -> "Predictions | None":
        """From the predictions for parts of the split; None without test images."""
        if not len(test):
            return None
        return cls(torch.cat(list(predicted)).cpu(), labels_of(test).cpu(), digest(test))


def digest(split: Split) -> str:
    """SHA-256 of a labelled split's images and labels in order, 64 hexadecimal digits.

    Of the fingerprints of the images where they have some: these do not depend on the size at which images are decoded.
    """
    images = split.images if split.prints is None else split.prints
    total = hashlib.sha256(f"{tuple(images.shape)};".encode())
    total.update(images.cpu().contiguous().numpy().data)
    total.update(labels_of(split).cpu().numpy().astype("<i8").data)
    return total.hexdigest()
