"""Ranges of levels: `{linspace: [0, 0.3, 4]}`, `{logspace: [1e-4, 1e-2, 5]}` and `{range: [1, 5]}` as plain levels.

Values are computed in decimal numbers, so that they are the same on all machines, and 0.1 is 0.1.
"""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal, localcontext
from typing import Any

from study.design.mistakes import Mistakes
from study.design.overrides import path_problem, paths, value_problem
from study.design.yaml_file import GridError, GridFile, Keys, Place, shown

MAX_LEVELS = 1_000
RANGES = {
    "linspace": "{linspace: [low, high, number]}, equally spaced",
    "logspace": "{logspace: [low, high, number]}, equal ratios; low and high are the values themselves, not exponents",
    "range": "{range: [start, stop]} or {range: [start, stop, step]}, without stop, as in Python",
}
DIGITS = 20  # of the decimal computation that are kept: more than a float has, fewer than are computed
_OPEN_CALL = re.compile(r"\s*(?:\w+\.)?(linspace|logspace|range|arange|geomspace)\s*\([^()]*$")
_CALL = re.compile(r"\s*(?:\w+\.)?(linspace|logspace|range|arange|geomspace)\s*\(([^()]*)\)?\s*$")


def expand_ranges(source: GridFile, mistakes: Mistakes) -> GridFile:
    """The grid with plain levels in place of ranges. Records ranges that are not valid, which are left out."""
    factors = source.data.get("factors")
    if not isinstance(factors, dict):
        return source
    lines = dict(source.lines)
    expanded = {name: _factor(source, name, spec, lines, mistakes) for name, spec in factors.items()}
    return replace(source, data={**source.data, "factors": expanded}, lines=lines)


def _factor(source: GridFile, name: str, spec: Any, lines: dict[Keys, int], mistakes: Mistakes) -> Any:
    at = Place(source, ("factors", name, "levels"))
    if isinstance(spec, dict):
        spec = _joined(spec)
    written = spec.get("levels") if isinstance(spec, dict) else None
    call = _call(written)
    if call:
        mistakes.add(at.error(f"invalid value {shown(written)}: write {call}"))
        return {**spec, "levels": []}
    if not isinstance(written, list) or not any(_is_range(entry) or _is_unknown_range(entry) for entry in written):
        return spec
    levels: list[Any] = []
    for i, entry in enumerate(written):
        try:
            _check_name(entry, at / i)
            made = _expanded(entry, at / i) if _is_range(entry) else [entry]
            _check_values(str(spec.get("path", "")), entry, made, at / i)
        except GridError as error:
            mistakes.add(error)
            made = []
        lines |= {(*at.keys, len(levels) + j): source.line((*at.keys, i)) for j in range(len(made))}
        lines |= _moved(source, (*at.keys, i), (*at.keys, len(levels))) if made == [entry] else {}
        levels += made
    return {**spec, "levels": levels} if levels else spec


def _check_values(path: str, entry: Any, made: list[Any], at: Place) -> None:
    """Raises GridError for a value of a range that its field cannot have, a fraction first."""
    if not _is_range(entry) or path_problem(path):
        return
    values = [level["value"] if isinstance(level, dict) else level for level in made]
    for value in sorted(values, key=lambda value: float(value).is_integer()):
        if problem := value_problem(path, value):
            raise at.error(f"{shown(entry)}: {path}: {problem}")


def _moved(source: GridFile, old: Keys, new: Keys) -> dict[Keys, int]:
    """The lines of the keys below a level that is now at another position."""
    depth = len(old)
    return {(*new, *keys[depth:]): line for keys, line in source.lines.items() if keys[:depth] == old}


def _is_range(entry: Any) -> bool:
    return isinstance(entry, dict) and len(entry) == 1 and next(iter(entry)) in RANGES


def _is_unknown_range(entry: Any) -> bool:
    """Whether it is written as a range, with a name that is neither a range nor a field of settings."""
    if not isinstance(entry, dict) or len(entry) != 1 or _is_range(entry):
        return False
    ((name, numbers),) = entry.items()
    fields = {path.rpartition(".")[2] for path in paths()}
    return (
        isinstance(numbers, list)
        and len(numbers) in (2, 3)
        and all(map(_is_number, numbers))
        and not ({name, str(name).rpartition(".")[2]} & fields)
    )


