"""Which cells a claim compares: its levels looked up among a study's factors.

Factors are given as a mapping from name to labels, the baseline's label first. Light to import, so that a grid's
claims can be checked when it is loaded.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from study.design.claims import ClaimSpec
from study.design.factors import METRICS, Factor, UnknownLevelError, named_levels
from study.design.yaml_file import Keys, Place, did_you_mean
from study.utils.errors import StudyError

Factors = Mapping[str, Sequence[str]]
Labels = tuple[str, ...]  # of a cell, in the order of the factors


class ClaimError(StudyError):
    """A claim that fits no design; `keys` lead to the place inside the claim."""

    def __init__(self, keys: Keys, message: str) -> None:
        super().__init__(f"{'.'.join(str(key) for key in keys)}: {message}")
        self.keys = keys
        self.message = message


@dataclass(frozen=True)
class Corner:
    """One side of a comparison: its levels by factor, and the sign with which it enters."""

    sign: int
    levels: dict[str, str]


@dataclass(frozen=True)
class Selection:
    """A claim's comparison: corners that are matched in all other factors, those limited to `where`."""

    corners: tuple[Corner, ...]
    where: Mapping[str, frozenset[str]]
    constant: float  # subtracted: the number compared to, else 0

    def sets(self, cells: Sequence[Labels], factors: Factors) -> list[tuple[Labels, ...]]:
        """The matched sets among these cells, one cell per corner; sets of which a cell is lacking are left out."""
        known = dict.fromkeys(cells)  # as a set, in order
        found: list[tuple[Labels, ...]] = []
        for cell in known:
            labels = dict(zip(factors, cell, strict=True))
            if self._begins(labels):
                group = tuple(tuple((labels | corner.levels).values()) for corner in self.corners)
                found += [group] if known.keys() >= set(group) else []
        return found

    def _begins(self, labels: Mapping[str, str]) -> bool:
        """Whether a cell is at the first corner and meets the conditions."""
        first = self.corners[0].levels
        return all(labels[name] == label for name, label in first.items()) and all(
            labels[name] in allowed for name, allowed in self.where.items()
        )


def select(claim: ClaimSpec, factors: Factors) -> Selection:
    """Look a claim's levels up. Raises ClaimError for an unknown factor or level, and where both sides are the same, or
    of different factors."""
    cells = _levels(claim.cells, "cells", factors)
    where = {name: _labels(wanted, ("where", name), factors) for name, wanted in claim.where.items()}
    if isinstance(claim.against, float):
        kept = {name: frozenset(labels[:1]) for name, labels in factors.items() if name not in cells}
        return Selection((Corner(1, cells),), kept | where, claim.against)
    against = {name: factors[name][0] for name in cells}
    if claim.against is not None:
        against = _levels(claim.against, "against", factors)
        _check_same_factors(cells, against)
    _check_apart(claim, cells, against)
    return Selection(_corners(claim, cells, against), where, 0.0)


def labels_by_factor(factors: Iterable[Factor]) -> Factors:
    """The labels of a study's factors, the baseline's first."""
    return {factor.name: tuple(level.label for level in factor.levels) for factor in factors}


def check_claims(
    claims: Sequence[ClaimSpec],
    factors: Factors,
    cells: Sequence[Labels],
    at: Place,
    left_out_at: Callable[[Labels], Place | None],
) -> None:
    """Raise StudyError for a claim that names what the study does not have, or that none of its cells can answer.

    `left_out_at` tells of a cell of the design that is not among the cells, what in the grid leaves it out.
    """
    written: dict[str, int] = {}
    for i, claim in enumerate(claims):
        here = at / i
        if (other := written.setdefault(claim.claim, i)) != i:
            raise (here / "claim").error(f"is written a second time, see claims[{other}]; word it differently")
        if claim.metric not in METRICS:
            message = f"no metric {claim.metric!r} that differs by replicate; {did_you_mean(claim.metric, METRICS)}"
            raise (here / "metric").error(message)
        try:
            found = select(claim, factors)
        except ClaimError as error:
            raise here.error(error.message, error.keys) from None
        if not found.sets(cells, factors):
            raise here.error(_unanswered(found, factors, set(cells), left_out_at))


