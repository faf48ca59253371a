"""Arrays of NumPy: one .npz file, as those of MedMNIST, or a folder of .npy files with the same names."""

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from study.utils.errors import StudyError
from study.vit.data.converters.converted import Converted, Converter, encoded, labels_of, pictures
from study.vit.data.folders import SPLIT_WORDS

_IMAGES = {"images", "image", "x", "data"}
_LABELS = {"labels", "label", "y", "targets"}


def _recognises(source: Path) -> bool:
    return source.suffix.lower() == ".npz" or (source.is_dir() and any(source.glob("*.npy")))


def _read(source: Path) -> Converted:
    images: dict[str, Any] = {}
    labels: dict[str, Any] = {}
    found = _arrays(source)
    for name, array in found.items():
        split, kind = _meaning(name)
        if kind is not None:
            kept = images if kind == "images" else labels
            if split in kept:
                raise StudyError(f"{source}: several arrays are the {kind} of {split}: {', '.join(found)}")
            kept[split] = array
    if not images or (labels and labels.keys() != images.keys()):
        raise StudyError(
            f"{source} contains the arrays {', '.join(found)}; expected are train_images and train_labels, likewise "
            "val_ and test_ if there are such splits; or images and labels"
        )
    encoded_images = {split: pictures(array, f"{source}, {split}") for split, array in images.items()}
    classes = {split: labels_of(array, len(images[split]), f"{source}, {split}") for split, array in labels.items()}
    return encoded(encoded_images, classes or None)


def _meaning(name: str) -> tuple[str, str | None]:
    """The split of an array, and whether it has images or labels; None for other arrays. `x_train`, `val_labels`."""
    words = re.split(r"[_-]", name.lower())
    split = next((SPLIT_WORDS[word] for word in words if word in SPLIT_WORDS), "train")
    rest = {word for word in words if word not in SPLIT_WORDS}
    for kind, known in (("images", _IMAGES), ("labels", _LABELS)):
        if rest and rest <= known:
            return split, kind
    return split, None


def _arrays(source: Path) -> Mapping[str, Any]:
    """The arrays by their names; those of pickled objects are refused, because reading them would run their code."""
    try:
        if source.is_dir():
            return {file.stem: np.load(file, allow_pickle=False) for file in sorted(source.glob("*.npy"))}
        with np.load(source, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise StudyError(f"{source} cannot be read as arrays of numbers: {error}") from error


CONVERTER = Converter(
    title="NumPy arrays",
    layout="a .npz file with train_images, train_labels, test_images, ..., or a folder with .npy files of these names",
    recognises=_recognises,
    read=_read,
)
