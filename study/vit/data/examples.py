"""Encoded images and their labels, as `datasets` reads them from the Hugging Face Hub, tables and folders."""

import glob
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from study.utils import regular_files
from study.utils.errors import StudyError
from study.vit.data.arrays import SPLITS
from study.vit.data.columns import columns_of

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # read by huggingface_hub on import, which is always later
BATCH = 1000  # images in memory at a time


class Example(NamedTuple):
    """One image before it is decoded."""

    where: str  # for messages
    image: bytes | StudyError  # or why there is none
    label: int | None

    def encoded(self) -> bytes:
        """The image. Raises StudyError if there is none."""
        if isinstance(self.image, StudyError):
            raise self.image
        return self.image


def from_files(
    name: str, kind: str, files: Mapping[str, Sequence[str | Path]], **options: object
) -> dict[str, Iterator[Example]]:
    """The splits of a data set in files on this machine, read by a builder of `datasets` called `kind`.

    They are streamed, so that `datasets` neither keeps a second copy in its cache nor needs a writable cache.
    """
    datasets = quiet_datasets()
    with _reading(name), tempfile.TemporaryDirectory() as locks:
        found = datasets.load_dataset(
            kind,
            data_files={split: [str(file) for file in parts] for split, parts in files.items()},
            streaming=True,
            cache_dir=locks,
            **options,
        )
    return from_splits(name, found)


def from_splits(name: str, found: Mapping[str, Any]) -> dict[str, Iterator[Example]]:
    """The splits that `datasets` loaded. Raises StudyError, now or while iterating, if they cannot be read."""
    return {split: _examples(name, split, found[split]) for split in SPLITS if split in found}


def literal(path: Path) -> str:
    """A path as a glob pattern that matches this path only."""
    return glob.escape(str(path))


def example(where: str, cell: Any, label: int | None) -> Example:
    """The image in a cell of a table, see `content`."""
    try:
        return Example(where, content(cell, where), label)
    except StudyError as error:
        return Example(where, error, label)


def content(cell: Any, where: str) -> bytes:
    """The encoded image in a cell of a table: bytes, or a struct of bytes and path of which one is empty.

    Raises StudyError if there is none, or if the file at the path cannot be read.
    """
    cell = {"bytes": cell} if cell is None or isinstance(cell, bytes) else cell
    if cell["bytes"] is not None:
        return bytes(cell["bytes"])
    path = Path(cell.get("path") or "")
    if path.is_absolute():  # a relative path would depend on the working folder
        try:
            return regular_files.read(path)
        except OSError as error:
            raise StudyError(f"{where}: {path} cannot be read: {error.strerror}") from error
    raise StudyError(
        f"{where} contains no image, or only a relative path; write the table with datasets.Dataset.to_parquet, "
        "which embeds images, or use imagefolder:PATH"
    )


def quiet_datasets() -> Any:
    """The package, configured not to count downloads. Imported late, because that takes seconds."""
    import datasets  # type: ignore[import-untyped]

    datasets.config.HF_UPDATE_DOWNLOAD_COUNTS = False
    return datasets


def _examples(name: str, split: str, found: Any) -> Iterator[Example]:
    columns = columns_of(found.features.arrow_schema, f"data set {name!r}")
    names = [columns.image, *([columns.label] if columns.label else [])]
    encoded = found.select_columns(names).cast_column(columns.image, quiet_datasets().Image(decode=False))
    row = 0
    with _reading(name):
        for batch in encoded.iter(BATCH):
            cells = batch[columns.image]
            for cell, label in zip(cells, batch[columns.label] if columns.label else [None] * len(cells), strict=True):
                path = f" ({cell['path']})" if cell and cell["path"] else ""
                where = f"data set {name!r}, {split}, row {row}, column {columns.image!r}{path}"
                yield example(where, cell, label)
                row += 1


@contextmanager
def _reading(name: str) -> Iterator[None]:
    try:
        yield
    except StudyError:
        raise
    except Exception as error:  # the errors of pyarrow, fsspec and `datasets` change with their versions
        raise StudyError(f"data set {name!r} cannot be read: {error}") from error
