"""One's own images in parquet files, `parquet:PATH`, laid out as the Hugging Face Hub does.

PATH is one file, or a folder with train.parquet and, where they exist, test.parquet and validation.parquet; parts such
as train-00000-of-00002.parquet belong together. One column holds encoded images and one, if there are labels, class
numbers.
"""

import re
from collections import defaultdict
from itertools import islice
from pathlib import Path

from study.data.arrays import Decoded
from study.data.dataset import DatasetInfo
from study.data.encoded import assemble
from study.data.folders import PEEK, SPLIT_WORDS, existing, known, stamp
from study.data.source import Source
from study.data.tables import Columns, columns_of, count, encoded, images, labels
from study.errors import StudyError


class Parquet(Source):
    """See the top of this file."""

    def describe(self) -> DatasetInfo:
        files = self._files()
        columns = self._columns(files)
        return known(
            self.name,
            first=list(islice(images(files["train"], columns.image), PEEK)),
            classes=self._classes(files, columns),
            counts={split: count(parts) for split, parts in files.items()},
        )

    def fingerprint(self) -> str:
        return "1, " + stamp(file for parts in self._files().values() for file in parts)

    def read(self, size: int) -> Decoded:
        files = self._files()
        columns = self._columns(files)
        return assemble(self.describe(), {split: encoded(parts, columns) for split, parts in files.items()}, size)

    def _files(self) -> dict[str, list[Path]]:
        path = existing(self.name)
        return split_files(path) if path.is_dir() else {"train": [path]}

    def _columns(self, files: dict[str, list[Path]]) -> Columns:
        """The same for all files, or a StudyError that says which file differs from the first."""
        first, *others = [file for parts in files.values() for file in parts]
        columns = columns_of(first)
        for file in others:
            if columns_of(file) != columns:
                raise StudyError(
                    f"data set {self.name!r}: {file} has other image and label columns or other classes than {first}: "
                    f"{columns_of(file)}, not {columns}"
                )
        return columns

    def _classes(self, files: dict[str, list[Path]], columns: Columns) -> int | None:
        if columns.label is None:
            return None
        if columns.class_names is not None:
            return len(columns.class_names)
        return int(labels(files["train"], columns.label).max(initial=0)) + 1


def split_files(folder: Path) -> dict[str, list[Path]]:
    """The parquet files of a folder, or of data/ in it, by split; a file of its own is train, whatever its name."""
    files = sorted(folder.glob("*.parquet")) or sorted(folder.glob("data/*.parquet"))
    if not files:
        raise StudyError(
            f"{folder} holds no parquet files; train.parquet and, if there is one, test.parquet are sought"
        )
    splits: dict[str, list[Path]] = defaultdict(list)
    for file in files:
        word = re.split(r"[-_.]", file.name)[0].lower()
        if word in SPLIT_WORDS:
            splits[SPLIT_WORDS[word]].append(file)
    if not splits and len(files) == 1:
        return {"train": files}
    if "train" not in splits:
        raise StudyError(
            f"{folder} holds no train.parquet, but {', '.join(file.name for file in files[:5])}; name the files "
            "train.parquet, test.parquet and validation.parquet (the last two may be missing)"
        )
    return dict(splits)
