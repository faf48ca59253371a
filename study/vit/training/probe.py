"""A linear probe: the encoder is frozen, in evaluation mode, and only the head is trained.

Shapes: B or N images, C channels, H height, W width, D embedding width.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from study.vit import settings
from study.vit.models import Classifier
from study.vit.training.batches import Prepared, in_parts
from study.vit.training.device import precise
from study.vit.training.flat_optimizer import FlatOptimizer
from study.vit.training.loop import Task
from study.vit.training.metrics import Means
from study.vit.training.parameter_groups import parameter_groups
from study.vit.training.supervision import Supervision, labels_of, scores


def probe_task(model: Classifier, supervision: Supervision, data: Prepared, recipe: settings.Finetune) -> Task:
    """Training of the head on the encoder's features.

    Without augmentation every image is encoded once for all epochs; with augmentation, once per epoch.
    """
    model.eval()
    batches = supervision.batches

    def encode(images_BCHW: Tensor) -> Tensor:
        with torch.no_grad(), precise(recipe, images_BCHW.device):
            return model.pool(model.encoder(images_BCHW).tokens_BND).float()

    def encoded_each_epoch(epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        return ((encode(images), targets) for images, targets in supervision.epoch(epoch))

    def encoded_once(epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        for rows in torch.split(batches.order(epoch), batches.size):
            yield train_ND.index_select(0, rows), supervision.labels_N.index_select(0, rows)

    def losses(features_BD: Tensor, targets: Tensor) -> dict[str, Tensor]:
        measured = supervision.losses(model.head(features_BD), targets)
        return measured | {"objective": measured["loss"]}

    @torch.inference_mode()
    def evaluate() -> dict[str, float]:
        means = Means()
        means.add(len(validation_ND), scores(model.head(validation_ND), labels_of(data.validation)))
        return means.values("val_")

    augmented = recipe.augment != settings.Augment()
    if not augmented:
        train_ND = torch.cat([encode(images) for images, _ in in_parts(data.train, data.normalization)])
    validation_ND = torch.cat([encode(images) for images, _ in in_parts(data.validation, data.normalization)])
    return Task(
        name="linear probe",
        module=model.head,
        optimizer=FlatOptimizer(recipe.optimizer, parameter_groups(model.head, recipe.weight_decay), recipe.clip_norm),
        steps=batches.steps,
        batches=encoded_each_epoch if augmented else encoded_once,
        losses=losses,
        evaluate=evaluate,
    )
