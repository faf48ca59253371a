"""Converts data sets of other formats to Parquet files in the layout that `parquet:PATH` reads."""

import json
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from study.utils.errors import StudyError
from study.vit.data.arrays import SPLITS
from study.vit.data.catalogue import find
from study.vit.data.converters import read
from study.vit.data.converters.converted import Converted, Part

BATCH = 1000  # images in memory and in a row group
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def convert(source: Path, output: Path, overwrite: bool = False) -> dict[str, int]:
    """Write a data set to `output`, a folder with a file per split, or one file NAME.parquet; returns images per split.

    Nothing is written if an image or a label is invalid. Raises StudyError for invalid sources, if `output` exists and
    `overwrite` is False, if one file is requested for several splits, and if `parquet:` could not read the result.
    """
    one_file = output.suffix == ".parquet"
    _check_output(output, one_file, overwrite)
    converted = read(source)
    if one_file and len(converted.parts) > 1:
        raise StudyError(f"{source} has the splits {', '.join(converted.parts)}; give a folder instead of {output}")
    with _temporary(output.parent) as folder:
        parts = converted.parts.items()
        counts = {split: _write(folder / f"{split}.parquet", converted, part) for split, part in parts}
        _check_result(folder, output)
        _publish(folder, output, one_file)
    return counts


def _check_output(output: Path, one_file: bool, overwrite: bool) -> None:
    if output.exists() and output.is_dir() == one_file:
        raise StudyError(f"{output} exists and is {'a folder' if one_file else 'a file'}; choose another output")
    if output.exists() and (one_file or any(output.iterdir())) and not overwrite:
        raise StudyError(f"{output} exists; choose another output, or replace its Parquet files with --overwrite")


@contextmanager
def _temporary(parent: Path) -> Iterator[Path]:
    """A folder that is removed at the end, with the folders above it that it needed and that are empty."""
    made = [folder for folder in (parent, *parent.parents) if not folder.exists()]
    folder = parent / f".convert-{uuid.uuid4().hex}"
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        for above in made:
            if not any(above.iterdir()):
                above.rmdir()


def _write(file: Path, converted: Converted, part: Part) -> int:
    """One split; returns its number of images."""
    schema = _schema(converted.class_names)
    images, labels, count = iter(part.images), iter(part.labels or ()), 0
    with pq.ParquetWriter(file, schema) as writer:
        while batch := list(islice(images, BATCH)):
            columns = {"image": pa.array([{"bytes": image, "path": None} for image in batch], IMAGE)}
            if part.labels is not None:
                columns["label"] = pa.array(list(islice(labels, len(batch))), pa.int64())
            writer.write_table(pa.table(columns, schema=schema))
            count += len(batch)
    return count


def _schema(class_names: tuple[str, ...] | None) -> pa.Schema:
    """With the metadata by which `datasets` knows images and class names."""
    features: dict[str, object] = {"image": {"_type": "Image"}}
    fields = [pa.field("image", IMAGE)]
    if class_names is not None:
        features["label"] = {"names": list(class_names), "_type": "ClassLabel"}
        fields.append(pa.field("label", pa.int64()))
    return pa.schema(fields, metadata={"huggingface": json.dumps({"info": {"features": features}})})


def _check_result(folder: Path, output: Path) -> None:
    """Raise StudyError, with the path of `output`, if a study could not read the files."""
    try:
        find(f"parquet:{folder}").describe()
    except StudyError as error:
        raise StudyError(str(error).replace(str(folder.absolute()), str(output))) from None


def _publish(folder: Path, output: Path, one_file: bool) -> None:
    if one_file:
        (folder / "train.parquet").replace(output)
        return
    output.mkdir(exist_ok=True)
    for split in SPLITS:
        (output / f"{split}.parquet").unlink(missing_ok=True)  # of a data set that is replaced
    for file in folder.iterdir():
        file.replace(output / file.name)
