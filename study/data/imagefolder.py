"""One's own images in folders, `imagefolder:PATH`, laid out as `datasets` and torchvision do.

PATH/train/CLASS/1.png with PATH/test and PATH/validation beside it where they exist, or PATH/CLASS/1.png. Classes are
numbered in the order of their folders' names. Images that lie in PATH or PATH/train themselves, or all in one folder,
have no labels and serve pre-training only.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np

from study.data.arrays import Decoded
from study.data.dataset import DatasetInfo
from study.data.encoded import Encoded, assemble
from study.data.folders import PEEK, SPLIT_WORDS, existing, known, stamp
from study.data.source import Source
from study.errors import StudyError

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm")


@dataclass(frozen=True)
class Folder:
    """The images of one split by class; those that lie in no folder of their own are of class ''."""

    path: Path
    classes: Mapping[str, list[Path]]

    @property
    def files(self) -> list[Path]:
        return [file for files in self.classes.values() for file in files]


class ImageFolder(Source):
    """See the top of this file."""

    def describe(self) -> DatasetInfo:
        folders = self._folders()
        classes = len(folders["train"].classes)
        return known(
            self.name,
            first=list(islice(contents(folders["train"]), PEEK)),
            classes=classes if classes > 1 else None,
            counts={split: len(part.files) for split, part in folders.items()},
        )

    def fingerprint(self) -> str:
        return "1, " + stamp(file for part in self._folders().values() for file in part.files)

    def read(self, size: int) -> Decoded:
        folders = self._folders()
        names = list(folders["train"].classes)
        return assemble(self.describe(), {split: encoded(part, names) for split, part in folders.items()}, size)

    def _folders(self) -> dict[str, Folder]:
        root = existing(self.name)
        if not root.is_dir():
            raise StudyError(f"data set {self.name!r}: {root} is a file; imagefolder:PATH takes a folder")
        folders = {split: sorted_folder(path) for split, path in split_folders(root).items()}
        for split, part in folders.items():
            self._check(split, part, folders["train"])
        return folders

    def _check(self, split: str, part: Folder, train: Folder) -> None:
        if not part.files:
            raise StudyError(
                f"data set {self.name!r}: {part.path} holds no images; {', '.join(ENDINGS)} are sought, in one folder "
                "per class"
            )
        strange = sorted(set(part.classes) - set(train.classes))
        if strange and len(train.classes) > 1:
            raise StudyError(
                f"data set {self.name!r}: {split} has {strange[0]!r}, which is no class of train; classes are "
                f"{', '.join(train.classes)}"
            )


def split_folders(root: Path) -> dict[str, Path]:
    """The folder of each split; where no folder is called after one, all of `root` is train."""
    splits: dict[str, Path] = {}
    for child in _children(root):
        split = SPLIT_WORDS.get(child.name.lower())
        if split in splits:
            raise StudyError(f"{root} holds both {splits[split].name} and {child.name}; keep one folder for {split}")
        if split is not None:
            splits[split] = child
    if splits and "train" not in splits:
        raise StudyError(
            f"{root} holds {', '.join(child.name for child in splits.values())} but no train; name the folder of "
            "training images train"
        )
    return splits or {"train": root}


def sorted_folder(path: Path) -> Folder:
    """The images in a folder, sorted by class and path. Raises StudyError where some have a class and some none."""
    loose = [file for file in sorted(path.iterdir()) if _is_image(file)]
    found = {child.name: _images_under(child) for child in _children(path)}
    classes = {name: files for name, files in found.items() if files}
    if loose and classes:
        raise StudyError(
            f"{path} holds images both itself ({loose[0].name}) and in folders ({next(iter(classes))}): with labels "
            "each belongs into the folder of its class, without all into one folder"
        )
    return Folder(path, {"": loose} if loose else classes)


def encoded(part: Folder, names: list[str]) -> Encoded:
    """One split; `names` are the classes in the order of their numbers. One class alone is no class."""
    if len(names) < 2:
        return Encoded(partial(contents, part), None)
    numbers = [names.index(name) for name, files in part.classes.items() for _ in files]
    return Encoded(partial(contents, part), np.array(numbers, np.int64))


def contents(split: Folder) -> Iterator[tuple[str, bytes]]:
    """Each image's path and content."""
    for file in split.files:
        try:
            yield str(file), file.read_bytes()
        except OSError as error:
            raise StudyError(f"{file} cannot be read: {error.strerror}") from error


def _children(path: Path) -> list[Path]:
    return sorted(child for child in path.iterdir() if child.is_dir() and not child.name.startswith("."))


def _images_under(path: Path) -> list[Path]:
    """Sorted; raises OSError where `Path.rglob` would leave out a folder that may not be read."""

    def refuse(error: OSError) -> None:
        raise error

    found = (Path(folder, file) for folder, _, files in os.walk(path, onerror=refuse) for file in files)
    return sorted(filter(_is_image, found))


def _is_image(file: Path) -> bool:
    return file.suffix.lower() in ENDINGS and not file.name.startswith(".") and file.is_file()
