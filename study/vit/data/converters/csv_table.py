"""A CSV file with the paths of images, relative to its own folder, their labels and, optionally, their splits."""

import csv
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from study.utils.errors import StudyError
from study.utils.text import plural
from study.vit.data.columns import LABEL_NAMES
from study.vit.data.converters.converted import Converted, Converter, encoded
from study.vit.data.folders import SPLIT_WORDS
from study.vit.data.images import header

_PATHS = ("path", "file", "filename", "file_name", "image")


def _read(source: Path) -> Converted:
    rows = _rows(source)
    paths, label = _column(rows[0], _PATHS), _column(rows[0], LABEL_NAMES)
    if paths is None:
        raise StudyError(f"{source} has no column of paths ({', '.join(_PATHS)}); its columns are {', '.join(rows[0])}")
    files: dict[str, list[Path]] = defaultdict(list)
    labels: dict[str, list[str]] = defaultdict(list)
    for number, row in enumerate(rows, start=2):
        split = _split(source, number, row)
        files[split].append(source.parent / row[paths])
        labels[split].append("" if label is None else row[label].strip())
    _check_files(source, [file for part in files.values() for file in part])
    images = {split: _images(part) for split, part in files.items()}
    return encoded(images, None if label is None else _numbers(labels))


def _rows(source: Path) -> list[dict[str, str]]:
    try:
        with source.open(newline="", encoding="utf-8-sig") as lines:
            rows = list(csv.DictReader(lines, strict=True))
    except (OSError, ValueError, csv.Error) as error:
        raise StudyError(f"{source} cannot be read as CSV in UTF-8: {error}") from error
    if not rows:
        raise StudyError(f"{source} has no rows below its header")
    for number, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise StudyError(f"{source}, row {number}: the number of values differs from that of the header")
    return rows


def _column(row: dict[str, str], names: Sequence[str]) -> str | None:
    return next((name for name in names if name in row), None)


def _split(source: Path, number: int, row: dict[str, str]) -> str:
    written = row.get("split", "train").strip().lower()
    if written not in SPLIT_WORDS:
        raise StudyError(f"{source}, row {number}: unknown split {written!r}; write train, validation or test")
    return SPLIT_WORDS[written]


def _check_files(source: Path, files: list[Path]) -> None:
    missing = [str(file) for file in files if not file.is_file()]
    if missing:
        raise StudyError(f"{source}: {plural(len(missing), 'image')} not found: {', '.join(missing[:5])}")


def _numbers(labels: dict[str, list[str]]) -> dict[str, list[str]] | dict[str, list[int]]:
    """Labels that are all whole numbers as such, so that 10 comes after 9."""
    if all(text.lstrip("-").isdecimal() for part in labels.values() for text in part):
        return {split: [int(text) for text in part] for split, part in labels.items()}
    return labels


def _images(files: list[Path]) -> Iterator[bytes]:
    for file in files:
        data = file.read_bytes()
        header(data, str(file))
        yield data


CONVERTER = Converter(
    title="CSV and images",
    layout="a .csv file with columns path, label and, optionally, split",
    recognises=lambda source: source.suffix == ".csv" and source.is_file(),
    read=_read,
)
