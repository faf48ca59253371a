"""Rules for every augmentation in the table; a new one is covered as soon as it has its line there.

Shapes: B images, C channels, H height, W width, K classes.
"""

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from helpers.training_samples import QUICK, finetuning, pretraining, run_digest
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from study.vit import augmentations, settings
from study.vit.augmentations import Mixing
from study.vit.training.augment import Draws, augment
from study.vit.training.batches import TrainingBatches
from study.vit.training.images import Normalization
from study.vit.training.seeds import seed_of
from study.vit.training.supervision import Supervision

ENTRIES = dict(augmentations.items())
each = pytest.mark.parametrize("name", ENTRIES)
CLASSES = 3


def on(name: str) -> dict[str, Any]:
    """The setting at a value that changes images: the first of these that its type accepts."""
    for value in (True, 0.5, 1):
        try:
            return {name: TypeAdapter(ENTRIES[name].setting).validate_python(value)}
        except ValidationError:
            pass
    raise AssertionError(f"{name}: none of the values is valid; add one that is")


def epoch(
    strength: dict[str, Any], seed: int = 1, number: int = 1, count: int = 11, channels: int = 3, largest: int = 4
) -> list[tuple[Tensor, Tensor]]:
    """Images, with values from 0 to 1, and targets of each batch of an epoch."""
    pixels = torch.randint(
        0, 256, (count, channels, 8, 8), generator=torch.Generator().manual_seed(1), dtype=torch.uint8
    )
    unchanged = Normalization(torch.zeros(channels), torch.ones(channels))
    batches = TrainingBatches(pixels, unchanged, settings.Augment.model_validate(strength), largest, seed)
    return list(Supervision(batches, torch.arange(count) % CLASSES, CLASSES, 0.0).epoch(number))


def equal(one: list[tuple[Tensor, Tensor]], other: list[tuple[Tensor, Tensor]]) -> bool:
    return all(torch.equal(a, b) and torch.equal(x, y) for (a, x), (b, y) in zip(one, other, strict=True))


@cache
def plain_digest() -> str:
    return run_digest(finetuning(**QUICK))


def test_the_settings_are_those_of_the_table() -> None:
    assert list(settings.Augment.model_fields) == list(augmentations.TABLE)
    assert settings.Augment().changed() == {}


@each
def test_the_setting_enters_the_key_only_where_it_is_not_neutral(name: str) -> None:
    assert settings.Augment.model_validate({name: ENTRIES[name].neutral}).changed() == {}
    assert settings.Augment.model_validate(on(name)).changed() == on(name)
    assert ENTRIES[name].description


@each
def test_the_default_is_the_identity(name: str) -> None:
    assert equal(epoch({name: ENTRIES[name].neutral}), epoch({}))


def applied(name: str, seed: int, number: int) -> Tensor:
    """The same 200 images, augmented with the random numbers of this seed and epoch."""
    images_BCHW = torch.rand(200, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    entry, strength = ENTRIES[name], settings.Augment.model_validate(on(name))
    if isinstance(entry, Mixing):
        drawn = entry.draw(on(name)[name], 200, np.random.default_rng(seed_of(seed, name, number)))
        return entry.apply(images_BCHW, torch.eye(200), drawn)[0]
    return augment(images_BCHW, strength, Draws(torch.device("cpu"), seed, number).next(200))


@each
def test_random_numbers_depend_on_seed_and_epoch_alone(name: str) -> None:
    first = applied(name, seed=1, number=1)
    torch.rand(5)
    assert torch.equal(first, applied(name, seed=1, number=1))
    assert not torch.equal(first, applied(name, seed=2, number=1))
    assert not torch.equal(first, applied(name, seed=1, number=2))
    assert equal(epoch(on(name)), epoch(on(name)))


@each
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("count", [1, 11])
def test_shape_type_and_range(name: str, channels: int, count: int) -> None:
    for images_BCHW, targets in epoch(on(name), channels=channels, count=count, largest=4 if count > 1 else 1):
        assert images_BCHW.dtype == torch.float32
        assert images_BCHW.shape[1:] == (channels, 8, 8)
        assert images_BCHW.min() >= 0
        assert images_BCHW.max() <= 1 + 1e-6
        if isinstance(ENTRIES[name], Mixing):
            assert targets.shape == (len(images_BCHW), CLASSES)
            torch.testing.assert_close(targets.sum(1), torch.ones(len(targets)))
        else:
            assert targets.shape == (len(images_BCHW),)


@each
def test_it_changes_a_run(name: str) -> None:
    assert run_digest(finetuning(**QUICK, augment=on(name))) != plain_digest()


@each
def test_pretraining_rejects_augmentations_that_need_labels(name: str) -> None:
    if isinstance(ENTRIES[name], Mixing):
        with pytest.raises(ValidationError, match="labels"):
            pretraining(augment=on(name))
    else:
        assert pretraining(augment=on(name)).augment.changed() == on(name)
