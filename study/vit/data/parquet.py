"""Own images in Parquet files, `parquet:PATH`, in the layout of the Hugging Face Hub.

PATH is one file, or a folder with train.parquet and optionally test.parquet and validation.parquet, also in shards such
as train-00000-of-00002.parquet. One column contains encoded images and another, if there are labels, class numbers.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from study.utils.errors import StudyError
from study.vit.data.arrays import Decoded
from study.vit.data.columns import Columns, columns_of
from study.vit.data.dataset import DatasetInfo
from study.vit.data.encoded import assemble
from study.vit.data.examples import content, from_files, literal
from study.vit.data.folders import PEEK, SPLIT_WORDS, existing, known, stamp
from study.vit.data.source import Source


class Parquet(Source):
    """Described quickly, from the metadata of the files; read by `datasets`."""

    def describe(self) -> DatasetInfo:
        files = self._files()
        columns = self._columns(files)
        return known(
            self.name,
            first=peek(files["train"], columns.image),
            classes=self._classes(files["train"], columns),
            counts={split: sum(map(count, parts)) for split, parts in files.items()},
            class_names=columns.class_names,
        )

    def fingerprint(self) -> str:
        return "1, " + stamp(file for parts in self._files().values() for file in parts)

    def read(self, size: int) -> Decoded:
        files = {split: [literal(file) for file in parts] for split, parts in self._files().items()}
        return assemble(self.describe(), from_files(self.name, "parquet", files), size)

    def _files(self) -> dict[str, list[Path]]:
        path = existing(self.name)
        return split_files(path) if path.is_dir() else {"train": [path]}

    def _columns(self, files: dict[str, list[Path]]) -> Columns:
        """The columns, which must be the same in all files. Raises StudyError with the first file that differs."""
        first, *others = [file for parts in files.values() for file in parts]
        columns = columns_in(first)
        for file in others:
            if columns_in(file) != columns:
                raise StudyError(
                    f"data set {self.name!r}: {file} has other image and label columns or other classes than {first}: "
                    f"{columns_in(file)}, not {columns}"
                )
        return columns

    def _classes(self, files: list[Path], columns: Columns) -> int | None:
        if columns.label is None:
            return None
        if columns.class_names is not None:
            return len(columns.class_names)
        return max(highest(file, columns.label) for file in files) + 1


def columns_in(file: Path) -> Columns:
    """The image and label columns. Raises StudyError if the file is not a table or its columns are ambiguous."""
    with _table(file) as table:
        return columns_of(table.schema_arrow, str(file))


def count(file: Path) -> int:
    """Rows."""
    with _table(file) as table:
        return int(table.metadata.num_rows)


def peek(files: Sequence[Path], column: str) -> list[tuple[str, bytes]]:
    """The first few images of the first non-empty file: for each its position, for messages, and content."""
    for file in files:
        with _table(file) as table:
            for batch in table.iter_batches(PEEK, columns=[column]):
                places = [f"{file}, row {row}, column {column!r}" for row in range(len(batch))]
                return [(where, content(cell, where)) for where, cell in zip(places, batch[0].to_pylist(), strict=True)]
    return []


def highest(file: Path, column: str) -> int:
    """The largest label; -1 if there is none."""
    with _table(file) as table:
        return max((label for label in table.read([column])[column].to_pylist() if label is not None), default=-1)


@contextmanager
def _table(file: Path) -> Iterator[pq.ParquetFile]:
    try:
        with pq.ParquetFile(file) as table:
            yield table
    except (pa.ArrowException, OSError) as error:
        raise StudyError(f"{file} cannot be read as a table of images: {error}") from error


def split_files(folder: Path) -> dict[str, list[Path]]:
    """The Parquet files of a folder, or of its folder data/, by split; a single file is train, whatever its name."""
    files = sorted(folder.glob("*.parquet")) or sorted(folder.glob("data/*.parquet"))
    if not files:
        raise StudyError(f"{folder} contains no Parquet files; expected are train.parquet and optionally test.parquet")
    splits: dict[str, list[Path]] = defaultdict(list)
    for file in files:
        word = re.split(r"[-_.]", file.name)[0].lower()
        if word in SPLIT_WORDS:
            splits[SPLIT_WORDS[word]].append(file)
    if not splits and len(files) == 1:
        return {"train": files}
    if "train" not in splits:
        raise StudyError(
            f"{folder} contains no train.parquet, but {', '.join(file.name for file in files[:5])}; name the files "
            "train.parquet, test.parquet and validation.parquet (the last two are optional)"
        )
    return dict(splits)
