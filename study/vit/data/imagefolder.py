"""Own images in folders, `imagefolder:PATH`, in the layout of `datasets` and torchvision.

PATH/train/CLASS/1.png, optionally with PATH/test and PATH/validation, or PATH/CLASS/1.png. Classes are numbered in the
order of their folders' names. Images directly in PATH or PATH/train, or all in one folder, have no labels and can be
used for pre-training only.
"""

from collections.abc import Iterator, Mapping
from fractions import Fraction
from itertools import islice

from study.utils.errors import StudyError
from study.vit.data.arrays import SPLITS, Decoded
from study.vit.data.class_folders import Folder, composed, splits_in
from study.vit.data.content_digest import Member, digest
from study.vit.data.dataset import DatasetInfo
from study.vit.data.encoded import assemble
from study.vit.data.examples import Example
from study.vit.data.folders import PEEK, existing, known, taken
from study.vit.data.source import Source


class ImageFolder(Source):
    """Described quickly, from the names of all files and the first few images."""

    def describe(self) -> DatasetInfo:
        folders = self._folders()
        train = folders["train"]
        return known(
            self.name,
            first=[Example(str(file), file.read_bytes(), None) for file in islice(train.files, PEEK)],
            class_names=tuple(train.classes) if train.labelled else None,
            counts={split: part.counts(train) for split, part in folders.items()},
            origins={split: f"folder {part.path.name}" for split, part in folders.items()},
            left_out=[what for part in folders.values() for what in part.left_out],
        )

    def fingerprint(self) -> str:
        return f"2, {self.content()}"

    def content(self) -> str:
        folders = self._folders()
        members = [
            Member(f"{split}\0{name}\0{composed(file.name)}", file)
            for split in SPLITS
            if split in folders
            for file, name in folders[split].class_names.items()
        ]
        return digest(existing(self.name), members)

    def shares(self) -> dict[str, Fraction]:
        return taken(self.describe())

    def read(self, size: int) -> Decoded:
        info, folders = self.describe(), self._folders()
        classes = {name: number for number, name in enumerate(folders["train"].classes)}
        examples = {split: _examples(part, classes) for split, part in folders.items()}
        return assemble(info, examples, size)

    def _folders(self) -> dict[str, Folder]:
        root = existing(self.name)
        if not root.is_dir():
            raise StudyError(f"data set {self.name!r}: {root} is a file; imagefolder:PATH requires a folder")
        try:
            return splits_in(root)
        except StudyError as error:
            raise StudyError(f"data set {self.name!r}: {error}") from None


def _examples(part: Folder, classes: Mapping[str, int]) -> Iterator[Example]:
    """The images of a split in the order of their paths, each with the number of its class in train."""
    for file, name in part.class_names.items():
        yield Example(str(file), file.read_bytes(), classes.get(name))
