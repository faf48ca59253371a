"""Splits with the encoder's channels and size; their statistics."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from study.vit.training import images
from study.vit.training.images import Normalization, fit_images, shares


def noise(count: int, channels: int, size: int) -> Tensor:
    draws = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, channels, size, size), generator=draws, dtype=torch.uint8)


def test_images_of_the_right_shape_are_returned_unchanged() -> None:
    given_images = noise(2, 3, 8)
    assert fit_images(given_images, 8, 3) is given_images


def test_colour_becomes_grey_by_luma() -> None:
    pixels = torch.tensor([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [10, 20, 30]], dtype=torch.uint8)
    grey = fit_images(pixels.view(5, 3, 1, 1), 1, 1)
    assert grey.flatten().tolist() == [76, 150, 29, 255, 18]


def test_grey_becomes_colour_by_repetition() -> None:
    grey = noise(2, 1, 4)
    assert torch.equal(fit_images(grey, 4, 3), grey.expand(-1, 3, -1, -1))


@given(st.integers(1, 12), st.integers(1, 12), st.sampled_from([1, 3]), st.sampled_from([1, 3]), st.integers(0, 255))
def test_a_uniform_image_stays_uniform_at_any_size(old: int, new: int, have: int, needed: int, value: int) -> None:
    even = torch.full((2, have, old, old), value, dtype=torch.uint8)
    assert torch.equal(fit_images(even, new, needed), torch.full((2, needed, new, new), value, dtype=torch.uint8))


def test_converting_in_parts_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = fit_images(noise(7, 3, 6), 9, 1)
    monkeypatch.setattr(images, "VALUES_AT_ONCE", 2 * 3 * 81)
    assert torch.equal(fit_images(noise(7, 3, 6), 9, 1), whole)


def test_an_empty_split_stays_empty() -> None:
    assert fit_images(noise(0, 3, 4), 8, 1).shape == (0, 1, 8, 8)


def test_statistics_are_those_of_the_pixels() -> None:
    pixels = noise(5, 3, 6)
    found, values = Normalization.of(pixels), pixels.numpy() / 255
    np.testing.assert_allclose(found.mean_C, values.mean((0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(found.std_C, values.std((0, 2, 3)), rtol=1e-6)
    normal = found(shares(pixels))
    assert normal.mean((0, 2, 3)).tolist() == pytest.approx([0, 0, 0], abs=1e-5)
    assert normal.std((0, 2, 3), correction=0).tolist() == pytest.approx([1, 1, 1], abs=1e-5)


def test_a_constant_channel_becomes_zero() -> None:
    black = torch.zeros(2, 1, 2, 2, dtype=torch.uint8)
    assert Normalization.of(black)(shares(black)).abs().max() == 0


def test_statistics_as_plain_numbers() -> None:
    white = torch.full((1, 1, 2, 2), 255, dtype=torch.uint8)
    assert Normalization.of(white).numbers() == {"mean": [1.0], "std": [1.0]}
