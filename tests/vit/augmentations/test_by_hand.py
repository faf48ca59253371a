"""What each augmentation does to an image, with random numbers set by hand.

Shapes: B images, C channels, H height, W width, U uniform random numbers per image.
"""

import pytest
import torch
from torch import Tensor

from study.vit import augmentations, settings
from study.vit.augmentations import ImageAugmentation
from study.vit.augmentations.mixup import Mixup
from study.vit.training.augment import augment
from study.vit.training.seeds import seed_of


def images(count: int = 3, size: int = 8) -> Tensor:
    """(B, 1, H, W) noise."""
    return torch.rand(count, 1, size, size, generator=torch.Generator().manual_seed(1))


def changed(images_BCHW: Tensor, strength: dict[str, float], **by_hand: list[float]) -> Tensor:
    """Images augmented with these random numbers (one list per augmentation), and 1/2 for all others."""
    drawn = {
        name: torch.tensor(by_hand.get(name, [0.5] * entry.draws)).expand(len(images_BCHW), -1)
        for name, entry in augmentations.items()
        if isinstance(entry, ImageAugmentation)
    }
    return augment(images_BCHW, settings.Augment.model_validate(strength), drawn)


@pytest.mark.parametrize(("u", "mirrored"), [(0.49, True), (0.51, False)])
def test_flip_mirrors_half_of_the_images(u: float, mirrored: bool) -> None:
    found = changed(images(), {"flip": True}, flip=[u])
    assert torch.equal(found, images().flip(-1) if mirrored else images())


def test_shift_moves_by_whole_pixels_and_fills_with_black() -> None:
    moved = changed(images(), {"shift": 0.25}, shift=[1.0, 0.5])
    torch.testing.assert_close(moved[..., :-2], images()[..., 2:])
    assert moved[..., -2:].abs().max() == 0
    moved = changed(images(), {"shift": 0.25}, shift=[0.5, 0.0])
    torch.testing.assert_close(moved[..., 2:, :], images()[..., :-2, :])


def test_rotation_by_a_quarter_turn() -> None:
    turned = changed(images(), {"rotate": 90.0}, rotate=[1.0])
    torch.testing.assert_close(turned, torch.rot90(images(), 1, (-2, -1)), atol=1e-5, rtol=0)


def test_zoom_to_half_size() -> None:
    small = changed(torch.ones(1, 1, 8, 8), {"zoom": 0.5}, zoom=[0.0])[0, 0]
    torch.testing.assert_close(small[2:6, 2:6], torch.ones(4, 4))
    assert small.sum() == pytest.approx(16)


def test_shift_rotation_and_zoom_are_one_map() -> None:
    """The centre of the 4 x 4 square that is left of a white image moves by 2 / 2 pixels, turned from left to down."""
    found = changed(
        torch.ones(1, 1, 8, 8), {"shift": 0.25, "zoom": 0.5, "rotate": 90.0}, shift=[1.0, 0.5], zoom=[0.0], rotate=[1.0]
    )
    expected = torch.zeros(8, 8)
    expected[3:7, 2:6] = 1
    torch.testing.assert_close(found[0, 0], expected, atol=1e-5, rtol=0)


def test_brightness_and_contrast() -> None:
    pair = torch.tensor([0.2, 0.6]).view(1, 1, 1, 2)
    brighter = changed(pair, {"brightness": 0.5}, brightness=[1.0])
    assert brighter.flatten().tolist() == pytest.approx([0.3, 0.9])
    flatter = changed(pair, {"contrast": 0.5}, contrast=[0.0])
    assert flatter.flatten().tolist() == pytest.approx([0.3, 0.5])


def test_values_are_clamped_after_brightness_and_contrast_together() -> None:
    pair = torch.tensor([0.4, 0.8]).view(1, 1, 1, 2)
    found = changed(pair, {"brightness": 0.5, "contrast": 0.5}, brightness=[1.0], contrast=[0.0])
    assert found.flatten().tolist() == pytest.approx([0.75, 1.0])  # 0.6 and 1.2, mean 0.9, then halfway to it: 1.05


def test_erasing_fills_one_square_with_the_mean_colour() -> None:
    erased = changed(images(1), {"erase": 1.0}, erase=[0.0, 0.0, 0.999])[0, 0]
    torch.testing.assert_close(erased[4:, :4], images(1).mean().expand(4, 4))
    assert torch.equal(erased[:4], images(1)[0, 0, :4])
    assert torch.equal(erased[4:, 4:], images(1)[0, 0, 4:, 4:])
    assert torch.equal(changed(images(1), {"erase": 0.3}, erase=[0.31, 0.5, 0.5]), images(1))


def test_mixup_mixes_targets_as_it_mixes_images() -> None:
    pictures = torch.tensor([0.0, 1.0, 2.0]).view(3, 1, 1, 1)
    mixed, targets = Mixup().apply(pictures, torch.eye(3), torch.tensor([0.75, 0.5, 1.0]))
    assert mixed.flatten().tolist() == [0.5, 0.5, 2.0]  # 0.75 * 0 + 0.25 * 2; 0.5 * 1 + 0.5 * 0; 2 alone
    assert targets.tolist() == [[0.75, 0.0, 0.25], [0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]


def test_mixup_shares_have_a_beta_distribution() -> None:
    import numpy as np

    shares = Mixup().draw(0.4, 20_000, np.random.default_rng(seed_of(1, "mixup", 1)))
    assert shares.mean().item() == pytest.approx(0.5, abs=0.02)
    assert shares.var().item() == pytest.approx(0.25 / 1.8, abs=0.01)  # Beta(a, a) has variance 1 / (4 (2a + 1))
