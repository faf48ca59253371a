"""The budget of a trial in closed form, worked by hand for a model of one block."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.planning.budget import budget_of, images_seen, training_images
from study.vit.subject import Settings, describe, stages_of
from study.vit.training.batches import equal_batches

# 4 patches of 4 numbers, 5 tokens of width 4, one block with an FFN of width 8:
#   patches 4 * 4 * 4 = 64; per token (2 * 4 + 2 * 4 + 3 * 8) * 4 = 160, of 5 tokens 800; attention 2 * 25 * 4 = 200
ENCODER = {
    "image_size": 4,
    "patch_size": 2,
    "channels": 1,
    "width": 4,
    "depth": 1,
    "num_heads": 1,
    "num_kv_heads": 1,
    "experts_by_depth": [1],
    "top_k": 1,
    "ffn_width_first": 8,
    "ffn_width_last": 8,
}
HEAD = 4 * 10  # ten digits
FORWARD = 64 + 800 + 200 + HEAD
FINETUNE = {"dataset": "digits", "train_images": 100, "batch_size": 32, "epochs": 2}  # 4 steps of 25: 200 images
# 1 of 4 patches is visible, 2 tokens: 16 + 2 * 160 + 2 * 4 * 4 = 368; the decoder's width is 4, its FFN has width 4:
#   2 * 4 * 4 + 4 * 4 * 4 = 96; per token (2 * 4 + 2 * 4 + 3 * 4) * 4 = 112, of 5 tokens 560; attention 200
DECODER = {"width": 4, "depth": 1, "ffn_width": 4, "num_experts": 1, "top_k": 1, "num_heads": 1, "num_kv_heads": 1}
PRETRAIN = {**FINETUNE, "epochs": 3, "mask_ratio": 0.75, "decoder": DECODER}  # 300 images
RECONSTRUCT = 368 + 96 + 560 + 200


def budget(pretrain: dict[str, Any] | None = None, **finetune: Any) -> Any:
    settings = {"encoder": ENCODER, "pretrain": pretrain, "finetune": {**FINETUNE, **finetune}}
    return budget_of(stages_of(Settings.model_validate(settings)))


def test_training_from_scratch_is_three_forward_passes_for_every_image() -> None:
    found = budget()
    assert (found.macs, found.pretrain_images, found.finetune_images) == (FORWARD, 0, 200)
    assert found.training_macs == 3 * 200 * 1104


def test_pretraining_counts_with_its_visible_patches_and_its_decoder() -> None:
    found = budget(PRETRAIN)
    assert (found.pretrain_images, found.finetune_images) == (300, 200)
    assert found.training_macs == 3 * 300 * RECONSTRUCT + 3 * 200 * FORWARD


def test_a_probe_trains_its_head_only() -> None:
    """Without augmentation each of the 100 images is encoded once; with it, each of the 200 that are shown."""
    pretraining, head, encoder = 3 * 300 * RECONSTRUCT, 3 * 200 * HEAD, FORWARD - HEAD
    assert budget(PRETRAIN, mode="probe").training_macs == pretraining + head + 100 * encoder
    augmented = budget(PRETRAIN, mode="probe", augment={"flip": True}).training_macs
    assert augmented == pretraining + head + 200 * encoder


def test_without_a_subset_all_training_images_are_shown() -> None:
    images = describe("digits").splits["train"]  # type: ignore[index]
    assert training_images("digits", 8, None) == images
    assert budget(train_images=None, batch_size=images).finetune_images == 2 * images


def test_images_that_do_not_fill_a_batch_are_left_out() -> None:
    assert images_seen(10, 4, epochs=5) == 5 * 3 * 3  # 3 steps of 3 images


@given(st.integers(1, 10_000), st.integers(1, 500))
def test_images_are_those_of_the_training_loop(count: int, batch_size: int) -> None:
    steps, size = equal_batches(count, batch_size)
    assert images_seen(count, batch_size, epochs=1) == steps * size


@pytest.mark.parametrize("name", ["parquet:/nowhere/at/all", "imagefolder:/nowhere/at/all"])
def test_data_that_are_not_on_this_machine_have_an_unknown_size(name: str) -> None:
    assert training_images(name, 8, None) is None
