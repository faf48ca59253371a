"""Own images in Parquet files, `parquet:PATH`, in the layout of the Hugging Face Hub.

PATH is one file, or a folder with train.parquet and optionally test.parquet and validation.parquet, also in shards such
as train-00000-of-00002.parquet. One column contains encoded images and another, if there are labels, classes.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from study.utils.errors import StudyError
from study.utils.text import plural
from study.vit.data.arrays import SPLITS, Decoded
from study.vit.data.columns import Columns, columns_of
from study.vit.data.content_digest import Member, digest
from study.vit.data.dataset import DatasetInfo
from study.vit.data.encoded import assemble
from study.vit.data.examples import Example, example
from study.vit.data.folders import PEEK, SPLIT_WORDS, existing, known, taken
from study.vit.data.label_values import Encoding, LabelError, are_secret, check_column, encoding
from study.vit.data.shards import left_out, split_files
from study.vit.data.source import Source

BATCH = 100  # images in memory before they are decoded


@dataclass(frozen=True)
class _Tables:
    """The files of each split, and how they are read."""

    files: dict[str, list[Path]]
    columns: Columns
    encoding: Encoding | None  # None: no labels
    counts: dict[str, list[int]]  # see DatasetInfo
    left_out: list[str]


class Parquet(Source):
    """Described quickly, from the metadata of the files and their labels."""

    def describe(self) -> DatasetInfo:
        tables = self._tables()
        return known(
            self.name,
            first=peek(tables.files["train"], tables.columns.image),
            class_names=None if tables.encoding is None else tables.encoding.names,
            counts=tables.counts,
            origins={split: _origin(files) for split, files in tables.files.items()},
            left_out=tables.left_out,
        )

    def fingerprint(self) -> str:
        return f"1, {self.content()}"

    def content(self) -> str:
        files = self._files()
        column = self._columns(files).image
        members = [
            member
            for split in SPLITS
            for number, file in enumerate(files.get(split, []))
            for member in members_of(file, f"{split}\0{number}", column)
        ]
        return digest(existing(self.name), members)

    def shares(self) -> dict[str, Fraction]:
        return taken(self.describe())

    def read(self, size: int) -> Decoded:
        tables = self._tables()
        return assemble(self.describe(), {split: _examples(tables, split) for split in tables.files}, size)

    def _files(self) -> dict[str, list[Path]]:
        path = existing(self.name)
        return split_files(path) if path.is_dir() else {"train": [path]}

    def _tables(self) -> _Tables:
        """The splits that are read. Raises StudyError if labels or splits are ambiguous."""
        files = self._files()
        columns = self._columns(files)
        _check_split_column(files)
        unused = [*self._unused(files), *_columns_left_out(files["train"][0], columns)]
        if columns.label is None:
            return _Tables(files, columns, None, {split: [sum(map(count, files[split]))] for split in files}, unused)
        found = {split: values(parts, columns.label) for split, parts in files.items()}
        published = {split: labels for split, labels in found.items() if not are_secret(split, labels)}
        try:
            for split, labels in published.items():
                check_column(split, columns.label, labels)
            classes = encoding(published, columns.class_names)
        except LabelError as error:
            place = first_row(files[error.split], columns.label, error)
            raise StudyError(f"data set {self.name!r}, {error.at(place)}") from None
        except StudyError as error:
            raise StudyError(f"data set {self.name!r}, {error}") from None
        unused += [
            f"{_origin(files[split])} (its labels are not published)" for split in found if split not in published
        ]
        counts = {split: classes.counts(labels) for split, labels in published.items()}
        return _Tables({split: files[split] for split in published}, columns, classes, counts, unused)

    def _unused(self, files: dict[str, list[Path]]) -> list[str]:
        path = existing(self.name)
        used = [file for parts in files.values() for file in parts]
        return [f"{name} (not the name of a split)" for name in left_out(path, used)] if path.is_dir() else []

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


def _examples(tables: _Tables, split: str) -> Iterator[Example]:
    """The rows of a split in their order."""
    columns, encoded = tables.columns, tables.encoding
    numbers = {} if encoded is None else {value: number for number, value in enumerate(encoded.values)}
    names = [columns.image, *([columns.label] if columns.label else [])]
    for file in tables.files[split]:
        row = 0
        with _table(file) as table:
            for batch in table.iter_batches(BATCH, columns=names):
                labels = batch[columns.label].to_pylist() if columns.label else [None] * len(batch)
                for cell, label in zip(batch[columns.image].to_pylist(), labels, strict=True):
                    where = f"{file}, row {row}, column {columns.image!r}"
                    yield example(where, cell, numbers.get(label))
                    row += 1


def _columns_left_out(file: Path, columns: Columns) -> list[str]:
    with _table(file) as table:
        return [f"column {name!r}" for name in table.schema_arrow.names if name not in (columns.image, columns.label)]


def _origin(files: Sequence[Path]) -> str:
    return files[0].name if len(files) == 1 else f"{files[0].name} and {plural(len(files) - 1, 'more shard')}"


def _check_split_column(files: dict[str, list[Path]]) -> None:
    """Raise StudyError if a column called split assigns rows to another split than that of their file."""
    for split, file in ((split, file) for split, parts in files.items() for file in parts):
        with _table(file) as table:
            has_column = "split" in table.schema_arrow.names
        written = [value for value in values([file], "split") if isinstance(value, str)] if has_column else []
        if any(SPLIT_WORDS.get(word.lower()) != split for word in written):
            raise StudyError(
                f"{file} is read as {split}, but its column 'split' has {', '.join(sorted(written)[:5])}: write the "
                "rows of each split to a file (train.parquet, test.parquet, validation.parquet), or remove the column"
            )


def columns_in(file: Path) -> Columns:
    """The image and label columns. Raises StudyError if the file is not a table or its columns are ambiguous."""
    with _table(file) as table:
        return columns_of(table.schema_arrow, str(file))


def count(file: Path) -> int:
    """Rows."""
    with _table(file) as table:
        return int(table.metadata.num_rows)


def peek(files: Sequence[Path], column: str) -> list[Example]:
    """The first few images of the first non-empty file, without labels."""
    for file in files:
        with _table(file) as table:
            for batch in table.iter_batches(PEEK, columns=[column]):
                places = [f"{file}, row {row}, column {column!r}" for row in range(len(batch))]
                return [example(where, cell, None) for where, cell in zip(places, batch[0].to_pylist(), strict=True)]
    return []


def values(files: Sequence[Path], column: str) -> Counter[Any]:
    """How often each value occurs in a column; None for empty cells."""
    found: Counter[Any] = Counter()
    for file in files:
        with _table(file) as table:
            for pair in pc.value_counts(table.read([column])[column]).to_pylist():
                found[pair["values"]] += pair["counts"]
    return found


def first_row(files: Sequence[Path], column: str, error: LabelError) -> str:
    """The file and row, counted from 0, of the value that the error is about."""
    for file in files:
        with _table(file) as table:
            labels = (label for batch in table.iter_batches(columns=[column]) for label in batch[0].to_pylist())
            if (row := next((row for row, label in enumerate(labels) if error.has(label)), None)) is not None:
                return f"{file}, row {row}"
    raise error


def members_of(file: Path, role: str, column: str) -> Iterator[Member]:
    """The file itself, and the files whose paths it contains instead of images."""
    yield Member(role, file)
    with _table(file) as table:
        kind = table.schema_arrow.field(column).type
        if not pa.types.is_struct(kind) or kind.get_field_index("path") < 0:
            return
        for group in range(table.num_row_groups):
            for row, cell in enumerate(_cells_with_path(table, group, column)):
                if cell is not None and cell["bytes"] is None and Path(cell["path"] or "").is_absolute():
                    yield Member(f"{role}\0{group}\0{row}", Path(cell["path"]))


def _cells_with_path(table: pq.ParquetFile, group: int, column: str) -> Iterator[Any]:
    """The cells of a row group with an absolute path; images are read only if there are any."""
    paths = table.read_row_group(group, columns=[f"{column}.path"])[0].to_pylist()
    if any(cell and cell["path"] and Path(cell["path"]).is_absolute() for cell in paths):
        yield from table.read_row_group(group, columns=[column])[0].to_pylist()


@contextmanager
def _table(file: Path) -> Iterator[pq.ParquetFile]:
    try:
        with pq.ParquetFile(file) as table:
            yield table
    except (pa.ArrowException, OSError) as error:
        raise StudyError(f"{file} cannot be read as a table of images: {error}") from error
