"""Augmented batches are those of the first release: results stored since then stay comparable.

Shapes: B images, K classes.
"""

import hashlib
from typing import Any

import pytest
import torch
from torch import Tensor

from study.vit import augmentations, settings
from study.vit.training.augment import Draws, augment
from study.vit.training.batches import TrainingBatches
from study.vit.training.images import Normalization
from study.vit.training.supervision import Supervision

ALL = {
    "flip": True,
    "shift": 0.2,
    "zoom": 0.3,
    "rotate": 25.0,
    "brightness": 0.4,
    "contrast": 0.4,
    "erase": 0.5,
    "mixup": 0.4,
}
DIGESTS = {  # computed by the code of the first release
    "none": "14b3da5ed366c40a",
    "flip": "f371350aee7ca67c",
    "shift": "5f576aceda0c7faf",
    "zoom": "06e9d3357c75bd75",
    "rotate": "3e734267d89a6484",
    "brightness": "2dfb2bc44f0199a7",
    "contrast": "38c70bfcf56db330",
    "erase": "a2ea58180dc7dc9f",
    "mixup": "9fac77eb14057c39",
    "all": "0ffa7f7a3f95aa20",
}


def strength(name: str) -> dict[str, Any]:
    return {"none": {}, "all": ALL}.get(name) or {key: value for key, value in ALL.items() if key == name}


def digest(strength: dict[str, Any]) -> str:
    """SHA-256 over images and targets of three epochs, in sixteenths, so that no processor's rounding matters."""
    pixels = torch.randint(0, 256, (11, 3, 8, 8), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    unchanged, total = Normalization(torch.zeros(3), torch.ones(3)), hashlib.sha256()
    for seed, epoch in [(1, 1), (1, 2), (2, 1)]:
        batches = TrainingBatches(pixels, unchanged, settings.Augment.model_validate(strength), 4, seed)
        for batch in Supervision(batches, torch.arange(11) % 3, 3, 0.0).epoch(epoch):
            for tensor in batch:
                total.update((tensor * 16).round().to(torch.uint8).contiguous().numpy().tobytes())
    return total.hexdigest()[:16]


@pytest.mark.parametrize("name", DIGESTS)
def test_batches_are_those_of_the_first_release(name: str) -> None:
    assert digest(strength(name)) == DIGESTS[name]


def images() -> Tensor:
    return torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(1))


def test_switching_one_augmentation_on_leaves_the_others_as_they_were() -> None:
    drawn = Draws(torch.device("cpu"), 3, 1).next(3)
    shifted = augment(images(), settings.Augment(shift=0.2), drawn)
    both = augment(images(), settings.Augment(shift=0.2, erase=1.0), drawn)
    assert (both == shifted).flatten(1).sum(1).tolist() == [48, 48, 48]  # 64 pixels less a square of 16


def test_a_new_augmentation_leaves_the_others_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Draws(torch.device("cpu"), 1, 1).next(4)
    monkeypatch.setitem(augmentations.TABLE, "invert", "helpers.throwaway:Invert")
    after = Draws(torch.device("cpu"), 1, 1).next(4)
    assert after.keys() - before.keys() == {"invert"}
    assert all(torch.equal(after[name], drawn) for name, drawn in before.items())
