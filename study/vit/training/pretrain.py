"""Stage one: masked autoencoding without labels (He et al. 2111.06377; small images: Tan 2402.03752).

Shapes: B images, C channels, H height, W width, N patches.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from study.vit import settings
from study.vit.models import MaskedAutoencoder, build_encoder
from study.vit.resampling import FIXED, Resampling
from study.vit.training.batches import Prepared, TrainingBatches, in_parts, prepare
from study.vit.training.device import chosen, compiled, peak_memory, precise, reset_peak
from study.vit.training.execution import WHOLE, Execution
from study.vit.training.flat_optimizer import FlatOptimizer
from study.vit.training.loop import OnEpoch, Task, Trained, fit, on_host
from study.vit.training.metrics import Means
from study.vit.training.parameter_groups import parameter_groups
from study.vit.training.seeds import generator, own_random_state, seed_global


def pretrain(
    encoder: settings.Encoder,
    recipe: settings.Pretrain,
    seed: int,
    device: str,
    on_epoch: OnEpoch,
    execution: Execution = WHOLE,
    resampling: Resampling = FIXED,
) -> Trained:
    """Train an encoder from random weights to reconstruct masked patches, and return the encoder's weights.

    Metrics: `val_loss` (masked patches of the validation images, the same masks in every trial), `val_visible_loss`,
    `train_seconds`, `images_per_second`, and on a GPU `peak_memory_mb`. Changes neither files nor the caller's random
    state. Raises StudyError for a recipe that is invalid for the data set, Diverged if a loss becomes NaN or inf,
    torch.OutOfMemoryError.
    """
    place = chosen(device)
    data = prepare(recipe, encoder, place, resampling)
    reset_peak(place)
    with own_random_state(place):
        seed_global(place, seed, "parameters")
        model = MaskedAutoencoder(build_encoder(encoder), recipe).to(place)
        task = autoencoder_task(model, recipe, data, encoder.num_patches, seed, place)
        fitted = fit(task, recipe, seed, place, on_epoch, execution)
    final = _evaluate(model, recipe, data, encoder.num_patches, place)
    return Trained(
        weights=on_host(model.encoder.state_dict()),
        metrics=final.values("val_") | fitted.metrics | peak_memory(place),
        history=fitted.history,
        expert_load=final.expert_load()[: encoder.depth],  # the rest is the decoder
        normalization=data.normalization.numbers(),
        data=data.dataset.facts(),
    )


def autoencoder_task(
    model: MaskedAutoencoder, recipe: settings.Pretrain, data: Prepared, patches: int, seed: int, device: torch.device
) -> Task:
    """Reconstruction of masked patches."""
    batches = TrainingBatches(data.train.images, data.normalization, recipe.augment, recipe.batch_size, seed)
    reconstruct = compiled(model, recipe, recipe.epochs * batches.steps, device)

    def masked_batches(epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        draws = generator(device, seed, "masks", epoch)
        return ((images, patch_order(len(images), patches, draws)) for images, _ in batches.epoch(epoch))

    def losses(images_BCHW: Tensor, order_BN: Tensor) -> dict[str, Tensor]:
        made = reconstruct(images_BCHW, order_BN)
        return {"objective": made.loss + made.balance_loss, "loss": made.masked_loss, "visible_loss": made.visible_loss}

    return Task(
        name="pre-training",
        module=model,
        optimizer=FlatOptimizer(
            recipe.optimizer, parameter_groups(model, recipe.weight_decay), recipe.clip_norm, pretraining=True
        ),
        steps=batches.steps,
        batches=masked_batches,
        losses=losses,
        evaluate=lambda: _evaluate(model, recipe, data, patches, device).values("val_"),
    )


def patch_order(images: int, patches: int, draws: torch.Generator) -> Tensor:
    """(images, patches) int64: for each image a permutation of its patches, all equally likely."""
    return torch.rand(images, patches, generator=draws, device=draws.device).argsort(dim=1)


@torch.inference_mode()
def _evaluate(
    model: MaskedAutoencoder, recipe: settings.Pretrain, data: Prepared, patches: int, device: torch.device
) -> Means:
    """Losses on all validation images. Their masks have a fixed seed: they are the same in every trial."""
    draws = generator(device, 0, "validation masks")
    means = Means()
    for images_BCHW, _ in in_parts(data.validation, data.normalization):
        with precise(recipe, device):
            made = model(images_BCHW, patch_order(len(images_BCHW), patches, draws))
        means.add(len(images_BCHW), {"loss": made.masked_loss, "visible_loss": made.visible_loss}, made.expert_load)
    return means
