"""Decoding: the centre square, upright, grey or colour, never larger than requested."""

import numpy as np
import pytest
from helpers.data_samples import encode
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from study.utils.errors import StudyError
from study.vit.data.images import Tile, decode, fit, header, stack

COLOUR = np.arange(4 * 4 * 3, dtype=np.uint8).reshape(4, 4, 3)
GREY = np.arange(16, dtype=np.uint8).reshape(4, 4)


@given(pixels=arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))))
def test_the_centre_square_at_its_own_size(pixels: np.ndarray) -> None:
    height, width, _ = pixels.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    tile = decode(encode(pixels), "x.png", size=9)
    np.testing.assert_array_equal(tile.pixels, pixels[top : top + side, left : left + side])
    assert tile.own_side == side


def test_larger_images_are_averaged_down() -> None:
    """An image of two uniform halves stays one, with the same mean."""
    pixels = np.zeros((64, 64), np.uint8)
    pixels[:, 32:] = 200
    tile = decode(encode(pixels), "x.png", size=8)
    assert tile.pixels.shape == (8, 8)
    assert tile.own_side == 64
    assert tile.pixels[:, 0].tolist() == [0] * 8
    assert tile.pixels[:, 7].tolist() == [200] * 8
    assert tile.pixels.mean() == pytest.approx(100, abs=1)


def test_a_large_jpeg_keeps_its_colours_and_reports_its_own_side() -> None:
    tile = decode(encode(np.full((400, 600, 3), (200, 100, 50), np.uint8), "JPEG"), "x.jpg", size=16)
    assert tile.pixels.shape == (16, 16, 3)
    assert tile.own_side == 400
    np.testing.assert_allclose(tile.pixels.reshape(-1, 3).mean(0), (200, 100, 50), atol=3)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.fromarray(GREY), GREY),
        (Image.fromarray(COLOUR), COLOUR),
        (Image.fromarray(GREY > 7), np.where(GREY > 7, 255, 0)),
        (Image.merge("LA", [Image.fromarray(GREY)] * 2), GREY),
        (Image.fromarray(GREY.astype(np.uint16) * 257), GREY),
        (Image.fromarray(np.dstack([COLOUR, GREY])), COLOUR),
        (Image.fromarray(COLOUR).quantize(16), COLOUR),
        (Image.fromarray(GREY).convert("P"), np.dstack([GREY] * 3)),
    ],
    ids=["L", "RGB", "1", "LA", "I;16", "RGBA", "P", "P of greys"],
)
def test_all_modes_become_grey_or_colour(image: Image.Image, expected: np.ndarray) -> None:
    data = encode(image)
    np.testing.assert_array_equal(decode(data, "x.png", 4).pixels, expected)
    assert header(data, "x.png").channels == (1 if expected.ndim == 2 else 3)


def test_a_palette_with_transparent_colours_does_not_warn() -> None:
    image = Image.fromarray(COLOUR).quantize(16)
    data = encode(image, transparency=bytes(range(0, 256, 16)))
    np.testing.assert_array_equal(decode(data, "x.png", 4).pixels, COLOUR)


def test_rotation_by_exif_data() -> None:
    """Orientation 6: the stored image has to be rotated by a quarter turn clockwise."""
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(Image.fromarray(GREY), exif=exif)
    np.testing.assert_array_equal(decode(data, "x.png", 4).pixels, np.rot90(GREY, -1))


@pytest.mark.parametrize("data", [b"", b"no image", encode(GREY)[:40], encode(COLOUR)[:-30]])
def test_errors_name_the_damaged_file(data: bytes) -> None:
    with pytest.raises(StudyError, match=r"photo 7\.png"):
        decode(data, "photo 7.png", 4)


def test_stack_resizes_other_sizes_and_repeats_grey_channels() -> None:
    flat = np.full((2, 2), 9, np.uint8)
    stacked = stack([Tile(GREY, 4), Tile(flat, 2), Tile(COLOUR, 4)], side=4, channels=3)
    assert stacked.shape == (3, 3, 4, 4)
    np.testing.assert_array_equal(stacked[0], np.stack([GREY] * 3))
    assert (stacked[1] == 9).all()
    np.testing.assert_array_equal(stacked[2], COLOUR.transpose(2, 0, 1))


@given(
    images=arrays(np.uint8, st.tuples(st.integers(0, 3), st.sampled_from([1, 3]), st.just(6), st.just(6))),
    size=st.integers(1, 9),
)
def test_fit_only_ever_shrinks(images: np.ndarray, size: int) -> None:
    fitted = fit(images, size)
    side = min(size, 6)
    assert fitted.shape == (*images.shape[:2], side, side)
    if size >= 6:
        np.testing.assert_array_equal(fitted, images)
    for image, small in zip(images, fitted, strict=True):
        for plane, small_plane in zip(image, small, strict=True):
            np.testing.assert_array_equal(decode(encode(plane), "x.png", size).pixels, small_plane)