def _check_name(entry: Any, at: Place) -> None:
    """Raises GridError for a range of another name, as in {arange: [1, 5]}."""
    if _is_unknown_range(entry):
        raise at.error(f"unknown range {str(next(iter(entry)))!r}; ranges are {'; '.join(RANGES.values())}")


def _joined(spec: dict[Any, Any]) -> dict[Any, Any]:
    """A factor with a call that YAML splits into keys, {levels: range(1, 5)}, as one text."""
    written, keys = spec.get("levels"), [*spec]
    if not isinstance(written, str) or _OPEN_CALL.match(written) is None:
        return spec
    rest = keys[keys.index("levels") + 1 :]
    last = next((i for i, key in enumerate(rest) if str(key).endswith(")")), None)
    if last is None:
        return spec
    numbers = rest[: last + 1]
    joined = ", ".join(map(str, [written, *numbers]))
    return {key: value for key, value in spec.items() if key not in numbers} | {"levels": joined}


def _call(written: Any) -> str:
    """What to write in place of a call as text, or of a range outside a list; empty if there is none.

    YAML splits [range(1, 5)] at the comma.
    """
    if _is_range(written):
        ((name, numbers),) = written.items()
        return f"levels: [{{{name}: {shown(numbers)}}}]"
    text = ", ".join(map(str, written)) if isinstance(written, list) else written
    found = _CALL.match(text) if isinstance(text, str) else None
    if not found:
        return ""
    name = {"arange": "range", "geomspace": "logspace"}.get(found[1], found[1])
    return f"levels: [{{{name}: [{_values_of(found[2]) if found[1] == 'logspace' else found[2]}]}}]"


def _values_of(numbers: str) -> str:
    """The arguments of a call of logspace with values in place of exponents, which an end of 0 or less must be."""
    parts = [part.strip() for part in numbers.split(",")]
    with contextlib.suppress(ValueError, OverflowError):
        low, high = map(float, parts[:2])
        if min(low, high) <= 0:
            return ", ".join([f"{10**low:g}", f"{10**high:g}", *parts[2:]])
    return ", ".join(parts)


def _expanded(entry: dict[str, Any], at: Place) -> list[Any]:
    ((name, written),) = entry.items()
    numbers = written if isinstance(written, list) else []
    valid = len(numbers) in ((2, 3) if name == "range" else (3,)) and all(map(_is_number, numbers))
    if not valid:
        raise at.error(f"invalid value {shown(written)}: must be {RANGES[name]}")
    with localcontext(prec=40):
        values = list(_values(name, [Decimal(str(number)) for number in numbers], at))
    integers = all(value == value.to_integral_value() for value in values)
    return [
        _level(int(value)) if integers and not _has_float(numbers[:2]) else _level(float(value)) for value in values
    ]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300  # nor NaN


def _has_float(numbers: list[Any]) -> bool:
    return any(isinstance(number, float) for number in numbers)


def _values(name: str, numbers: list[Decimal], at: Place) -> Iterator[Decimal]:
    if name == "range":
        yield from _steps(*numbers, at=at)
        return
    low, high, number = numbers
    if number != number.to_integral_value() or not 2 <= number <= MAX_LEVELS:
        raise at.error(f"invalid number of levels {number}: must be an integer from 2 to {MAX_LEVELS:,}")
    if name == "logspace" and not (low > 0 and high > 0):
        raise at.error(f"invalid value {low if low <= 0 else high}: must be above 0; {RANGES[name]}")
    for i in range(int(number)):
        share = Decimal(i) / (number - 1)
        value = low + share * (high - low) if name == "linspace" else (low.ln() + share * (high.ln() - low.ln())).exp()
        yield _rounded(high if share == 1 else value)


def _steps(start: Decimal, stop: Decimal, step: Decimal = Decimal(1), *, at: Place) -> Iterator[Decimal]:
    if not step or (stop - start) / step <= 0 or (stop - start) / step > MAX_LEVELS:
        raise at.error(f"invalid range: must have from 1 to {MAX_LEVELS:,} levels; {RANGES['range']}")
    value = start
    while (value < stop) if step > 0 else (value > stop):
        yield value
        value += step


def _rounded(value: Decimal) -> Decimal:
    with localcontext(prec=DIGITS):
        return +value


def _level(value: float) -> Any:
    """A plain level; with a short label if the value has many digits."""
    short = f"{value:.3g}"
    return value if isinstance(value, int) or float(f"{value:g}") == value else {"label": short, "value": value}
