"""The images of an epoch and their order; stratified subsets of a split."""

from fractions import Fraction

import pytest
import torch
from helpers.training_samples import random_split
from hypothesis import given
from hypothesis import strategies as st

from study.utils.errors import StudyError
from study.vit import settings
from study.vit.data import Split
from study.vit.training import batches
from study.vit.training.batches import TrainingBatches, draw, equal_batches, in_parts
from study.vit.training.images import Normalization, shares


@given(st.integers(1, 5000), st.integers(1, 600))
def test_batches_are_equal_within_the_limit_and_omit_less_than_one_image_each(count: int, largest: int) -> None:
    steps, size = equal_batches(count, largest)
    assert 1 <= size <= largest
    assert 0 <= count - steps * size < steps
    assert (steps - 1) * largest < count  # no more steps than needed


def test_equal_batches_by_hand() -> None:
    assert equal_batches(1000, 128) == (8, 125)
    assert equal_batches(100, 64) == (2, 50)
    assert equal_batches(30, 64) == (1, 30)
    assert equal_batches(1, 64) == (1, 1)


def training(images: int = 23, largest: int = 5, seed: int = 1, **strength: float) -> TrainingBatches:
    split = random_split(images)
    return TrainingBatches(
        split.images, Normalization.of(split.images), settings.Augment.model_validate(strength), largest, seed
    )


def test_an_epoch_has_every_image_once_and_is_shuffled() -> None:
    source = training()
    shown = list(source.epoch(1))
    rows = torch.cat([rows for _, rows in shown])
    assert [len(images) for images, _ in shown] == [4] * 5
    assert len(rows.unique()) == 20
    assert rows.tolist() != sorted(rows.tolist())
    for images, rows in shown:
        assert torch.equal(images, source.normalization(shares(source.images_NCHW[rows])))


def test_images_omitted_in_one_epoch_are_in_another() -> None:
    source = training()
    seen = torch.cat([source.order(epoch) for epoch in range(1, 11)])
    assert len(seen.unique()) == 23


def test_an_epoch_depends_on_seed_and_number_alone() -> None:
    source = training(shift=0.2)
    for _ in source.epoch(1):
        torch.rand(5)
    again = training(shift=0.2)
    for (images, rows), (same_images, same_rows) in zip(source.epoch(2), again.epoch(2), strict=True):
        assert torch.equal(images, same_images)
        assert torch.equal(rows, same_rows)
    assert not torch.equal(source.order(2), source.order(3))
    assert not torch.equal(source.order(2), training(seed=2).order(2))


def test_augmenting_many_batches_in_one_pass_gives_the_same_as_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    together = [images for images, _ in training(rotate=20.0).epoch(1)]
    monkeypatch.setattr(batches, "VALUES_AT_ONCE", 1)
    alone = [images for images, _ in training(rotate=20.0).epoch(1)]
    assert all(torch.equal(one, other) for one, other in zip(together, alone, strict=True))


def test_evaluation_has_all_images_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "EVALUATED_AT_ONCE", 4)
    split = random_split(10)
    parts = list(in_parts(split, Normalization.of(split.images)))
    assert [part for _, part in parts] == [slice(0, 4), slice(4, 8), slice(8, 10)]
    whole = Normalization.of(split.images)(shares(split.images))
    assert torch.equal(torch.cat([images for images, _ in parts]), whole)


LABELLED = Split(random_split(40).images, torch.tensor([0] * 8 + [1] * 32))


def test_a_subset_is_stratified_and_deterministic() -> None:
    assert draw(LABELLED, 10, "made").labels.bincount().tolist() == [2, 8]
    assert torch.equal(draw(LABELLED, 10, "made").images, draw(LABELLED, 10, "made").images)


@given(st.integers(1, 40))
def test_every_subset_is_stratified_and_contained_in_the_next(count: int) -> None:
    rare = int((draw(LABELLED, count, "made").labels == 0).sum())
    assert abs(rare - Fraction(count * 8, 40)) <= 1
    if count < 40:
        fewer, more = (draw(LABELLED, size, "made").images.flatten(1).tolist() for size in (count, count + 1))
        assert all(image in more for image in fewer)


def test_a_subset_of_unlabelled_images() -> None:
    assert len(draw(random_split(40, classes=None), 7, "made")) == 7


def test_a_subset_larger_than_the_split_is_invalid() -> None:
    with pytest.raises(StudyError, match="train_images 41 exceeds the 40 training images of data set 'made'"):
        draw(LABELLED, 41, "made")
