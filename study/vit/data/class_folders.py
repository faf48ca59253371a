"""The images of `imagefolder:PATH` by split and class, from one walk: what it lists is counted, described and read.

Links are followed. Hidden files and folders, and folders whose names start with `__`, are ignored. All other files and
folders that are not read are counted, to be shown.
"""

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from PIL import Image

from study.utils.errors import StudyError
from study.utils.text import plural
from study.vit.data.folders import SPLIT_WORDS
from study.vit.data.images import formats
from study.vit.data.unchanged import kept_while_unchanged

PICTURES = frozenset(
    (
        *(".avif", ".heic", ".heif", ".jxl", ".svg", ".webp", ".eps", ".ps", ".raw", ".dng", ".cr2", ".nef", ".wmf"),
        *(".emf", ".pcd", ".blp", ".dcx", ".fli", ".flc", ".cur", ".im", ".msp", ".gbr", ".pxr", ".ftc", ".ftu"),
    )
)
"""Endings of pictures that are not read, by some or all installations of Pillow."""
_LIKE_SPLIT = re.compile(rf"({'|'.join(SPLIT_WORDS)})[-_. ]?(images?|imgs?|photos?|pictures?|data(set)?|set|split|\d+)")
_SEGMENTATION = ({"images", "image", "imgs", "img"}, {"masks", "mask", "labels", "annotations", "segmentation"})


@dataclass(frozen=True)
class Folder:
    """The images of one split by class; images directly in `path` have class ''.

    Classes and the order of files are those of names in NFC, so that they do not depend on the file system.
    """

    path: Path
    classes: Mapping[str, tuple[Path, ...]]
    left_out: tuple[str, ...] = ()

    @property
    def labelled(self) -> bool:
        """Whether there is more than one class."""
        return len(self.classes) > 1

    @property
    def files(self) -> list[Path]:
        """All images, in the order of their paths as text."""
        return [*self.class_names]

    @cached_property
    def class_names(self) -> Mapping[Path, str]:
        """The class of each image, in the order of their paths as text."""
        names = {file: name for name, files in self.classes.items() for file in files}
        return {file: names[file] for file in sorted(names, key=lambda file: composed(str(file)))}

    def counts(self, train: "Folder") -> list[int]:
        """The number of images of each class of train; of all images if train has no classes."""
        if not train.labelled:
            return [len(self.files)]
        return [len(self.classes.get(name, ())) for name in train.classes]


@dataclass(frozen=True)
class _Content:
    """What is directly in a folder."""

    folders: list[Path]
    images: list[Path]
    others: list[Path]


def composed(name: str) -> str:
    """A name in NFC: macOS and other systems spell the same name with different Unicode characters."""
    return unicodedata.normalize("NFC", name)


def splits_in(root: Path) -> dict[str, Folder]:
    """The images of each split; all of `root` is train if no folder has the name of a split.

    Raises StudyError if the split or the class of an image is ambiguous, and if a split has no images.
    """
    here = _content(root)
    named = _named_splits(root, here)
    if not named:
        return {"train": _checked(_by_class(root))}
    found = {split: _checked(_by_class(path)) for split, path in named.items()}
    beside = [child for child in here.folders if child not in named.values()]
    loose = [child for child in beside if _content(child).images]
    if loose and not found["train"].labelled:
        raise StudyError(
            f"{root} contains {named['train'].name} and {loose[0].name}, both with images directly in them: put the "
            f"folders of all classes into {root / 'train'}, or move {loose[0].name} elsewhere"
        )
    _check_classes(found)
    left_out = (*_folders_left_out(beside), *_files_left_out([*here.images, *here.others]))
    train = found["train"]
    return {**found, "train": Folder(train.path, train.classes, (*train.left_out, *left_out))}


def _named_splits(root: Path, here: _Content) -> dict[str, Path]:
    splits: dict[str, Path] = {}
    for child in here.folders:
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
    return splits


def _by_class(path: Path) -> Folder:
    """The images in a folder, sorted by class and path. Raises StudyError if the class of an image is ambiguous."""
    here = _content(path)
    contents = {child: _content(child) for child in here.folders}
    _check_names({composed(child.name): child for child in contents if next(_all_in(child), None)})
    for deeper in (image for content in contents.values() for folder in content.folders for image in _all_in(folder)):
        raise StudyError(f"{deeper} is nested too deep: images must be in {path}/CLASS, not in folders below it")
    filled = {child: content.images for child, content in contents.items() if content.images}
    if here.images and filled:
        raise StudyError(
            f"{path} contains images both directly ({here.images[0].name}) and in folders ({next(iter(filled)).name}): "
            "with labels, move each into the folder of its class; without labels, move all into one folder"
        )
    for child, content in contents.items():
        _check_readable(child, content)
    others = [*here.others, *(file for child in filled for file in contents[child].others)]
    left_out = (*_folders_left_out([child for child in contents if child not in filled]), *_files_left_out(others))
    classes = {"": tuple(here.images)} if here.images else _named_classes(filled)
    return Folder(path, classes, left_out)


