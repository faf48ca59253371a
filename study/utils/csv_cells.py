"""Text in cells of CSV files, so that no spreadsheet takes it for a formula."""

import re

import pandas as pd

# Starts of a formula, also in the full-width forms of East Asian versions; and of a cell that was guarded
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20", "'")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def guarded(text: str) -> str:
    """The text, with a leading apostrophe if a spreadsheet would take it for a formula; numbers stay as they are."""
    return f"'{text}" if text.startswith(FORMULA) and not _NUMBER.fullmatch(text) else text


def unguarded(text: str) -> str:
    """The inverse of `guarded`. Cells that were written without it are returned unchanged."""
    return text[1:] if text.startswith("'") and guarded(text[1:]) == text else text


def csv_text(frame: pd.DataFrame) -> str:
    """A table as CSV, with LF line ends; text in its cells and header is guarded."""
    plain = frame.rename(columns=lambda name: guarded(str(name)))
    for position, dtype in enumerate(plain.dtypes):
        if not pd.api.types.is_numeric_dtype(dtype):
            plain.isetitem(position, [_cell(value) for value in plain.iloc[:, position]])
    return plain.to_csv(index=False, lineterminator="\n")


def _cell(value: object) -> object:
    return guarded(value) if isinstance(value, str) else value
