"""One's own images in folders, `imagefolder:PATH`, laid out as `datasets` and torchvision do.

PATH/train/CLASS/1.png with PATH/test and PATH/validation beside it where they exist, or PATH/CLASS/1.png. Classes are
numbered in the order of their folders' names. Images that lie in PATH or PATH/train themselves, or all in one folder,
have no labels and serve pre-training only.
"""

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
    """The images of one split by class; the one class of images without labels is called ''."""

    path: Path
    classes: Mapping[str, list[Path]]

    @property
    def labelled(self) -> bool:
        return len(self.classes) > 1

    @property
    def files(self) -> list[Path]:
        return [file for files in self.classes.values() for file in files]


class ImageFolder(Source):
    """See the top of this file."""

    def describe(self) -> DatasetInfo:
        return self._known(self._folders())

    def fingerprint(self) -> str:
        return "1, " + stamp(file for folder in self._folders().values() for file in folder.files)

    def read(self, size: int) -> Decoded:
        folders = self._folders()
        names = list(folders["train"].classes)
        return assemble(
            self._known(folders), {split: encoded(folder, names) for split, folder in folders.items()}, size
        )

    def _known(self, folders: Mapping[str, Folder]) -> DatasetInfo:
        train = folders["train"]
        return known(
            self.name,
            first=list(islice(contents(train), PEEK)),
            classes=len(train.classes) if train.labelled else None,
            counts={split: len(folder.files) for split, folder in folders.items()},
        )

    def _folders(self) -> dict[str, Folder]:
        root = existing(self.name)
        if not root.is_dir():
            raise StudyError(f"data set {self.name!r}: {root} is a file; imagefolder:PATH takes a folder")
        splits = {
            SPLIT_WORDS[child.name.lower()]: child for child in _folders_in(root) if child.name.lower() in SPLIT_WORDS
        }
        folders = {
            split: folder(path) for split, path in ({"train": root} if "train" not in splits else splits).items()
        }
        self._check(folders)
        return folders

    def _check(self, folders: Mapping[str, Folder]) -> None:
        train = folders["train"]
        for split, other in folders.items():
            if not other.files:
                raise StudyError(
                    f"data set {self.name!r}: {other.path} holds no images; {', '.join(ENDINGS)} are sought, in one "
                    "folder per class"
                )
            strange = sorted(set(other.classes) - set(train.classes)) if train.labelled else []
            if strange:
                raise StudyError(
                    f"data set {self.name!r}: {split} has {strange[0]!r}, which is no class of train; classes are "
                    f"{', '.join(train.classes)}"
                )


def folder(path: Path) -> Folder:
    """The images in a folder, sorted by class and path. Raises StudyError where some have a class and some none."""
    loose = [file for file in sorted(path.iterdir()) if _is_image(file)]
    classes = {child.name: _images_under(child) for child in _folders_in(path)}
    classes = {name: files for name, files in classes.items() if files}
    if loose and classes:
        raise StudyError(
            f"{path} holds images both itself ({loose[0].name}) and in folders ({next(iter(classes))}): with labels "
            "each belongs into the folder of its class, without all into one folder"
        )
    return Folder(
        path, classes if len(classes) > 1 else {"": loose or [file for files in classes.values() for file in files]}
    )


def encoded(split: Folder, names: list[str]) -> Encoded:
    """One split; `names` are the classes in the order of their numbers."""
    numbers = [names.index(name) for name, files in split.classes.items() for _ in files] if len(names) > 1 else None
    return Encoded(partial(contents, split), None if numbers is None else np.array(numbers, np.int64))


def contents(split: Folder) -> Iterator[tuple[str, bytes]]:
    """Each image's path and content."""
    for file in split.files:
        try:
            yield str(file), file.read_bytes()
        except OSError as error:
            raise StudyError(f"{file} cannot be read: {error.strerror}") from error


def _folders_in(path: Path) -> list[Path]:
    return sorted(child for child in path.iterdir() if child.is_dir() and not child.name.startswith("."))


def _images_under(path: Path) -> list[Path]:
    return sorted(file for file in path.rglob("*") if _is_image(file))


def _is_image(file: Path) -> bool:
    return file.suffix.lower() in ENDINGS and not file.name.startswith(".") and file.is_file()
