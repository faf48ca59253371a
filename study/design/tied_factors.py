"""Paired factors: levels that move together are one factor, for nothing could tell their effects apart."""

import itertools
from collections.abc import Sequence

from study.design.factors import Factor, Level
from study.design.overrides import overlaps
from study.design.yaml_file import Place, did_you_mean


def pair(groups: Sequence[Sequence[str]], factors: tuple[Factor, ...], at: Place) -> tuple[Factor, ...]:
    """The factors, those of each group joined to one at the place of its first.

    Raises StudyError for names that are no factors or stand twice, for lists of levels of different length, for
    baselines at different positions in them, and for levels that set the same field.
    """
    joined: dict[str, Factor] = {}  # by the name of each part
    for i, names in enumerate(groups):
        if len(names) < 2:
            raise (at / i).error("it must name two factors or more")
        for name in names:
            _check_name(name, names, joined, factors, at / i)
        parts = [factor for factor in factors if factor.name in names]
        joined |= dict.fromkeys(names, _join(parts, at / i))
    found = tuple(
        joined.get(factor.name, factor)
        for factor in factors
        if factor.name not in joined or factor is joined[factor.name].parts[0]
    )
    for one, other in itertools.combinations(found, 2):
        if one.name == other.name:
            raise at.error(f"paired factors are called {one.name!r} like another factor; give that one another name")
    return found


def _check_name(
    name: str, names: Sequence[str], joined: dict[str, Factor], factors: tuple[Factor, ...], at: Place
) -> None:
    possible = [factor.name for factor in factors]
    if name not in possible:
        raise at.error(f"there is no factor {name!r}; {did_you_mean(name, possible)}")
    if name in joined:
        raise at.error(f"{name!r} is paired already, in {joined[name].name!r}; join the two lists to one")
    if names.count(name) > 1:
        raise at.error(f"{name!r} stands twice; name each factor once")


def _join(parts: list[Factor], at: Place) -> Factor:
    first, *others = parts
    for other in others:
        _check_fit(first, other, at)
    levels = tuple(_joined(tuple(levels), at) for levels in zip(*(part.levels for part in parts), strict=True))
    return Factor(" + ".join(part.name for part in parts), levels, at, tuple(parts))


def _check_fit(one: Factor, other: Factor, at: Place) -> None:
    """Levels are paired as they are written, so there must be as many, and the baseline's at the same position."""
    counts = [len(_written(factor)) for factor in (one, other)]
    if counts[0] != counts[1]:
        raise at.error(
            f"{one.name!r} has {counts[0]} written levels and {other.name!r} {counts[1]}; the first moves with the "
            "first and so on, so write as many for each"
        )
    places = [_position(factor) for factor in (one, other)]
    if places[0] != places[1]:
        raise at.error(
            f"the baseline's level is {_ordinal(places[0])} in {one.name!r} and {_ordinal(places[1])} in "
            f"{other.name!r}; levels move together in the order in which they are written, so put it at the same place"
        )


def _written(factor: Factor) -> list[Level]:
    return [level for level in factor.levels if level.at.keys[:-1] == (*factor.at.keys, "levels")]


def _position(factor: Factor) -> int | None:
    """Of the baseline's level among those written, from 0; None where it is not written."""
    written = factor.baseline.at.keys[len(factor.at.keys) :]
    return int(written[-1]) if written else None


def _ordinal(position: int | None) -> str:
    return "not written" if position is None else f"number {position + 1}"


def _joined(levels: tuple[Level, ...], at: Place) -> Level:
    """One level that sets what each of them sets."""
    for one, other in itertools.combinations(levels, 2):
        for path, second in itertools.product(one.fields, other.fields):
            if overlaps(path, second):
                field = max(path, second, key=len)
                raise at.error(f"{field} is set by both {one.label!r} and {other.label!r}; let one of them set it")
    fields = {path: value for level in levels for path, value in level.fields.items()}
    return Level(" + ".join(level.label for level in levels), fields, levels[0].at)
