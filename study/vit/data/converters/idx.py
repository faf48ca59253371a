"""IDX files of MNIST and its relatives, such as train-images-idx3-ubyte.gz."""

import gzip
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from study.utils.errors import StudyError
from study.utils.text import plural
from study.vit.data.converters.converted import Converted, Converter, encoded, labels_of, pictures

_NAME = re.compile(r"(train|t10k|test)-(images|labels)[-.]idx[13]-ubyte(\.gz)?")
_PLACES = ("", "raw", "MNIST/raw", "FashionMNIST/raw", "KMNIST/raw")  # in torchvision's root


def _files(source: Path) -> dict[tuple[str, str], Path]:
    """The files by split and content, in the first place that has some; unpacked ones are preferred."""
    for place in (source / place for place in _PLACES):
        found = {
            ("train" if match[1] == "train" else "test", match[2]): file
            for file in sorted(place.glob("*-ubyte*"), reverse=True)
            if (match := _NAME.fullmatch(file.name))
        }
        if found:
            return found
    return {}


def _read(source: Path) -> Converted:
    files = _files(source)
    for split, content in files:
        other = "labels" if content == "images" else "images"
        if (split, other) not in files:
            raise StudyError(f"{source} has {content} of {split}, but no {other}")
    images = {split: _array(file, 3) for (split, content), file in files.items() if content == "images"}
    labels = {
        split: labels_of(_array(file, 1), len(images[split]), str(file))
        for (split, content), file in files.items()
        if content == "labels"
    }
    return encoded({split: pictures(array, str(source)) for split, array in images.items()}, labels)


def _array(file: Path, dimensions: int) -> NDArray[Any]:
    """Two zero bytes, type 8 (uint8), the number of dimensions, each dimension in 4 bytes, most significant first, then
    the values. Raises StudyError if the file differs."""
    try:
        data = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise StudyError(f"{file} cannot be unpacked: {error}") from error
    start = 4 + 4 * dimensions
    if data[:4] != bytes((0, 0, 8, dimensions)) or len(data) < start:
        raise StudyError(f"{file} is no IDX file of bytes in {dimensions} dimensions")
    shape = np.frombuffer(data[4:start], ">u4").astype(int)
    if len(data) - start != shape.prod():
        raise StudyError(
            f"{file} has {plural(len(data) - start, 'value')}, but its header states {shape.prod()}; download it again"
        )
    return np.frombuffer(data[start:], np.uint8).reshape(tuple(shape))


CONVERTER = Converter(
    title="IDX",
    layout="a folder with train-images-idx3-ubyte, train-labels-idx1-ubyte and t10k-..., each also as .gz",
    recognises=lambda source: source.is_dir() and bool(_files(source)),
    read=_read,
)
