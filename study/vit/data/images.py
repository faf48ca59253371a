"""From encoded images (PNG, JPEG and the other `FORMATS`) to arrays of one size.

Images come out as a viewer shows them: upright, transparency on white, the first frame or page of several. Grey images
with more than 8 bits per pixel are brought to 0 to 255 by one rule per data set, see `deep`.

Shapes: N images, C channels, H height, W width, S side of a square.
"""

import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import NamedTuple

import numpy as np
import PIL
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from study.utils.errors import StudyError
from study.vit.data.arrays import Pixels
from study.vit.data.deep import Deep, Values, white_values

FILTER = Image.Resampling.BILINEAR  # Pillow widens it when it shrinks images, so there is no aliasing
FORMATS = (
    *("AVIF", "BMP", "DDS", "DIB", "FITS", "GIF", "ICNS", "ICO", "JPEG", "JPEG2000", "PCX", "PNG", "PPM", "PSD"),
    *("QOI", "SGI", "SUN", "TGA", "TIFF", "WEBP", "XBM", "XPM"),
)
"""The formats that are read, by their names in Pillow, whatever a file is called. Pillow recognises more, for some of
which it runs other programs (Ghostscript for EPS), and plug-ins may add any."""
GREY_MODES = ("1", "L", "LA", "La", "I", "F")  # besides I;16 and its variants


class Tile(NamedTuple):
    """The centre square of one image, shrunk if it was larger than the requested size."""

    pixels: Pixels  # (S, S) grey or (S, S, 3) colour
    own_side: int  # before shrinking


