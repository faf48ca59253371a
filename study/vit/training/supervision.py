"""Labelled batches, the loss on them, and the evaluation of a classifier.

Shapes: B images, C channels, H height, W width, N images of a split, K classes.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from study.utils.errors import StudyError
from study.vit import settings
from study.vit.data import Split
from study.vit.models import Classifier
from study.vit.training.augment import mixup, mixup_shares
from study.vit.training.batches import TrainingBatches, in_parts
from study.vit.training.device import precise
from study.vit.training.images import Normalization
from study.vit.training.metrics import Means, hit_share


@dataclass(frozen=True)
class Supervision:
    """What a classifier is shown and what it should say."""

    batches: TrainingBatches
    labels_N: Tensor
    classes: int
    mixup: float
    label_smoothing: float

    def epoch(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """(B, C, H, W) images and their targets: (B,) labels, or with mixup (B, K) shares of each class."""
        labelled = ((images, self.labels_N.index_select(0, rows)) for images, rows in self.batches.epoch(epoch))
        return self._mixed(labelled, epoch) if self.mixup else labelled

    def _mixed(self, labelled: Iterator[tuple[Tensor, Tensor]], epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        size, steps = self.batches.size, self.batches.steps
        shares = mixup_shares(self.mixup, steps * size, self.batches.seed, epoch).to(self.labels_N.device)
        for (images, labels), share in zip(labelled, torch.split(shares, size), strict=True):
            yield mixup(images, F.one_hot(labels, self.classes).float(), share)

    def losses(self, logits_BK: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """`loss`: mean cross-entropy, smoothed; `accuracy`: on a mixed image its larger part counts."""
        labels_B = targets if targets.ndim == 1 else targets.argmax(dim=1)
        loss = F.cross_entropy(logits_BK.float(), targets, label_smoothing=self.label_smoothing)
        return {"loss": loss, "accuracy": hit_share(logits_BK, labels_B)}


def labels_of(split: Split) -> Tensor:
    """(N,) labels. Raises StudyError if there are none."""
    if split.labels is None:
        raise StudyError("these images have no labels; they can be used for pre-training only")
    return split.labels


def scores(logits_BK: Tensor, labels_B: Tensor) -> dict[str, Tensor]:
    """`accuracy` and `loss`: mean cross-entropy, not smoothed."""
    return {"accuracy": hit_share(logits_BK, labels_B), "loss": F.cross_entropy(logits_BK.float(), labels_B)}


@torch.inference_mode()
def evaluate(model: Classifier, split: Split, normalization: Normalization, recipe: settings.Recipe) -> Means:
    """`accuracy`, `loss` and expert load on all images of a labelled split; `model` is in evaluation mode."""
    means, labels_N = Means(), labels_of(split)
    for images_BCHW, part in in_parts(split, normalization):
        with precise(recipe, images_BCHW.device):
            made = model(images_BCHW)
        means.add(len(images_BCHW), scores(made.logits_BC, labels_N[part]), made.expert_load)
    return means
