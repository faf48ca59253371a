"""Decoding: the centre square, upright, grey or colour, never larger than requested."""

import ast
import os
import re
import subprocess
import zlib

import numpy as np
import pytest
from helpers.data_samples import encode
from helpers.paths import ROOT
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from study.utils.errors import StudyError
from study.vit.data.arrays import uniform
from study.vit.data.images import FORMATS, Tile, decode, fit, header, stack

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
        (Image.fromarray(COLOUR).quantize(16), COLOUR),
        (Image.fromarray(GREY).convert("P"), np.dstack([GREY] * 3)),
    ],
    ids=["L", "RGB", "1", "P", "P of greys"],
)
def test_all_modes_become_grey_or_colour(image: Image.Image, expected: np.ndarray) -> None:
    data = encode(image)
    np.testing.assert_array_equal(decode(data, "x.png", 4).pixels, expected)
    assert header(data, "x.png").channels == (1 if expected.ndim == 2 else 3)


def on_white(pixels: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """The reference: the mean of pixel and white, weighted by alpha and rounded; no value is halfway."""
    weights = alpha if pixels.ndim == alpha.ndim else alpha[..., None]
    return np.rint((pixels.astype(float) * weights + 255 * (255.0 - weights)) / 255).astype(np.uint8)


ALPHA = GREY[::-1] * 17  # 0 to 255


@given(pixels=arrays(np.uint8, (5, 5, 4)))
def test_transparency_is_composited_on_white(pixels: np.ndarray) -> None:
    expected = on_white(pixels[..., :3], pixels[..., 3])
    for data in (encode(Image.fromarray(pixels)), encode(Image.fromarray(pixels), "TIFF")):
        np.testing.assert_array_equal(decode(data, "x", 5).pixels, expected)


@pytest.mark.parametrize(
    ("image", "kind", "options", "expected"),
    [
        (Image.merge("LA", [Image.fromarray(GREY), Image.fromarray(ALPHA)]), "PNG", {}, on_white(GREY, ALPHA)),
        (Image.fromarray(GREY), "PNG", {"transparency": 3}, np.where(GREY == 3, 255, GREY)),
        (Image.fromarray(GREY > 7), "PNG", {"transparency": 0}, np.full((4, 4), 255)),
        (Image.fromarray(COLOUR), "PNG", {"transparency": (3, 4, 5)}, np.where(COLOUR // 3 == 1, 255, COLOUR)),
        (
            Image.fromarray(np.dstack([COLOUR, ALPHA])),
            "WEBP",
            {"lossless": True, "exact": True},
            on_white(COLOUR, ALPHA),
        ),
        (Image.fromarray(GREY).convert("PA"), "TIFF", {}, np.dstack([GREY] * 3)),
        (
            Image.fromarray(COLOUR).quantize(16),
            "PNG",
            {"transparency": bytes(17 * i for i in range(16))},
            on_white(COLOUR, 17 * np.asarray(Image.fromarray(COLOUR).quantize(16))),
        ),
        (Image.fromarray(GREY), "GIF", {"transparency": 3}, np.where(GREY == 3, 255, GREY)),
    ],
    ids=["LA", "L tRNS", "1 tRNS", "RGB tRNS", "RGBA WebP", "PA", "P tRNS", "GIF"],
)
def test_every_kind_of_transparency(image: Image.Image, kind: str, options: dict, expected: np.ndarray) -> None:
    data = encode(image, kind, **options)
    np.testing.assert_array_equal(decode(data, "x", 4).pixels, expected)
    assert header(data, "x").channels == (1 if expected.ndim == 2 else 3)


def test_transparency_is_composited_before_resizing() -> None:
    """Black lines hidden by transparency do not darken their neighbourhood: the result is white."""
    pixels = np.zeros((8, 8, 4), np.uint8)
    pixels[:, ::2] = 255
    assert (decode(encode(Image.fromarray(pixels)), "x", 2).pixels == 255).all()


def test_the_first_frame() -> None:
    frames = [Image.fromarray(np.full((4, 4), value, np.uint8)) for value in (10, 200)]
    for kind in ("GIF", "TIFF", "PNG"):
        data = encode(frames[0], kind, save_all=True, append_images=frames[1:])
        assert decode(data, "x", 4).pixels.ravel().tolist()[0] == 10


def test_colours_of_print_and_lab() -> None:
    """CMYK without ink is white, with all magenta it is (255, 0, 255). LAB: mid grey is that of sRGB, about 119."""
    for ink, expected in (((0, 0, 0, 0), (255, 255, 255)), ((0, 255, 0, 0), (255, 0, 255))):
        data = encode(Image.new("CMYK", (4, 4), ink), "TIFF")
        assert decode(data, "x", 4).pixels[0, 0].tolist() == list(expected)
    lab = decode(encode(Image.new("LAB", (4, 4), (128, 128, 128)), "TIFF"), "x", 4).pixels
    np.testing.assert_allclose(lab[0, 0].astype(int), (119, 119, 119), atol=2)


def test_images_of_nearly_one_colour_are_counted() -> None:
    images = np.zeros((4, 3, 5, 5), np.uint8)
    images[0] = 200
    images[1, 0, 2, 2] = 15
    images[2, 1, 2, 2] = 16
    images[3] = np.array([0, 100, 200])[:, None, None]  # one colour, of three channels
    assert uniform(images) == 3
    assert uniform(images[:0]) == 0


def test_rotation_by_exif_data() -> None:
    """Orientation 6: the stored image has to be rotated by a quarter turn clockwise."""
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(Image.fromarray(GREY), exif=exif)
    np.testing.assert_array_equal(decode(data, "x.png", 4).pixels, np.rot90(GREY, -1))


@pytest.mark.parametrize("data", [b"", b"no image", encode(GREY)[:40], encode(COLOUR)[:-30]])
def test_errors_name_the_damaged_file(data: bytes) -> None:
    with pytest.raises(StudyError, match=r"^photo 7\.png (is empty|is not an image|cannot be decoded)") as caught:
        decode(data, "photo 7.png", 4)
    assert " at 0x" not in str(caught.value)


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


# --- formats, and images that are made to do harm ---

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n(ran) (w) file closefile\nshowpage\n"
OTHERS = {
    "EPS": EPS,
    "EPS with a preview": b"\xc5\xd0\xd3\xc6\x1e\0\0\0" + len(EPS).to_bytes(4, "little") + bytes(18) + EPS,
    "PDF": b"%PDF-1.4\n1 0 obj<<>>endobj\ntrailer<</Root 1 0 R>>",
    "SVG": b"<svg xmlns='http://www.w3.org/2000/svg' width='8' height='8'/>",
    "WMF": b"\xd7\xcd\xc6\x9a\0\0" + bytes(4) + b"\x08\0\x08\0\x48\0" + bytes(8) + b"\1\0\x09\0\0\3",
    "MPEG": b"\0\0\1\xb3\0\x80\x08\x13\xff\xff",
    "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(40),
    "GRIB": b"GRIB\0\0\0\1" + bytes(40),
    "text": b"no image",
}


@pytest.mark.parametrize("kind", OTHERS)
def test_content_of_other_formats_is_refused_whatever_its_name(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No other program is started."""
    started: list[object] = []
    for name in ("Popen", "run", "call", "check_call"):
        monkeypatch.setattr(subprocess, name, lambda *arguments, **_: started.append(arguments))
    monkeypatch.setattr(os, "system", started.append)
    for function in (header, lambda data, where: decode(data, where, 8)):
        with pytest.raises(StudyError, match=r"^a/x\.png is not an image in one of the formats AVIF, BMP, .*, PNG, "):
            function(OTHERS[kind], "a/x.png")
    assert started == []


def test_every_format_that_is_opened_is_documented() -> None:
    documented = " ".join((ROOT / "grids" / "README.md").read_text(encoding="utf-8").split())
    listed = documented.partition("Your own images can be ")[2].partition(". The content")[0]
    names = re.split(", | or ", re.sub(r" \(.*?\)", "", listed).replace("JPEG 2000", "JPEG2000"))
    assert sorted(name.upper() for name in names) == sorted(FORMATS)


def test_every_image_is_opened_with_its_formats() -> None:
    nodes = [node for path in (ROOT / "study").rglob("*.py") for node in ast.walk(ast.parse(path.read_text("utf-8")))]
    calls = [node for node in nodes if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("Image.open")]
    assert len(calls) >= 2
    assert [ast.unparse(call) for call in calls if "formats" not in {word.arg for word in call.keywords}] == []


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "TGA"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_a_truncated_image_is_one_message(form: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    data = encode(noise, form)
    with pytest.raises(StudyError, match=r"^x/1 ") as caught:
        decode(data[: int(len(data) * share)], "x/1", 8)
    assert "\n" not in str(caught.value)


def png_of(width: int, height: int) -> bytes:
    """A file that states a size, without its pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")

    size = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size + b"\x08\2\0\0\0") + chunk(b"IDAT", zlib.compress(bytes(99)))


@pytest.mark.parametrize("size", [(20_000, 20_000), (2**31 - 1, 2**31 - 1), (2**31 - 1, 1), (65_535, 65_535)])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(size: tuple[int, int]) -> None:
    for function in (header, lambda data, where: decode(data, where, 8)):
        with pytest.raises(StudyError, match=r"^x has too many pixels: at most 178,956,970 are read; shrink it$"):
            function(png_of(*size), "x")


def test_a_large_image_is_read_without_a_warning(recwarn: pytest.WarningsRecorder) -> None:
    tile = decode(encode(Image.new("1", (10_000, 9_000), 1)), "x", 8)
    assert tile.own_side == 9_000
    assert (tile.pixels == 255).all()
    assert not recwarn.list


def test_text_chunks_that_expand_are_one_message() -> None:
    content = b"zTXtbomb\0\0" + zlib.compress(bytes(50_000_000))
    chunk = (len(content) - 4).to_bytes(4, "big") + content + zlib.crc32(content).to_bytes(4, "big")
    whole = encode(GREY)
    with pytest.raises(StudyError, match=r"^x .*too large"):
        decode(whole[:33] + chunk + whole[33:], "x", 8)


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP", "TIFF"])
def test_the_first_frame_of_an_animation(form: str) -> None:
    first, second = (Image.new("RGB", (4, 4), colour) for colour in ("red", "blue"))
    data = encode(first, form, save_all=True, append_images=[second], lossless=True)
    np.testing.assert_array_equal(decode(data, "x", 4).pixels, np.full((4, 4, 3), (255, 0, 0), np.uint8))


def test_a_palette_with_transparent_entries_is_shown_on_white(recwarn: pytest.WarningsRecorder) -> None:
    image = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8)).convert("P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    data = encode(image, transparency=bytes([255, 0, 128]))
    expected = [[[255, 0, 0], [255, 255, 255]], [[127, 127, 255], [255, 255, 255]]]
    np.testing.assert_allclose(decode(data, "x", 2).pixels, expected, atol=1)
    assert not recwarn.list
