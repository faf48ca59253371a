"""What each change does to an image, by chances set by hand, and what it never does."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from study.vit import settings
from study.vit.training.augment import (
    BRIGHTNESS,
    CONTRAST,
    ERASE,
    ERASE_X,
    ERASE_Y,
    FLIP,
    ROTATE,
    SHIFT_X,
    SHIFT_Y,
    ZOOM,
    augment,
    chances,
    mixup,
    mixup_shares,
)


def images(count: int = 3, size: int = 8) -> Tensor:
    return torch.rand(count, 1, size, size, generator=torch.Generator().manual_seed(1))


def middling(by_hand: dict[int, float], count: int = 3) -> Tensor:
    """Chances of 1/2, at which nothing that goes both ways changes, but for those set by hand."""
    u_BU = torch.full((count, 10), 0.5)
    for column, value in by_hand.items():
        u_BU[:, column] = value
    return u_BU


def test_without_strength_images_stay_bit_for_bit() -> None:
    drawn = chances(3, torch.Generator().manual_seed(0))
    assert torch.equal(augment(images(), settings.Augment(), drawn), images())


def test_flip_mirrors_left_and_right_half_of_the_time() -> None:
    u_BU = middling({}, 2)
    u_BU[:, FLIP] = torch.tensor([0.49, 0.51])
    flipped, kept = augment(images(2), settings.Augment(flip=True), u_BU)
    assert torch.equal(flipped, images(2)[0].flip(-1))
    assert torch.equal(kept, images(2)[1])


def test_shift_moves_by_whole_pixels_and_leaves_black_behind() -> None:
    moved = augment(images(), settings.Augment(shift=0.25), middling({SHIFT_X: 1.0}))
    torch.testing.assert_close(moved[..., :-2], images()[..., 2:])
    assert moved[..., -2:].abs().max() == 0
    moved = augment(images(), settings.Augment(shift=0.25), middling({SHIFT_Y: 0.0}))
    torch.testing.assert_close(moved[..., 2:, :], images()[..., :-2, :])


def test_rotation_by_a_quarter_turn() -> None:
    turned = augment(images(), settings.Augment(rotate=90.0), middling({ROTATE: 1.0}))
    torch.testing.assert_close(turned, torch.rot90(images(), 1, (-2, -1)), atol=1e-5, rtol=0)


def test_zoom_to_half_size() -> None:
    white = torch.ones(1, 1, 8, 8)
    small = augment(white, settings.Augment(zoom=0.5), middling({ZOOM: 0.0}, 1))[0, 0]
    torch.testing.assert_close(small[2:6, 2:6], torch.ones(4, 4))
    assert small.sum() == pytest.approx(16)


def test_brightness_and_contrast_by_hand() -> None:
    pair = torch.tensor([0.2, 0.6]).view(1, 1, 1, 2)
    brighter = augment(pair, settings.Augment(brightness=0.5), middling({BRIGHTNESS: 1.0}, 1))
    assert brighter.flatten().tolist() == pytest.approx([0.3, 0.9])
    flatter = augment(pair, settings.Augment(contrast=0.5), middling({CONTRAST: 0.0}, 1))
    assert flatter.flatten().tolist() == pytest.approx([0.3, 0.5])


def test_erasing_fills_one_square_of_a_quarter_with_the_mean() -> None:
    erased = augment(images(1), settings.Augment(erase=1.0), middling({ERASE: 0.0, ERASE_X: 0.0, ERASE_Y: 0.999}, 1))[
        0, 0
    ]
    torch.testing.assert_close(erased[4:, :4], images(1).mean().expand(4, 4))
    assert torch.equal(erased[:4], images(1)[0, 0, :4])
    assert torch.equal(erased[4:, 4:], images(1)[0, 0, 4:, 4:])
    assert torch.equal(augment(images(1), settings.Augment(erase=0.3), middling({ERASE: 0.31}, 1)), images(1))


SHARES = st.floats(0, 0.99)


@given(
    st.builds(settings.Augment, flip=st.booleans(), shift=SHARES, zoom=SHARES, rotate=st.floats(0, 180)), SHARES, SHARES
)
def test_values_stay_shares_of_full_brightness(geometry: settings.Augment, light: float, erase: float) -> None:
    strength = geometry.model_copy(update={"brightness": light, "contrast": light, "erase": erase})
    changed = augment(images(), strength, chances(3, torch.Generator().manual_seed(2)))
    assert changed.shape == images().shape
    assert changed.min() >= 0
    assert changed.max() <= 1 + 1e-6


def test_switching_one_change_on_leaves_the_others_as_they_were() -> None:
    drawn = chances(3, torch.Generator().manual_seed(3))
    shifted = augment(images(), settings.Augment(shift=0.2), drawn)
    both = augment(images(), settings.Augment(shift=0.2, erase=1.0), drawn)
    assert (both == shifted).flatten(1).sum(1).tolist() == [48, 48, 48]  # 64 pixels less a square of 16


def test_mixup_mixes_labels_as_it_mixes_images() -> None:
    pictures = torch.tensor([0.0, 1.0, 2.0]).view(3, 1, 1, 1)
    mixed, targets = mixup(pictures, torch.eye(3), torch.tensor([0.75, 0.5, 1.0]))
    assert mixed.flatten().tolist() == [0.5, 0.5, 2.0]  # 0.75 * 0 + 0.25 * 2; 0.5 * 1 + 0.5 * 0; 2 alone
    assert targets.tolist() == [[0.75, 0.0, 0.25], [0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]


def test_mixup_shares_follow_their_distribution_and_their_axes() -> None:
    shares = mixup_shares(0.4, 20_000, seed=1, epoch=1)
    assert shares.mean().item() == pytest.approx(0.5, abs=0.02)
    assert shares.var().item() == pytest.approx(0.25 / 1.8, abs=0.01)  # Beta(a, a) has variance 1 / (4 (2a + 1))
    assert torch.equal(shares, mixup_shares(0.4, 20_000, seed=1, epoch=1))
    assert not torch.equal(shares, mixup_shares(0.4, 20_000, seed=1, epoch=2))
