"""Reads a data set and checks that what was read is what was described: image for image, per split and class."""

import numpy as np

from study.utils.errors import StudyError
from study.utils.text import plural
from study.vit.data.arrays import Decoded, Part
from study.vit.data.dataset import DatasetInfo
from study.vit.data.source import Source


def read(source: Source, size: int) -> Decoded:
    """All splits. Raises StudyError if they differ from the description, with the first difference."""
    described = source.describe()
    decoded = source.read(size)
    if difference := _difference(described, decoded):
        raise StudyError(
            f"data set {source.name!r}: {difference}; its files were changed while they were read, or its source is "
            "wrong: run again"
        )
    return decoded


def _difference(described: DatasetInfo, decoded: Decoded) -> str | None:
    """The first difference, as half a sentence."""
    read = {split: len(part.images) for split, part in decoded.parts.items()}
    if described.classes != decoded.info.classes or described.class_names != decoded.info.class_names:
        return f"the number of classes read is {decoded.info.classes}, and {described.classes} were described"
    if described.splits is not None and described.splits != read:
        return f"images per split are {read}, and {described.splits} were described"
    for split, expected in (described.counts or {}).items():
        taken = [name for name in decoded.parts if name not in (described.counts or {})] if split == "train" else []
        found = map(
            sum, zip(*(_per_class(decoded.parts[name], len(expected)) for name in (split, *taken)), strict=True)
        )
        for number, (loaded, counted) in enumerate(zip(found, expected, strict=True)):
            if loaded != counted:
                of_class = f" of class {described.class_names[number]!r}" if described.class_names else ""
                return f"{plural(loaded, f'{split} image')}{of_class} were read, and {counted} counted"
    return None


def _per_class(part: Part, classes: int) -> list[int]:
    """The number of images of each class; without labels, of all."""
    if part.labels is None:
        return [len(part.images)]
    return [int(number) for number in np.bincount(part.labels, minlength=classes)]
