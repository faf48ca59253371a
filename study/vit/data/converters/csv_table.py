"""A CSV file with the paths of images, relative to its own folder, their labels and, optionally, their splits."""

import csv
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from study.utils.errors import StudyError
from study.utils.text import plural
from study.vit.data.columns import LABEL_NAMES
from study.vit.data.converters.converted import Converted, Converter, checked, encoded
from study.vit.data.folders import SPLIT_WORDS

_WHOLE = re.compile(r"0|-?[1-9][0-9]{0,17}")  # of 64 bits
_PATHS = ("path", "file", "filename", "file_name", "image")


def _read(source: Path) -> Converted:
    rows = _rows(source)
    paths, label = _columns(source, [*rows[0]])
    files: dict[str, list[Path]] = defaultdict(list)
    labels: dict[str, list[str]] = defaultdict(list)
    numbers: dict[str, list[int]] = defaultdict(list)
    for number, row in enumerate(rows, start=2):
        split = _split(source, number, row)
        files[split].append(source.parent / row[paths])
        labels[split].append("" if label is None else row[label].strip())
        numbers[split].append(number)
    _check_files(source, [file for part in files.values() for file in part])
    images = {split: _images(part) for split, part in files.items()}

    def place(split: str, index: int) -> str:
        return f"{source}, row {numbers[split][index]}"

    return encoded(images, None if label is None else _numbers(labels), place)


def _rows(source: Path) -> list[dict[str, str]]:
    """The rows that are not empty, by the names of the columns in lower case."""
    try:
        with source.open(newline="", encoding="utf-8-sig") as lines:
            header, *rows = [row for row in csv.reader(lines, strict=True) if row] or [[]]
    except (OSError, ValueError, csv.Error) as error:
        raise StudyError(f"{source} cannot be read as CSV in UTF-8: {error}") from error
    if not rows:
        raise StudyError(f"{source} has no rows below its header")
    names = [name.strip().lower() for name in header]
    if double := [name for name, count in Counter(names).items() if count > 1]:
        raise StudyError(f"{source} has several columns {double[0]!r}; remove all but one")
    for number, row in enumerate(rows, start=2):
        if len(row) != len(names):
            raise StudyError(f"{source}, row {number}: the number of values differs from that of the header")
    return [dict(zip(names, row, strict=True)) for row in rows]


def _columns(source: Path, names: Sequence[str]) -> tuple[str, str | None]:
    """The columns of paths and of labels. Raises StudyError if columns are neither, and one may have the labels."""
    paths, label = (next((name for name in known if name in names), None) for known in (_PATHS, LABEL_NAMES))
    if paths is None:
        raise StudyError(
            f"{source} has no column of paths ({', '.join(_PATHS)}), separated by commas; its columns are "
            f"{', '.join(names)}"
        )
    if label is None and (others := [name for name in names if name not in (paths, "split")]):
        raise StudyError(
            f"{source} has no column of labels ({', '.join(LABEL_NAMES)}), but {', '.join(others)}: rename the one "
            "with the labels, or, if the images are for pre-training only, remove these columns"
        )
    return paths, label


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
    """Labels that are all whole numbers as such, so that 10 comes after 9. Text such as 007 stays text: 7 differs."""
    if all(_WHOLE.fullmatch(text) for part in labels.values() for text in part):
        return {split: [int(text) for text in part] for split, part in labels.items()}
    return labels


def _images(files: list[Path]) -> Iterator[bytes]:
    for file in files:
        yield checked(file.read_bytes(), str(file))


CONVERTER = Converter(
    title="CSV and images",
    layout="a .csv file with columns path, label and, optionally, split",
    recognises=lambda source: source.suffix.lower() == ".csv" and source.is_file(),
    read=_read,
)
