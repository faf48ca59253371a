"""Grey images with more than 8 bits per pixel: one rule for all images of a data set."""

import re
from pathlib import Path

import numpy as np
import pytest
from helpers.data_samples import encode, save_images
from PIL import Image

from study.utils.errors import StudyError
from study.vit.data import load
from study.vit.data.images import DeepTile, decode, read

STEPS = np.arange(16).reshape(4, 4) / 15  # black to white


def tiff(values: np.ndarray) -> bytes:
    return encode(Image.fromarray(values), "TIFF")


def png(values: np.ndarray) -> bytes:
    return encode(Image.fromarray(values.astype(np.uint16)))


@pytest.mark.parametrize(
    ("data", "white"),
    [
        (tiff(STEPS.astype(np.float32)), 1),
        (tiff(np.float32(255 * STEPS)), 255),
        (tiff(np.int32(np.rint(255 * STEPS))), 255),
        (tiff(np.int32(np.rint(65535 * STEPS))), 65535),
        (tiff(np.uint16(np.rint(65535 * STEPS))), 65535),
        (png(np.rint(65535 * STEPS)), 65535),
        (png(np.rint(16383 * STEPS)), 16383),
        (png(np.rint(4095 * STEPS)), 4095),
        (png(np.rint(1023 * STEPS)), 1023),
        (png(np.rint(255 * STEPS)), 255),
    ],
)
def test_black_to_white_becomes_0_to_255(data: bytes, white: int) -> None:
    np.testing.assert_array_equal(decode(data, "x", 4).pixels, np.rint(255 * STEPS))
    tile = read(data, "x", 4)
    assert isinstance(tile, DeepTile)
    assert tile.deep.high == white


def test_one_rule_for_all_images_of_a_data_set(tmp_path: Path) -> None:
    """12 bits: the dark images, which would fit in 8 bits, stay dark; also those of the test split."""
    for split in ("train", "test"):
        for label, value in (("bright", 4095), ("dark", 200)):
            images = [png(np.full((4, 4), value - i)) for i in range(20)]
            save_images(tmp_path / split, images, [label] * 20)
    data = load(f"imagefolder:{tmp_path}", 4)
    assert data.info.white == {"integer": 4095}
    for part in (data.train, data.validation, data.test):
        means = [part.images[part.labels == label].float().mean().item() for label in (0, 1)]
        assert means == pytest.approx([255 * 4085 / 4095, 255 * 190 / 4095], abs=1)
    assert data.info.uniform_images == 80


def test_a_transparent_value_becomes_white() -> None:
    values = np.array([[0, 65535], [300, 65535]])
    data = encode(Image.fromarray(values.astype(np.uint16)), transparency=300)
    assert decode(data, "x", 2).pixels.tolist() == [[0, 255], [255, 255]]
    darker = encode(Image.fromarray(np.array([[0, 4095], [60000, 819]], np.uint16)), transparency=60000)
    assert decode(darker, "x", 2).pixels.tolist() == [[0, 255], [255, 51]], "the transparent value is no brightness"


def test_shrinking_does_not_round_before_scaling() -> None:
    """Black and a thousandth of white, averaged: half a thousandth, of 4095."""
    values = np.zeros((8, 8), np.float32)
    values[:, 4:] = 1
    pixels = decode(tiff(values), "x", 2).pixels
    assert pixels[0, 0] == 255 - pixels[0, 1]
    assert decode(tiff(np.float32(0.5 * values + 0.25)), "x", 1).pixels[0, 0] in (127, 128)


@pytest.mark.parametrize(
    ("values", "pattern"),
    [
        (np.array([[-1.0, 1.0]], np.float32), "value of -1; values of type float must be 0 to 1 or 0 to 255"),
        (np.array([[0.0, 300.0]], np.float32), "value of 300; values of type float"),
        (np.array([[0.0, np.nan]], np.float32), "NaN or infinite"),
        (np.array([[-1000, 3000]], np.int32), "value of -1000; values of type integer must be 0 to 65535"),
        (np.array([[0, 70000]], np.int32), "value of 70000"),
    ],
)
def test_other_ranges_are_refused(values: np.ndarray, pattern: str) -> None:
    with pytest.raises(StudyError, match=f"scan 7: .*{re.escape(pattern)}"):
        decode(tiff(np.repeat(values, 2, axis=0)), "scan 7", 4)
