"""Folders written by `save_to_disk` of `datasets`."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path
from typing import Any

from study.utils.errors import StudyError
from study.vit.data.columns import columns_of
from study.vit.data.converters.converted import Converted, Converter, Part, checked, encoded
from study.vit.data.examples import content, quiet_datasets
from study.vit.data.folders import SPLIT_WORDS

_MARKS = ("dataset_dict.json", "state.json")


def _read(source: Path) -> Converted:
    datasets = quiet_datasets()
    try:
        loaded = datasets.load_from_disk(str(source))
    except Exception as error:  # the errors of `datasets` change with its versions
        raise StudyError(f"{source} cannot be read as a data set saved to disk: {error}") from error
    found = dict(loaded) if isinstance(loaded, datasets.DatasetDict) else {"train": loaded}
    unknown = [split for split in found if split not in SPLIT_WORDS]
    if unknown:
        raise StudyError(
            f"{source}: unknown split {unknown[0]!r}; rename it to train, validation or test, or remove it"
        )
    if double := [split for split, count in Counter(map(SPLIT_WORDS.__getitem__, found)).items() if count > 1]:
        raise StudyError(f"{source}: several splits are {double[0]}: {', '.join(found)}; remove all but one")
    return _converted({SPLIT_WORDS[split]: part for split, part in found.items()}, source)


def _converted(found: dict[str, Any], source: Path) -> Converted:
    columns = {split: columns_of(part.features.arrow_schema, f"{source}, {split}") for split, part in found.items()}
    if len(set(columns.values())) > 1:
        raise StudyError(f"{source}: splits have different image or label columns or classes: {columns}")
    image, label, names = astuple(next(iter(columns.values())))
    images = {split: _images(part, image, f"{source}, {split}") for split, part in found.items()}
    if label is None:
        return encoded(images, None)
    labels = {split: list(part[label]) for split, part in found.items()}
    if names is None:
        return encoded(images, labels)
    return Converted({split: Part(images[split], labels[split]) for split in encoded(images, None).parts}, names)


def _images(part: Any, column: str, where: str) -> Iterator[bytes]:
    stored = part.select_columns([column]).cast_column(column, quiet_datasets().Image(decode=False))
    for number, row in enumerate(stored):
        place = f"{where}, row {number}"
        yield checked(content(row[column], place), place)


CONVERTER = Converter(
    title="saved by `datasets`",
    layout="a folder written by save_to_disk",
    recognises=lambda source: source.is_dir() and any((source / mark).is_file() for mark in _MARKS),
    read=_read,
)
