"""Own images in folders, `imagefolder:PATH`, in the layout of `datasets` and torchvision.

PATH/train/CLASS/1.png, optionally with PATH/test and PATH/validation, or PATH/CLASS/1.png. Classes are numbered in the
order of their folders' names. Images directly in PATH or PATH/train, or all in one folder, have no labels and can be
used for pre-training only.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path

from PIL import Image

from study.utils.errors import StudyError
from study.vit.data.arrays import Decoded
from study.vit.data.dataset import DatasetInfo
from study.vit.data.encoded import assemble
from study.vit.data.examples import from_files, literal
from study.vit.data.folders import PEEK, SPLIT_WORDS, existing, known, stamp
from study.vit.data.source import Source


@dataclass(frozen=True)
class Folder:
    """The images of one split by class; images directly in `path` have class ''."""

    path: Path
    classes: Mapping[str, list[Path]]

    @property
    def files(self) -> list[Path]:
        return [file for files in self.classes.values() for file in files]

    @property
    def pattern(self) -> str:
        """The glob pattern of the images, for `datasets`."""
        return literal(self.path) + ("/*" if "" in self.classes else "/*/*")


class ImageFolder(Source):
    """Described quickly, from the names of all files and the first few images; read by `datasets`."""

    def describe(self) -> DatasetInfo:
        folders = self._folders()
        classes = len(folders["train"].classes)
        return known(
            self.name,
            first=[(str(file), file.read_bytes()) for file in islice(folders["train"].files, PEEK)],
            classes=classes if classes > 1 else None,
            counts={split: len(part.files) for split, part in folders.items()},
            class_names=tuple(folders["train"].classes) if classes > 1 else None,
        )

    def fingerprint(self) -> str:
        return "1, " + stamp(file for part in self._folders().values() for file in part.files)

    def read(self, size: int) -> Decoded:
        info = self.describe()
        patterns = {split: [part.pattern] for split, part in self._folders().items()}
        unlabelled = info.classes is None
        examples = from_files(self.name, "imagefolder", patterns, drop_labels=unlabelled, drop_metadata=True)
        return assemble(info, examples, size)

    def _folders(self) -> dict[str, Folder]:
        root = existing(self.name)
        if not root.is_dir():
            raise StudyError(f"data set {self.name!r}: {root} is a file; imagefolder:PATH requires a folder")
        folders = {split: sorted_folder(path) for split, path in split_folders(root).items()}
        for split, part in folders.items():
            self._check(split, part, folders["train"])
        return folders

    def _check(self, split: str, part: Folder, train: Folder) -> None:
        if not part.files:
            raise StudyError(
                f"data set {self.name!r}: {part.path} contains no images; expected are PNG, JPEG or other formats that "
                "Pillow reads, in one folder per class"
            )
        unknown = sorted(set(part.classes) - set(train.classes))
        if unknown and len(train.classes) > 1:
            raise StudyError(
                f"data set {self.name!r}: class {unknown[0]!r} of {split} is not a class of train; classes are "
                f"{', '.join(train.classes)}"
            )


def split_folders(root: Path) -> dict[str, Path]:
    """The folder of each split; all of `root` is train if no folder has the name of a split."""
    splits: dict[str, Path] = {}
    for child in _folders(root):
        split = SPLIT_WORDS.get(child.name.lower())
        if split in splits:
            raise StudyError(f"{root} contains both {splits[split].name} and {child.name}; keep one folder for {split}")
        if split is not None:
            splits[split] = child
    if splits and "train" not in splits:
        raise StudyError(
            f"{root} contains {', '.join(child.name for child in splits.values())} but no train; name the folder of "
            "training images train"
        )
    return splits or {"train": root}


def sorted_folder(path: Path) -> Folder:
    """The images in a folder, sorted by class and path. Raises StudyError if the class of an image is ambiguous."""
    loose = _images(path)
    children = _folders(path)
    classes = {child.name: files for child in children if (files := _images(child))}
    for deeper in (file for child in children for folder in _folders(child) for file in _images(folder)):
        raise StudyError(f"{deeper} is nested too deep: images must be in {path}/CLASS, not in folders below it")
    if loose and classes:
        raise StudyError(
            f"{path} contains images both directly ({loose[0].name}) and in folders ({next(iter(classes))}): with "
            "labels, move each into the folder of its class; without labels, move all into one folder"
        )
    return Folder(path, {"": loose} if loose else classes)


def _folders(path: Path) -> list[Path]:
    return sorted(child for child in path.iterdir() if child.is_dir() and not child.name.startswith((".", "__")))


def _images(path: Path) -> list[Path]:
    return sorted(file for file in path.iterdir() if _is_image(file))


def _is_image(file: Path) -> bool:
    return file.suffix.lower() in _endings() and not file.name.startswith(".") and file.is_file()


@cache
def _endings() -> set[str]:
    return {ending for ending, kind in Image.registered_extensions().items() if kind in Image.OPEN}
