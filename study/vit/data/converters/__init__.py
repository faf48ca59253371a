"""The table of formats that `study data convert` reads. A new one is one file in this folder and one line here."""

import pkgutil
from collections.abc import Mapping
from pathlib import Path

from study.utils.errors import StudyError
from study.vit.data.converters.converted import Converted, Converter

_FILES = ("cifar", "idx", "saved", "arrays", "csv_table")


def table() -> Mapping[str, Converter]:
    """All formats by what they are called in messages, in the order in which they are tried."""
    found = [pkgutil.resolve_name(f"study.vit.data.converters.{file}:CONVERTER") for file in _FILES]
    return {converter.title: converter for converter in found}


def read(source: Path) -> Converted:
    """The splits of a data set. Raises StudyError if its format is unknown, or if a file is missing or invalid."""
    if not source.exists():
        raise StudyError(f"{source} not found")
    for converter in table().values():
        if converter.recognises(source):
            return converter.read(source)
    formats = "".join(f"\n    {converter.title}: {converter.layout}" for converter in table().values())
    raise StudyError(f"{source} is not in a known format; expected is one of{formats}")
