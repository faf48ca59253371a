"""All settings of a level, its own and the baseline's, to compare levels with each other."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from study.analysis.facts import LevelFacts
from study.utils.canonical_json import canonical_json

DATA_SET = "finetune.dataset"
OWN, SECTION = "the data set of fine-tuning", "a section"


def level_settings(level: LevelFacts, baseline: Mapping[str, Any]) -> dict[str, str]:
    """Values as text by dotted path. Where another stage has the data set of fine-tuning, the value is `OWN`.

    A section itself has the value `SECTION`, or that of none. A level that sets a section replaces it, and fields that
    it leaves out have no value here: they are defaults.
    """
    found = dict(_leaves(baseline))
    for path, value in sorted(level.fields.items(), key=lambda item: item[0].count(".")):
        found = {name: own for name, own in found.items() if not _in(name, path)}
        found |= dict.fromkeys(_above(path), SECTION) | dict(_leaves(value, path))
    own = found.get(DATA_SET)
    return {path: OWN if path.endswith(".dataset") and value == own else _text(value) for path, value in found.items()}


def _text(value: Any) -> str:
    """The same for equal numbers, which a grid may have as 20, 20.0 or as text such as 2e1."""
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        with contextlib.suppress(ValueError):
            return repr(float(value))
    return canonical_json(value)


def _in(path: str, section: str) -> bool:
    return path == section or path.startswith(f"{section}.")


def _above(path: str) -> Iterator[str]:
    """The sections that a path is in."""
    parts = path.split(".")
    yield from (".".join(parts[:depth]) for depth in range(1, len(parts)))


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if not isinstance(value, Mapping):
        yield path, value
        return
    yield path, SECTION
    for name, inner in value.items():
        yield from _leaves(inner, f"{path}.{name}" if path else str(name))
