"""Labelled batches, the loss on them, and the evaluation of a classifier.

Shapes: B images, C channels, H height, W width, N images of a split, K classes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from study.utils.errors import StudyError
from study.vit import settings
from study.vit.augmentations import Mixing
from study.vit.data import Split
from study.vit.models import Classifier
from study.vit.training.augment import active
from study.vit.training.batches import TrainingBatches, in_parts
from study.vit.training.device import precise
from study.vit.training.images import Normalization
from study.vit.training.metrics import Means, hit_share
from study.vit.training.seeds import seed_of


@dataclass(frozen=True)
class Supervision:
    """Labelled training batches, and the loss on them."""

    batches: TrainingBatches
    labels_N: Tensor
    classes: int
    label_smoothing: float

    def epoch(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """(B, C, H, W) images and their targets: (B,) labels, or where images are mixed (B, K) shares of each class."""
        labelled = ((images, self.labels_N.index_select(0, rows)) for images, rows in self.batches.epoch(epoch))
        mixing = active(self.batches.augment, Mixing)
        if not mixing:
            return labelled
        mixed: Iterator[tuple[Tensor, Tensor]] = (
            (images, F.one_hot(labels, self.classes).float()) for images, labels in labelled
        )
        for name, entry, strength in mixing:
            rng = np.random.default_rng(seed_of(self.batches.seed, name, epoch))
            drawn = entry.draw(strength, self.batches.steps * self.batches.size, rng).to(self.labels_N.device)
            mixed = _mix(entry, mixed, torch.split(drawn, self.batches.size))
        return mixed

    def losses(self, logits_BK: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """`loss`: mean cross-entropy with label smoothing. `accuracy`: a mixed image has its larger label."""
        labels_B = targets if targets.ndim == 1 else targets.argmax(dim=1)
        loss = F.cross_entropy(logits_BK.float(), targets, label_smoothing=self.label_smoothing)
        return {"loss": loss, "accuracy": hit_share(logits_BK, labels_B)}


def _mix(
    entry: Mixing, batches: Iterator[tuple[Tensor, Tensor]], drawn: Sequence[Tensor]
) -> Iterator[tuple[Tensor, Tensor]]:
    for (images_BCHW, targets_BK), drawn_B in zip(batches, drawn, strict=True):
        yield entry.apply(images_BCHW, targets_BK, drawn_B)


def labels_of(split: Split) -> Tensor:
    """(N,) labels. Raises StudyError if there are none."""
    if split.labels is None:
        raise StudyError("images without labels can be used for pre-training only")
    return split.labels


def scores(logits_BK: Tensor, labels_B: Tensor) -> dict[str, Tensor]:
    """`accuracy`, and `loss`: mean cross-entropy without label smoothing."""
    return {"accuracy": hit_share(logits_BK, labels_B), "loss": F.cross_entropy(logits_BK.float(), labels_B)}


@torch.inference_mode()
def evaluate(
    model: Classifier,
    split: Split,
    normalization: Normalization,
    recipe: settings.Recipe,
    predicted: list[Tensor] | None = None,
) -> Means:
    """`accuracy`, `loss` and expert load on all images of a labelled split; `model` is in evaluation mode.

    The predicted class of each image is appended to `predicted`, in parts, if it is given.
    """
    means, labels_N = Means(), labels_of(split)
    for images_BCHW, part in in_parts(split, normalization):
        with precise(recipe, images_BCHW.device):
            made = model(images_BCHW)
        means.add(len(images_BCHW), scores(made.logits_BC, labels_N[part]), made.expert_load)
        if predicted is not None:
            predicted.append(made.logits_BC.argmax(dim=1))
    return means
