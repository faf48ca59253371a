"""Masked autoencoding: results, masks, errors."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from helpers.training_samples import dataset, numbers, pretraining, random_split
from hypothesis import given
from hypothesis import strategies as st

from study.utils.errors import StudyError
from study.vit import settings
from study.vit.data import Dataset
from study.vit.models import MaskedAutoencoder, build_encoder
from study.vit.training import Diverged, Trained, pretrain
from study.vit.training.pretrain import patch_order


def ignore(record: dict[str, float]) -> None:
    pass


def run(encoder: settings.Encoder, seed: int = 1, **changes: Any) -> Trained:
    return pretrain(encoder, pretraining(**changes), seed, "cpu", ignore)


@given(st.integers(1, 8), st.integers(1, 50), st.integers(0, 2**62))
def test_a_patch_order_is_a_permutation_of_every_image(images: int, patches: int, seed: int) -> None:
    order = patch_order(images, patches, torch.Generator().manual_seed(seed))
    assert order.sort(dim=1).values.tolist() == [list(range(patches))] * images


def test_every_patch_is_equally_likely_at_every_position() -> None:
    order = patch_order(6000, 3, torch.Generator().manual_seed(0))
    for place in range(3):
        assert (order[:, place].bincount() / 6000).tolist() == pytest.approx([1 / 3] * 3, abs=0.03)


def test_the_result(encoder: settings.Encoder) -> None:
    records: list[dict[str, float]] = []
    trained = pretrain(encoder, pretraining(epochs=3), 1, "cpu", records.append)
    assert trained.history == records
    assert [record["epoch"] for record in records] == [1, 2, 3]
    for name in ("train_loss", "train_visible_loss", "learning_rate", "val_loss", "val_visible_loss", "seconds"):
        assert name in records[0]
    assert {"val_loss", "val_visible_loss", "train_seconds", "images_per_second"} == trained.metrics.keys()
    assert trained.metrics["val_loss"] == records[-1]["val_loss"]
    assert [len(load) for load in trained.expert_load] == list(encoder.num_experts)
    assert all(sum(load) == pytest.approx(1) for load in trained.expert_load)
    build_encoder(encoder).load_state_dict(trained.weights)
    assert not any(weight.requires_grad for weight in trained.weights.values())


def test_it_learns_to_reconstruct_digits(encoder: settings.Encoder) -> None:
    trained = run(encoder, epochs=6, train_images=None, learning_rate=5e-3)
    assert trained.history[-1]["val_visible_loss"] < 0.8 * trained.history[0]["val_visible_loss"]
    assert trained.metrics["val_loss"] < 0.6  # predicting each patch's mean gives 1, less for uniform patches


def test_equal_seeds_give_equal_bits_whatever_the_caller_draws(encoder: settings.Encoder) -> None:
    first = run(encoder, augment={"flip": True, "shift": 0.1})
    torch.manual_seed(123)
    before = torch.get_rng_state()
    second = run(encoder, augment={"flip": True, "shift": 0.1})
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(weight, second.weights[name]) for name, weight in first.weights.items())
    assert [*map(numbers, first.history)] == [*map(numbers, second.history)]
    assert numbers(first.metrics) == numbers(second.metrics)
    other = run(encoder, seed=2, augment={"flip": True, "shift": 0.1})
    assert numbers(other.metrics) != numbers(first.metrics)


def test_validation_masks_are_the_same_in_every_trial_and_training_masks_are_not(encoder: settings.Encoder) -> None:
    seen: dict[bool, list[torch.Tensor]] = {True: [], False: []}

    def note(module: torch.nn.Module, arguments: Any) -> None:
        if isinstance(module, MaskedAutoencoder):
            seen[module.training].append(arguments[1])

    hook = torch.nn.modules.module.register_module_forward_pre_hook(note)
    try:
        for seed in (1, 2):
            run(encoder, seed, epochs=1)
    finally:
        hook.remove()
    validation, training = seen[False], seen[True]
    parts = 2  # 269 validation images, 256 at once
    assert len(validation) == 2 * 2 * parts  # in each trial: after its epoch and at the end
    for part in range(parts):
        assert all(torch.equal(order, validation[part]) for order in validation[part::parts])
    assert not torch.equal(training[0], training[1])


def test_colour_photographs_can_pretrain_a_grey_encoder(encoder: settings.Encoder) -> None:
    assert run(encoder, dataset="photos", epochs=1).metrics["val_loss"] > 0


def test_divergence_names_the_epoch_and_the_last_finite_values(encoder: settings.Encoder) -> None:
    with pytest.raises(Diverged, match=r"diverged in epoch 1: .*train_loss.* last finite values: none; try a lower"):
        run(encoder, learning_rate=1e30, clip_norm=0.0, batch_size=16)


def test_training_requires_validation_images(encoder: settings.Encoder, serve: Callable[[Dataset], None]) -> None:
    serve(dataset(random_split(8), random_split(0), random_split(0), None))
    with pytest.raises(StudyError, match="has no validation images"):
        run(encoder, train_images=None)
