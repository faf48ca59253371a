"""The predicted class of every test image of a fine-tuning, as a file of its own beside the result.

Shapes: N test images.
"""

import io
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Classes = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Predictions:
    """Predicted and true classes of the test images, in the order of the test split."""

    predicted_N: Classes
    labels_N: Classes
    images: str  # digest of the test images in order: equal only for the same test split
    class_names: tuple[str, ...] = ()  # in the order of the labels; empty where the data set has none


def encode(predictions: Predictions) -> bytes:
    """The content of the file: a compressed .npz, whose integers have the fewest bytes that hold all classes."""
    classes = max(int(predictions.predicted_N.max()), int(predictions.labels_N.max()))
    return packed(
        {
            "predicted": predictions.predicted_N.astype(smallest(classes)),
            "labels": predictions.labels_N.astype(smallest(classes)),
            "images": np.array(predictions.images),
            "class_names": np.array(predictions.class_names, dtype=np.str_),
        }
    )


def decode(data: bytes) -> Predictions:
    """What `encode` wrote. Raises ValueError for anything else."""
    found = unpacked(data)
    try:
        names = tuple(map(str, found["class_names"]))
        return Predictions(found["predicted"], found["labels"], str(found["images"]), names)
    except KeyError as error:
        raise ValueError(f"no array {error} in it") from None


def smallest(largest: int) -> type[np.unsignedinteger[Any]]:
    """The smallest unsigned type that holds this number, which is below 2^32."""
    return next(kind for kind in (np.uint8, np.uint16, np.uint32) if largest <= np.iinfo(kind).max)


def packed(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """A compressed .npz of these arrays: the same bytes for the same arrays, as it has no times."""
    file = io.BytesIO()
    np.savez_compressed(file, **dict(arrays))  # type: ignore[arg-type]
    return file.getvalue()


def unpacked(data: bytes) -> dict[str, npt.NDArray[Any]]:
    """The arrays of a .npz. Raises ValueError if it is none."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as stored:
            return dict(stored)
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, AttributeError, TypeError) as error:
        raise ValueError(f"not a .npz file ({error})") from None
