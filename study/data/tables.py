"""Reading images and labels from parquet files, and from the Arrow files in which `datasets` caches what it loads."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from study.data.arrays import Labels
from study.data.encoded import Encoded
from study.errors import StudyError

IMAGE_NAMES = ("image", "img")  # which of several image columns is meant
LABEL_NAMES = ("label", "labels", "fine_label", "class", "target")  # which of several label columns
BATCH = 1000  # rows in memory at a time


@dataclass(frozen=True)
class Columns:
    """Where images and labels stand."""

    image: str
    label: str | None  # None: the table has no labels
    class_names: tuple[str, ...] | None  # None: the table does not tell them


def columns_of(file: Path) -> Columns:
    """The image and label columns of a table, by the types `datasets` wrote into it, else by type and name.

    Raises StudyError if the file is no table, has no image column, or leaves open which of several is meant.
    """
    with _reading(file):
        schema = _table(file).schema_arrow if file.suffix == ".parquet" else _stream(file).schema
    features = _features(schema)
    images = [name for name, kind in features.items() if kind.get("_type") == "Image"]
    images = images or [field.name for field in schema if _holds_bytes(field.type)]
    labels = [name for name, kind in features.items() if kind.get("_type") == "ClassLabel"]
    labels = labels or [field.name for field in schema if pa.types.is_integer(field.type) and field.name in LABEL_NAMES]
    if not images:
        raise StudyError(f"{file} has no column of encoded images; its columns are {', '.join(schema.names)}")
    label = _choose(file, "label", labels, LABEL_NAMES) if labels else None
    names = features.get(label or "", {}).get("names")
    return Columns(_choose(file, "image", images, IMAGE_NAMES), label, tuple(names) if names else None)


def count(files: Sequence[Path]) -> int:
    """Rows of all files together."""
    total = 0
    for file in files:
        with _reading(file):
            rows = _table(file).metadata.num_rows if file.suffix == ".parquet" else None
            total += sum(batch.num_rows for batch in _stream(file)) if rows is None else rows
    return total


def encoded(files: Sequence[Path], columns: Columns) -> Encoded:
    """The split that lies in these files, one after the other."""
    return Encoded(lambda: images(files, columns.image), labels(files, columns.label) if columns.label else None)


def images(files: Sequence[Path], column: str) -> Iterator[tuple[str, bytes]]:
    """Each image's place, for messages, and content."""
    for file in files:
        row = 0
        for values in _batches(file, column):
            content = values.field("bytes") if pa.types.is_struct(values.type) else values
            for data in content.to_pylist():
                where = f"{file}, row {row}, column {column!r}"
                if data is None:
                    raise StudyError(
                        f"{where} holds no image, at most the path of one; write the table with "
                        "datasets.Dataset.to_parquet, which embeds them, or use imagefolder:PATH"
                    )
                yield where, data
                row += 1


def labels(files: Sequence[Path], column: str) -> Labels:
    """All labels, (N,). Raises StudyError where a row has none."""
    found = []
    for file in files:
        for values in _batches(file, column):
            if values.null_count:
                raise StudyError(f"{file}: {values.null_count} rows have no value in column {column!r}; remove them")
            found.append(np.asarray(values.to_numpy(zero_copy_only=False), np.int64))
    return np.concatenate(found) if found else np.empty(0, np.int64)


def _batches(file: Path, column: str) -> Iterator[pa.Array]:
    with _reading(file):
        if file.suffix == ".parquet":
            source: Any = _table(file).iter_batches(BATCH, columns=[column])
        else:
            source = _stream(file)
        for batch in source:
            yield batch.column(column)


def _table(file: Path) -> Any:
    return pq.ParquetFile(file)


def _stream(file: Path) -> Any:
    return pa.ipc.open_stream(pa.memory_map(str(file)))


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, KeyError) as error:
        raise StudyError(f"{file} cannot be read as a table of images: {error}") from error


def _features(schema: Any) -> dict[str, dict[str, Any]]:
    """What `datasets` notes about columns in a file's metadata; empty where another program wrote the file."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {name: kind for name, kind in features.items() if name in schema.names and isinstance(kind, dict)}
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}


def _holds_bytes(kind: Any) -> bool:
    if pa.types.is_struct(kind):
        return any(kind.field(i).name == "bytes" and _holds_bytes(kind.field(i).type) for i in range(kind.num_fields))
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _choose(file: Path, what: str, found: Sequence[str], preferred: Sequence[str]) -> str:
    if len(found) == 1:
        return found[0]
    for name in preferred:
        if name in found:
            return name
    raise StudyError(
        f"{file} has several {what} columns: {', '.join(found)}; remove all but one, or name one {preferred[0]!r}"
    )
