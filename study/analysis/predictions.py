"""The predicted class of every test image in each trial of a study: the file `predictions.npz` of a report.

Shapes: T trials, N test images.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from study.utils.npz import packed, smallest, unpacked

Classes = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Predicted:
    """One test split, and what the trials predicted on it. Trials are comparable image by image within one."""

    images: str  # digest of the test images in order
    labels_N: Classes
    class_names: tuple[str, ...]  # in the order of the labels; empty if not recorded
    keys: tuple[str, ...]  # of the trials
    predicted_TN: Classes

    @property
    def classes(self) -> int:
        """The number of classes, or without names the number that occur."""
        return len(self.class_names) or 1 + int(max(self.predicted_TN.max(), self.labels_N.max()))

    def name(self, label: int) -> str:
        """The name of a class, or its number."""
        return self.class_names[label] if self.class_names else str(label)


def encode(predictions: Sequence[Predicted]) -> bytes:
    """The content of the file. Right predictions are 0 in it, and take almost no space."""
    arrays: dict[str, npt.NDArray[Any]] = {"images": np.array([one.images for one in predictions], dtype=np.str_)}
    for i, one in enumerate(predictions):
        modulus = 1 + int(max(one.labels_N.max(), one.predicted_TN.max()))
        kind = smallest(modulus)
        shifts_TN = (one.predicted_TN.astype(np.int64) - one.labels_N) % modulus
        arrays |= {
            f"labels_{i}": one.labels_N.astype(kind),
            f"class_names_{i}": np.array(one.class_names, dtype=np.str_),
            f"keys_{i}": np.array(one.keys, dtype=np.bytes_),
            f"classes_{i}": np.array(modulus),
            f"shifts_{i}": shifts_TN.astype(kind),  # predicted minus true class, modulo `classes`
        }
    return packed(arrays)


def decode(data: bytes) -> tuple[Predicted, ...]:
    """What `encode` wrote. Raises ValueError for anything else."""
    found = unpacked(data)
    try:
        return tuple(_decoded(found, i, str(images)) for i, images in enumerate(found["images"]))
    except (KeyError, TypeError) as error:
        raise ValueError(f"predictions lack {error}") from None


def _decoded(found: Any, i: int, images: str) -> Predicted:
    labels_N, names = found[f"labels_{i}"].astype(np.int64), tuple(map(str, found[f"class_names_{i}"]))
    predicted_TN = (found[f"shifts_{i}"] + labels_N) % int(found[f"classes_{i}"])
    return Predicted(images, labels_N, names, tuple(key.decode() for key in found[f"keys_{i}"]), predicted_TN)
