"""From encoded images (PNG, JPEG and other formats that Pillow reads) to arrays of one size.

Shapes: N images, C channels, H height, W width, S side of a square.
"""

import io
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import PIL
from PIL import Image, ImageOps

from study.utils.errors import StudyError
from study.vit.data.arrays import Pixels

FILTER = Image.Resampling.BILINEAR  # Pillow widens it when it shrinks images, so there is no aliasing
NOT_PIXELS = frozenset(("BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"))
"""Formats that Pillow recognises, and reads only with other programs (for EPS it runs Ghostscript), if at all."""
GREY_MODES = ("1", "L", "LA", "La", "I", "F")  # besides I;16 and its variants


class Tile(NamedTuple):
    """The centre square of one image, shrunk if it was larger than the requested size."""

    pixels: Pixels  # (S, S) grey or (S, S, 3) colour
    own_side: int  # before shrinking


@cache
def formats() -> tuple[str, ...]:
    """The formats that are read, by their names in Pillow."""
    Image.init()
    return tuple(sorted(Image.OPEN.keys() - NOT_PIXELS))


class Header(NamedTuple):
    """Size and channels of an image, read without decoding it."""

    width: int
    height: int
    channels: int


def header(data: bytes, where: str) -> Header:
    """Size and channels. Raises StudyError if the bytes are not an image; `where` names it in the message."""
    with _opened(data, where) as image:
        return Header(*image.size, 1 if _is_grey(image.mode) else 3)


def decode(data: bytes, where: str, size: int) -> Tile:
    """The centre square of an image, rotated by its EXIF data, without transparency, at most `size` pixels wide.

    Raises StudyError if it cannot be decoded; `where` names it in the message.
    """
    with _opened(data, where) as image:
        own_side = min(image.size)
        image.draft(None, (2 * size, 2 * size))  # a JPEG far larger than needed is decoded at a fraction of its size
        try:
            image.load()
        except Exception as error:  # Pillow's decoders raise many types, all for damaged files
            raise StudyError(f"{where} cannot be decoded: {error}") from error
        square = _centre(_plain(image))
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
    try:
        return Image.open(io.BytesIO(data), formats=formats())
    except Exception as error:  # as above
        raise StudyError(f"{where} is not an image that Pillow {PIL.__version__} can read: {error}") from error


def _is_grey(mode: str) -> bool:
    return mode in GREY_MODES or mode.startswith("I;16")


def _plain(image: Image.Image) -> Image.Image:
    """The image in mode L or RGB, upright."""
    if image.getexif():
        image = ImageOps.exif_transpose(image)
    if image.mode in ("L", "RGB"):
        return image
    if image.mode.startswith("I"):  # 16 bits a pixel: 0 to 65,535 become 0 to 255
        return Image.fromarray((np.clip(np.asarray(image), 0, 65535) // 257).astype(np.uint8))
    if _is_grey(image.mode):
        return image.convert("L")
    return image.convert("RGBA").convert("RGB") if image.mode == "P" else image.convert("RGB")


def _centre(image: Image.Image) -> Image.Image:
    """The centre square; if the rest is odd, one pixel more is cropped at the right and bottom."""
    side = min(image.size)
    if image.width == image.height:
        return image
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))