@cache
def formats() -> tuple[str, ...]:
    """Those of `FORMATS` that this installation of Pillow reads."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


class DeepTile(NamedTuple):
    """As `Tile`, of a grey image with more than 8 bits per pixel, before the rule of its data set is known."""

    deep: Deep
    own_side: int

    def plain(self, white: Mapping[str, float]) -> Tile:
        """Values from 0 to 255; `white` is that of the data set."""
        return Tile(self.deep.pixels(white), self.own_side)


class Header(NamedTuple):
    """Size and channels of an image, read without decoding it."""

    width: int
    height: int
    channels: int


def header(data: bytes, where: str) -> Header:
    """Size and channels. Raises StudyError if the bytes are not an image; `where` names it in the message."""
    with _opened(data, where) as image:
        return Header(*image.size, 1 if _is_grey(image.mode) else 3)


def decode(data: bytes, where: str, size: int, white: Mapping[str, float] | None = None) -> Tile:
    """The centre square of an image, upright, transparency on white, at most `size` pixels wide.

    `white` is that of the image's data set; without it the image is a data set of its own. Raises StudyError if the
    image cannot be decoded; `where` names it in the message.
    """
    return _finished(read(data, where, size), white)


def read(data: bytes, where: str, size: int) -> Tile | DeepTile:
    """As `decode`, but the values of an image with more than 8 bits per pixel stay as they are.

    Raises StudyError if the image cannot be decoded; `where` names it in the message.
    """
    with _opened(data, where) as image:
        return _read(image, where, size)


def decode_opened(image: Image.Image, where: str, size: int, white: Mapping[str, float] | None = None) -> Tile:
    """As `decode`, for an image opened or made with Pillow."""
    return _finished(_read(image, where, size), white)


def _finished(tile: Tile | DeepTile, white: Mapping[str, float] | None) -> Tile:
    return tile if isinstance(tile, Tile) else tile.plain({**white_values([tile.deep]), **(white or {})})


def _read(image: Image.Image, where: str, size: int) -> Tile | DeepTile:
    own_side = min(image.size)
    if not own_side:
        raise StudyError(f"{where} has no pixels: its size is {image.width} x {image.height}")
    image.draft(None, (2 * size, 2 * size))  # a JPEG far larger than needed is decoded at a fraction of its size
    try:
        with _quiet():
            image.load()
            upright = ImageOps.exif_transpose(image) if image.getexif() else image
            if _is_deep(upright.mode):
                return DeepTile(_deep(_centre(upright), where, size), own_side)
            square = _centre(_plain(upright))
    except Exception as error:  # Pillow's decoders raise many types, all for damaged files
        raise StudyError(f"{where} cannot be decoded: {error}") from error
    if square.width > size:
        square = square.resize((size, size), FILTER)
    return Tile(np.asarray(square), own_side)


def stack(tiles: Sequence[Tile], side: int, channels: int) -> Pixels:
    """Tiles as one array (N, C, side, side). Tiles of another side are resized, grey ones repeated to colour."""
    images_NCSS = np.empty((len(tiles), channels, side, side), np.uint8)
    for image_CSS, tile in zip(images_NCSS, tiles, strict=True):
        pixels = tile.pixels
        if len(pixels) != side:
            pixels = np.asarray(Image.fromarray(pixels).resize((side, side), FILTER))
        image_CSS[:] = pixels if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    return images_NCSS


def fit(images_NCSS: Pixels, size: int) -> Pixels:
    """Shrink square images larger than `size`; others are returned unchanged."""
    count, channels, side, _ = images_NCSS.shape
    if side <= size:
        return np.ascontiguousarray(images_NCSS)
    planes = [Tile(plane, side) for plane in images_NCSS.reshape(count * channels, side, side)]
    return stack(planes, size, 1).reshape(count, channels, size, size)


def _opened(data: bytes, where: str) -> Image.Image:
    if not data:
        raise StudyError(f"{where} is empty")
    try:
        with _quiet():
            return Image.open(io.BytesIO(data), formats=formats())
    except Image.DecompressionBombError as error:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        raise StudyError(f"{where} has too many pixels: at most {limit:,} are read; shrink it") from error
    except UnidentifiedImageError as error:  # its message has the address of the buffer
        raise StudyError(f"{where} is not an image in one of the formats {', '.join(formats())}") from error
    except Exception as error:  # as above
        raise StudyError(
            f"{where} is damaged, or not an image that Pillow {PIL.__version__} can read: {error}"
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Pillow's warnings, on large images, metadata and palettes: an image is read, or named in a message."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _is_grey(mode: str) -> bool:
    return mode in GREY_MODES or _is_deep(mode)


def _is_deep(mode: str) -> bool:
    """Whether pixels are integers of 16 or 32 bits, or floats."""
    return mode in ("I", "F") or mode.startswith("I;16")


def _plain(image: Image.Image) -> Image.Image:
    """The image in mode L or RGB, transparency on white."""
    plain = "L" if _is_grey(image.mode) else "RGB"
    if image.mode == "LAB":
        return _from_lab(image)
    if not image.has_transparency_data:
        return image if image.mode == plain else image.convert(plain)
    if image.mode == "1":
        image = image.convert("RGBA")  # Pillow loses the transparent value of mode 1 on the way to LA
    shown = image.convert(plain + "A")
    return Image.composite(shown.convert(plain), Image.new(plain, shown.size, "white"), shown.getchannel("A"))


def _from_lab(image: Image.Image) -> Image.Image:
    to_rgb = ImageCms.buildTransform(ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB")
    shown = ImageCms.applyTransform(image, to_rgb)
    assert shown is not None  # it is None only for a transformation in place
    return shown


def _deep(image: Image.Image, where: str, size: int) -> Deep:
    """The values of a deep image, at most `size` pixels wide; a transparent grey value (PNG's tRNS) is covered by 0."""
    values = np.asarray(image).astype(np.float64)
    clear = values == image.info["transparency"] if "transparency" in image.info else np.zeros(values.shape, np.bool_)
    shown = values[~clear]
    low, high = (float(shown.min()), float(shown.max())) if shown.size else (0.0, 0.0)
    return Deep(
        where=where,
        kind="float" if image.mode == "F" else "integer",
        values=_shrunk(np.where(clear, 0, values).astype(np.float32), size),
        clear=_shrunk(clear.astype(np.float32), size) if clear.any() else None,
        low=low,
        high=high,
    )


def _shrunk(values: Values, size: int) -> Values:
    if len(values) <= size:
        return values
    return np.asarray(Image.fromarray(values).resize((size, size), FILTER))


def _centre(image: Image.Image) -> Image.Image:
    """The centre square; if the rest is odd, one pixel more is cropped at the right and bottom."""
    side = min(image.size)
    if image.width == image.height:
        return image
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))
