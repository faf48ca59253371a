"""The predicted class of every test image of a fine-tuning, as a file of its own beside the result.

Shapes: N test images.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from study.utils.npz import packed, smallest, unpacked

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
        predicted_N, labels_N = found["predicted"], found["labels"]
        made = Predictions(predicted_N, labels_N, str(found["images"]), tuple(map(str, found["class_names"])))
    except (KeyError, TypeError) as error:
        raise ValueError(f"no array {error} in it") from None
    _check(made)
    return made


def _check(made: Predictions) -> None:
    """Raise ValueError unless both arrays have one class for each of the same images."""
    shape = made.labels_N.shape
    if len(shape) != 1 or not shape[0] or made.predicted_N.shape != shape:
        raise ValueError(f"shape {made.predicted_N.shape} for test images of shape {shape}")
    if not all(np.issubdtype(classes.dtype, np.unsignedinteger) for classes in (made.predicted_N, made.labels_N)):
        raise ValueError("classes that are no indices")
    largest = max(int(made.predicted_N.max()), int(made.labels_N.max()))
    if made.class_names and largest >= len(made.class_names):
        raise ValueError(f"class {largest} has no name; the last one is {len(made.class_names) - 1}")
