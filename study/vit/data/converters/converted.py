"""What a converter defines, and what it returns; labels as class numbers; pixels as PNG.

Shapes: N images, C channels, H height, W width.
"""

import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from study.utils.errors import StudyError
from study.utils.text import plural
from study.vit.data.arrays import SPLITS
from study.vit.data.images import read
from study.vit.data.label_values import LabelError, check_column, encoding

CHANNELS = (1, 3, 4)
SIDE = 64  # pixels, of images that are decoded only to check them


@dataclass(frozen=True)
class Part:
    """One split."""

    images: Iterable[bytes]  # encoded, read while iterating
    labels: Sequence[int] | None  # class numbers


@dataclass(frozen=True)
class Converted:
    """A data set: its splits, named as in `SPLITS`, and the names of its classes."""

    parts: Mapping[str, Part]
    class_names: tuple[str, ...] | None  # None: no labels


@dataclass(frozen=True)
class Converter:
    """One format."""

    title: str
    layout: str  # for messages: what SOURCE is
    recognises: Callable[[Path], bool]
    read: Callable[[Path], Converted]


def row_of(split: str, index: int) -> str:
    """The place of an image in a source whose splits are arrays or tables of their own."""
    return f"row {index} of {split}"


def encoded(
    images: Mapping[str, Iterable[bytes]],
    labels: Mapping[str, Sequence[Any]] | None,
    place: Callable[[str, int], str] = row_of,
) -> Converted:
    """A data set from encoded images and any label values: the classes are the values of train in ascending order.

    `place` names the image of a split at an index in messages. Raises StudyError if there is no train split, and for
    labels that are missing, no classes, or not in train.
    """
    if "train" not in images:
        raise StudyError(f"no training images: the source has only {', '.join(images) or 'no images'}")
    ordered = {split: images[split] for split in SPLITS if split in images}
    if labels is None:
        return Converted({split: Part(part, None) for split, part in ordered.items()}, None)
    found = {split: Counter(values) for split, values in labels.items()}
    try:
        for split, counts in found.items():
            check_column(split, "label", counts)
        made = encoding(found, None)
    except LabelError as error:
        index = next(index for index, value in enumerate(labels[error.split]) if error.has(value))
        raise StudyError(error.at(place(error.split, index))) from None
    numbers = {value: number for number, value in enumerate(made.values)}
    parts = {split: Part(part, [numbers[value] for value in labels[split]]) for split, part in ordered.items()}
    return Converted(parts, made.names)


def labels_of(array: NDArray[Any], images: int, where: str) -> list[Any]:
    """One label per image from an array (N,) or (N, 1) of integers, bools or text. Raises StudyError for others."""
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise StudyError(f"{where}: labels have the shape {array.shape}; each image must have one class, as in (N,)")
    if array.dtype.kind not in "iubU":
        raise StudyError(f"{where}: labels have the type {array.dtype}; they must be integers, bools or text")
    if len(array) != images:
        raise StudyError(f"{where}: {plural(len(array), 'label')} for {plural(images, 'image')}")
    return list(array.tolist())


def pictures(array: NDArray[Any], where: str) -> Iterator[bytes]:
    """PNG files of images (N, H, W), (N, H, W, C) or (N, C, H, W): uint8, or uint16 if grey; C is 1, 3 or 4.

    Raises StudyError, at once, for other arrays.
    """
    if array.dtype == np.bool_:
        array = array.astype(np.uint8) * 255
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.ndim == 4 and array.shape[3] not in CHANNELS and array.shape[1] in CHANNELS:
        array = array.transpose(0, 2, 3, 1)
    if array.ndim == 4 and array.shape[3] == 1:
        array = array[..., 0]
    colour = array.ndim == 4
    if array.ndim not in (3, 4) or (colour and array.shape[3] not in CHANNELS) or 0 in array.shape[1:]:
        raise StudyError(
            f"{where}: images have the shape {array.shape}; it must be (N, height, width), or this with 1, 3 or 4 "
            "channels"
        )
    if array.dtype != np.uint8 and (colour or array.dtype != np.uint16):
        raise StudyError(
            f"{where}: pixels have the type {array.dtype}; it must be uint8, or uint16 for grey images: scale them"
        )
    return map(png, array)


def checked(image: bytes, where: str) -> bytes:
    """An encoded image as it is. Raises StudyError if it cannot be decoded."""
    read(image, where, SIDE)
    return image


def png(pixels: NDArray[Any]) -> bytes:
    """A PNG file of (H, W) or (H, W, C) pixels."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "PNG")
    return buffer.getvalue()
