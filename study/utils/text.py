"""Counts, percentage points, durations and paths in messages."""

import os
from pathlib import Path


def plural(number: float, noun: str) -> str:
    """A count with its noun: 1 trial, 2 trials, 1,200 trials, 0.5 GPUs, 2 classes."""
    written = f"{number:,}" if isinstance(number, int) else f"{number:g}"
    if number == 1:
        return f"{written} {noun}"
    return f"{written} {noun}{'es' if noun.endswith('s') else 's'}"


def points(share: float, digits: int = 3) -> str:
    """The absolute value of a difference of shares in percentage points: 0.005 as 0.5 points."""
    written = f"{100 * abs(share):.{digits}g}"
    return f"{written} point{'' if written == '1' else 's'}"


def clock_time(seconds: float) -> str:
    """A duration as 0:42, 12:05 or 3:07:00."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def readable(path: Path | str) -> str:
    """A path as text that can be encoded; bytes of file names that are not UTF-8 are escaped."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def minute(time: str) -> str:
    """An ISO time to the minute, as `2026-01-02 03:04`."""
    return time[:16].replace("T", " ")
