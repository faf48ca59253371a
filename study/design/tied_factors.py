"""Tied factors (grid key `paired`): their levels change together, so they are one factor of the design."""

import itertools
from collections.abc import Sequence

from study.design.factors import Factor, Level
from study.design.labels import combined
from study.design.overrides import overlaps
from study.design.yaml_file import Place, did_you_mean
from study.utils.text import plural


def pair(groups: Sequence[Sequence[str]], factors: tuple[Factor, ...], at: Place) -> tuple[Factor, ...]:
    """The factors, with those of each group merged into one at the position of its first.

    Raises StudyError for unknown or repeated names, for lists of levels of different length or with different positions
    of the baseline level, and for levels that set the same field.
    """
    merged: dict[str, Factor] = {}  # by the name of each part
    for i, names in enumerate(groups):
        if len(names) < 2:
            raise (at / i).error("requires at least two factors")
        for name in names:
            _check_name(name, names, merged, factors, at / i)
        parts = [factor for factor in factors if factor.name in names]
        merged |= dict.fromkeys(names, _merge(parts, at / i))
    found = tuple(
        merged.get(factor.name, factor)
        for factor in factors
        if factor.name not in merged or factor is merged[factor.name].parts[0]
    )
    for one, other in itertools.combinations(found, 2):
        if one.name == other.name:
            raise at.error(f"duplicate factor name {one.name!r}; rename the other factor")
    return found


def _check_name(
    name: str, names: Sequence[str], merged: dict[str, Factor], factors: tuple[Factor, ...], at: Place
) -> None:
    known = [factor.name for factor in factors]
    if name not in known:
        raise at.error(f"unknown factor {name!r}; {did_you_mean(name, known)}")
    if name in merged:
        raise at.error(f"duplicate factor {name!r}: already in {merged[name].name!r}; merge the two lists")
    if names.count(name) > 1:
        raise at.error(f"duplicate factor {name!r}; list each factor once")


def _merge(parts: list[Factor], at: Place) -> Factor:
    first, *others = parts
    for other in others:
        _check_fit(first, other, at)
    levels = tuple(_merged(tuple(levels), at) for levels in zip(*(part.levels for part in parts), strict=True))
    return Factor(" + ".join(part.name for part in parts), levels, at, tuple(parts))


def _check_fit(one: Factor, other: Factor, at: Place) -> None:
    """Levels are matched in written order: numbers of levels and positions of the baseline level must be equal."""
    counts = [len(_written(factor)) for factor in (one, other)]
    if counts[0] != counts[1]:
        raise at.error(
            f"{one.name!r} has {plural(counts[0], 'written level')} and {other.name!r} {counts[1]}; tied factors "
            "require equal numbers of levels"
        )
    places = [_position(factor) for factor in (one, other)]
    if places[0] != places[1]:
        raise at.error(
            f"the baseline level is {_ordinal(places[0])} in {one.name!r} and {_ordinal(places[1])} in "
            f"{other.name!r}; levels of tied factors are matched in written order: move it to the same position"
        )


def _written(factor: Factor) -> list[Level]:
    return [level for level in factor.levels if level.at.keys[:-1] == (*factor.at.keys, "levels")]


def _position(factor: Factor) -> int | None:
    """The position of the baseline level among the written levels, from 0; None if it is not written."""
    written = factor.baseline.at.keys[len(factor.at.keys) :]
    return int(written[-1]) if written else None


def _ordinal(position: int | None) -> str:
    return "not written" if position is None else f"number {position + 1}"


def _merged(levels: tuple[Level, ...], at: Place) -> Level:
    """One level that sets the fields of all."""
    for one, other in itertools.combinations(levels, 2):
        for path, second in itertools.product(one.fields, other.fields):
            if overlaps(path, second):
                field = max(path, second, key=len)
                raise at.error(f"{field} is set by both {one.label!r} and {other.label!r}; remove it from one of them")
    fields = {path: value for level in levels for path, value in level.fields.items()}
    return Level(
        " + ".join(level.label for level in levels), fields, levels[0].at, combined(level.stated for level in levels)
    )