def _named_classes(filled: Mapping[Path, list[Path]]) -> dict[str, tuple[Path, ...]]:
    """The images by class name, sorted. Raises StudyError for two spellings of a name."""
    spelled: dict[str, Path] = {}
    for child in filled:
        name = composed(child.name)
        if name in spelled:
            raise StudyError(
                f"{child.parent} contains two folders called {name!r}, spelled with different Unicode characters (NFC "
                "and NFD); move the images of both into one"
            )
        spelled[name] = child
    return {name: tuple(filled[spelled[name]]) for name in sorted(spelled)}


def _check_names(classes: Mapping[str, Path]) -> None:
    names = {name.lower(): path for name, path in classes.items()}
    for name, path in names.items():
        if match := _LIKE_SPLIT.fullmatch(name):
            raise StudyError(
                f"{path} has the name of a split, not of a class: rename it to {SPLIT_WORDS[match[1]]}, or, if it is a "
                "class, to a name that does not begin with that of a split"
            )
    pictures, masks = (sorted(kind & names.keys()) for kind in _SEGMENTATION)
    if pictures and masks:
        raise StudyError(
            f"{names[pictures[0]].parent} contains {pictures[0]} and {masks[0]}, which are not classes: put the images "
            "into one folder per class, or name only the folder of images in the grid, for pre-training"
        )


def _check_readable(folder: Path, content: _Content) -> None:
    """Raise StudyError for a folder of which no picture can be read: its class would be missing."""
    if content.images:
        return
    if unreadable := [file for file in content.others if file.suffix.lower() in PICTURES]:
        raise StudyError(
            f"{folder} contains {plural(len(unreadable), 'picture')} that cannot be read here "
            f"({', '.join(sorted({file.suffix for file in unreadable}))}), and no other; convert them to PNG or JPEG"
        )


def _checked(folder: Folder) -> Folder:
    if not folder.files:
        raise StudyError(
            f"{folder.path} contains no images; expected are {', '.join(formats())}, in one folder per class"
            f"{'; left out: ' * bool(folder.left_out)}{', '.join(folder.left_out)}"
        )
    return folder


def _check_classes(found: Mapping[str, Folder]) -> None:
    train = found["train"]
    for split, part in found.items():
        unknown = sorted(part.classes.keys() - train.classes.keys())
        if unknown and (train.labelled or part.labelled):
            raise StudyError(
                f"class {unknown[0]!r} of {split} is not a class of train; classes are {', '.join(train.classes)}"
            )


def _folders_left_out(folders: Iterable[Path]) -> Iterator[str]:
    for folder in folders:
        count = sum(1 for _ in _all_in(folder))
        yield f"folder {folder.name} ({plural(count, 'image') if count else 'no images'})"


def _files_left_out(files: Iterable[Path]) -> Iterator[str]:
    """The numbers of files by ending."""
    for kind, count in sorted(Counter(map(_kind, files)).items()):
        yield plural(count, kind)


def _kind(file: Path) -> str:
    """What kind of file is not read, as a noun."""
    if not file.exists():
        return "broken link"
    ending = file.suffix.lower()
    return f"unreadable {ending} picture" if ending in PICTURES else f"{ending} file".strip()


def _all_in(folder: Path) -> Iterator[Path]:
    """All images in a folder and below it; each real folder once, since links can form a ring."""
    waiting, seen = [folder], set[str]()
    while waiting:
        here = waiting.pop()
        if (real := os.path.realpath(here)) in seen:
            continue
        seen.add(real)
        content = _content(here)
        yield from content.images
        waiting.extend(content.folders)


@kept_while_unchanged
def _content(path: Path) -> _Content:
    found = _Content([], [], [])
    for child in sorted(path.iterdir()):
        if child.name.startswith("."):
            continue
        if child.is_dir():
            if not child.name.startswith("__"):
                found.folders.append(child)
        elif child.suffix.lower() in _endings() and child.is_file():
            found.images.append(child)
        else:
            found.others.append(child)
    return found


@cache
def _endings() -> frozenset[str]:
    readable = formats()
    return frozenset(ending for ending, kind in Image.registered_extensions().items() if kind in readable)
