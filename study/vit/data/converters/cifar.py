"""CIFAR-10 and CIFAR-100 in Python's format, as torchvision downloads them.

The files are pickles, which can run any code. They are read by an unpickler that makes arrays, bytes, text, numbers,
lists and dictionaries only, and refuses everything else.
"""

import io
import pickle
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy._core.multiarray import _reconstruct  # what pickled arrays call

from study.utils.errors import StudyError
from study.vit.data.converters.converted import Converted, Converter, Part, pictures

SIDE = 32
_FOLDERS = ("cifar-10-batches-py", "cifar-100-python")  # in torchvision's root
_TEN = {"train": [f"data_batch_{number}" for number in range(1, 6)], "test": ["test_batch"]}
_HUNDRED = {"train": ["train"], "test": ["test"]}


def _folder(source: Path) -> Path | None:
    places = [source, *(source / name for name in _FOLDERS)]
    found = [place for place in places if (place / "batches.meta").is_file() or (place / "meta").is_file()]
    return found[0] if len(found) == 1 else None


def _read(source: Path) -> Converted:
    folder = _folder(source)
    assert folder is not None, "recognised"
    ten = (folder / "batches.meta").is_file()
    names, label = ("label_names", "labels") if ten else ("fine_label_names", "fine_labels")
    meta = _load(folder / ("batches.meta" if ten else "meta"))
    classes = tuple(_text(name) for name in _entry(meta, names, folder))
    parts = {split: _part(folder, files, label, len(classes)) for split, files in (_TEN if ten else _HUNDRED).items()}
    return Converted(parts, classes)


def _part(folder: Path, files: list[str], label: str, classes: int) -> Part:
    batches = [_load(folder / file) for file in files]
    labels = [int(value) for batch in batches for value in _entry(batch, label, folder)]
    pixels = np.concatenate([_rows(batch, folder) for batch in batches])
    if len(labels) != len(pixels) or not all(0 <= value < classes for value in labels):
        raise StudyError(f"{folder}: {', '.join(files)}: labels do not match the images or the classes of the data set")
    return Part(pictures(pixels, str(folder)), labels)


def _rows(batch: dict[str, Any], folder: Path) -> Any:
    """(N, 32, 32, 3): a row of the file has the red, then the green, then the blue pixels."""
    data = _entry(batch, "data", folder)
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != 3 * SIDE * SIDE:
        raise StudyError(f"{folder}: data must be an array of uint8 with {3 * SIDE * SIDE} columns")
    return data.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)


def _entry(batch: dict[str, Any], name: str, folder: Path) -> Any:
    if name not in batch:
        raise StudyError(f"{folder}: no {name} in a file that has {', '.join(batch)}")
    return batch[name]


def _load(file: Path) -> dict[str, Any]:
    """A pickled dictionary, with text for its keys. Raises StudyError for a file that contains anything else."""
    try:
        loaded = Plain(io.BytesIO(file.read_bytes()), encoding="bytes").load()
        return {_text(key): value for key, value in loaded.items()}
    except StudyError as error:
        raise StudyError(f"{file}: {error}") from None
    except Exception as error:  # a damaged pickle raises almost any type
        raise StudyError(f"{file} cannot be read as a batch of CIFAR: {error!r}") from error


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _bytes_of(text: str, encoding: str) -> bytes:
    """What pickles of protocol 2 call to make bytes, for the only encoding that they use."""
    if encoding != "latin1":
        raise StudyError(f"refused to decode {encoding!r} in a pickle")
    return text.encode("latin1")


class Plain(pickle.Unpickler):
    """Makes plain data and arrays of NumPy only."""

    ALLOWED: ClassVar[dict[tuple[str, str], Any]] = {
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("_codecs", "encode"): _bytes_of,
        ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
        ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    }

    def find_class(self, module: str, name: str) -> Any:
        """The only names that a batch of CIFAR uses. Raises StudyError for all others."""
        try:
            return self.ALLOWED[module, name]
        except KeyError:
            raise StudyError(
                f"refused to load {module}.{name}: the pickle contains more than arrays and text"
            ) from None


CONVERTER = Converter(
    title="CIFAR-10 or CIFAR-100",
    layout="torchvision's folder cifar-10-batches-py or cifar-100-python, or the folder that contains it",
    recognises=lambda source: source.is_dir() and _folder(source) is not None,
    read=_read,
)