def _unanswered(
    found: Selection, factors: Factors, cells: Set[Labels], left_out_at: Callable[[Labels], Place | None]
) -> str:
    sides = " and ".join(_written(corner.levels) for corner in found.corners)
    limits = _written({name: " or ".join(sorted(labels)) for name, labels in found.where.items()})
    culprits = (_culprit(cell, factors, left_out_at) for cell in _wanting(found, factors) if cell not in cells)
    culprit = next(filter(None, culprits), "")
    if len(found.corners) == 1:
        wanted = ", ".join(part for part in (sides, limits) if part)
        way_in = "add it, or correct 'cells' and 'where'"
        return f"no cell of this design has {wanted}; {culprit or way_in}"
    lack = f"no cells of this design have {sides}{', where ' if limits else ''}{limits}, and are equal in all other"
    way_out = "take design: factorial, put what moves together into one factor's level, or compare other levels"
    return f"{lack} factors; {culprit or way_out}"


def _culprit(cell: Labels, factors: Factors, left_out_at: Callable[[Labels], Place | None]) -> str:
    """What leaves a cell out that the design would have; empty where the design does not have it."""
    if (place := left_out_at(cell)) is None:
        return ""
    changed = {name: label for name, label in zip(factors, cell, strict=True) if label != factors[name][0]}
    return f"'{place.name}' on line {place.line} leaves out {_written(changed)}; change it, or drop the claim"


def _wanting(found: Selection, factors: Factors) -> Iterator[Labels]:
    """The cells of one matched set, as near to the baseline as the claim allows."""
    nearest = {name: labels[0] for name, labels in factors.items()}
    for name, allowed in found.where.items():
        nearest[name] = next(label for label in factors[name] if label in allowed)
    for corner in found.corners:
        yield tuple((nearest | corner.levels).values())


def _written(levels: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={label}" for name, label in levels.items())


def _corners(claim: ClaimSpec, cells: dict[str, str], against: dict[str, str]) -> tuple[Corner, ...]:
    if claim.kind != "interaction":
        return Corner(1, cells), Corner(-1, against)
    one, other = cells
    return (
        Corner(1, cells),
        Corner(-1, {one: against[one], other: cells[other]}),
        Corner(-1, {one: cells[one], other: against[other]}),
        Corner(1, against),
    )


def _check_same_factors(cells: Mapping[str, str], against: Mapping[str, str]) -> None:
    if against.keys() != cells.keys():
        named, other = (", ".join(repr(name) for name in sorted(side)) or "none" for side in (against, cells))
        raise ClaimError(("against",), f"names {named}, and 'cells' {other}; name the same factors")


def _check_apart(claim: ClaimSpec, cells: dict[str, str], against: dict[str, str]) -> None:
    same = [name for name in cells if cells[name] == against[name]]
    if same and (claim.kind == "interaction" or len(same) == len(cells)):
        side = "'against' names" if claim.against is not None else "the baseline has"
        raise ClaimError(
            ("cells", same[0]), f"{cells[same[0]]!r} is compared with itself: {side} it too; name another level"
        )


def _levels(wanted: Mapping[str, Any], key: str, factors: Factors) -> dict[str, str]:
    found = {}
    for name, level in wanted.items():
        labels = _labels(level, (key, name), factors)
        if len(labels) > 1:
            raise ClaimError((key, name), "names several levels; name one, or put the list under 'where'")
        found[name] = next(iter(labels))
    return found


def _labels(wanted: Any, keys: Keys, factors: Factors) -> frozenset[str]:
    name = str(keys[-1])
    if name not in factors:
        raise ClaimError(keys, f"no factor {name!r}; {did_you_mean(name, factors)}")
    try:
        return named_levels(name, wanted, list(factors[name]))
    except UnknownLevelError as error:
        raise ClaimError(keys, str(error)) from None
