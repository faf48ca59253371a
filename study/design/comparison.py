"""Which cells a claim compares: its levels resolved among a study's factors.

Factors are a mapping from name to labels, the baseline label first. Imports no statistics, so that claims are checked
when a grid is loaded.
"""

import functools
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from study.design.claim_kinds.claim_kind import Corner
from study.design.claims import ClaimSpec
from study.design.contrasts import ContrastSpec
from study.design.factors import Factor, UnknownLevelError, named_levels
from study.design.metrics import METRICS
from study.design.mistakes import Mistakes
from study.design.yaml_file import Keys, Place, did_you_mean
from study.utils.errors import StudyError

Factors = Mapping[str, Sequence[str]]
Labels = tuple[str, ...]  # of a cell, in the order of the factors
ExcludedBy = Callable[[Labels], Place | None]  # the grid key that excludes a cell; None if the design lacks it


class ClaimError(StudyError):
    """A claim that does not match the study's factors; `keys` is the path within the claim."""

    def __init__(self, keys: Keys, message: str) -> None:
        super().__init__(f"{'.'.join(str(key) for key in keys)}: {message}")
        self.keys = keys
        self.message = message


@dataclass(frozen=True)
class Selection:
    """A claim's comparison: corners matched in all other factors, which are limited to `where`."""

    corners: tuple[Corner, ...]
    where: Mapping[str, frozenset[str]]
    constant: float  # subtracted: the number compared to, otherwise 0

    def sets(self, cells: Sequence[Labels], factors: Factors) -> list[tuple[Labels, ...]]:
        """The complete matched sets among these cells, one cell per corner."""
        known = dict.fromkeys(cells)  # as a set, in order
        found: list[tuple[Labels, ...]] = []
        for cell in known:
            labels = dict(zip(factors, cell, strict=True))
            if self._is_first(labels):
                group = tuple(tuple((labels | corner.levels).values()) for corner in self.corners)
                found += [group] if known.keys() >= set(group) else []
        return found

    def _is_first(self, labels: Mapping[str, str]) -> bool:
        """Whether a cell is at the first corner and satisfies `where`."""
        first = self.corners[0].levels
        return all(labels[name] == label for name, label in first.items()) and all(
            labels[name] in allowed for name, allowed in self.where.items()
        )


def select(claim: ClaimSpec, factors: Factors) -> Selection:
    """Resolve a claim's levels.

    Raises ClaimError for an unknown factor or level, and if both sides are equal or name different factors.
    """
    cells = _levels(claim.cells, "cells", factors)
    where = {name: _labels(levels, ("where", name), factors) for name, levels in claim.where.items()}
    if isinstance(claim.against, float):
        kept = {name: frozenset(labels[:1]) for name, labels in factors.items() if name not in cells}
        return Selection((Corner(1, cells),), kept | where, claim.against)
    against = {name: factors[name][0] for name in cells}
    if claim.against is not None:
        against = _levels(claim.against, "against", factors)
        _check_same_factors(cells, against)
    _check_different(claim, cells, against)
    return Selection(claim.definition.corners(cells, against), where, 0.0)


def select_contrast(spec: ContrastSpec, factors: Factors) -> Selection:
    """Resolve a contrast's levels; several levels of a side are averaged. Raises ClaimError as `select` does."""
    cells = {name: _labels(level, ("cells", name), factors) for name, level in spec.cells.items()}
    against = {name: frozenset(factors[name][:1]) for name in cells}
    if spec.against is not None:
        against = {name: _labels(level, ("against", name), factors) for name, level in spec.against.items()}
        _check_same_factors(cells, against)
    if cells == against:
        name = next(iter(cells))
        raise ClaimError(("cells", name), "both sides have the same levels; name another level")
    where = {name: _labels(levels, ("where", name), factors) for name, levels in spec.where.items()}
    if both := where.keys() & cells.keys():
        raise ClaimError(("where", min(both)), "'cells' names it too; remove it from 'where'")
    return Selection((*_corners(1, cells, factors), *_corners(-1, against, factors)), where, 0.0)


def _corners(sign: int, side: Mapping[str, frozenset[str]], factors: Factors) -> Iterator[Corner]:
    """One corner for each combination of a side's levels, of equal weight."""
    ordered = [[label for label in factors[name] if label in labels] for name, labels in side.items()]
    weight = sign / math.prod(map(len, ordered))
    yield from (Corner(weight, dict(zip(side, levels, strict=True))) for levels in itertools.product(*ordered))


def labels_by_factor(factors: Iterable[Factor]) -> Factors:
    """The labels of a study's factors, the baseline label first."""
    return {factor.name: tuple(level.label for level in factor.levels) for factor in factors}


@dataclass(frozen=True)
class CellLookup:
    """What comparisons are checked against."""

    factors: Factors
    cells: Mapping[Labels, bool] | None  # the included ones, and whether each is pre-trained; None if not known
    excluded_by: ExcludedBy

    def check(self, metric: str, selected: Callable[[], Selection], at: Place) -> None:
        """Raises GridError for an unknown metric, factor or level, if no included cells match, or if pre-training times
        of cells without pre-training are compared."""
        if metric not in METRICS:
            raise (at / "metric").error(f"unknown metric {metric!r}; {did_you_mean(metric, METRICS)}")
        try:
            found = selected()
        except ClaimError as error:
            raise at.error(error.message, error.keys) from None
        if self.cells is None:
            return
        sets = found.sets(list(self.cells), self.factors)
        if not sets:
            raise at.error(_no_match(found, self.factors, set(self.cells), self.excluded_by))
        lacking = next((cell for cell in itertools.chain.from_iterable(sets) if not self.cells[cell]), None)
        if metric == "pretrain_seconds" and lacking:
            raise (at / "metric").error(_no_pretraining(lacking, self.factors))


def check_claims(claims: Sequence[ClaimSpec], lookup: CellLookup, at: Place, mistakes: Mistakes) -> None:
    """Record claims with unknown factors, levels or metrics, or without matching cells, and equal sentences."""
    written: dict[str, int] = {}
    for i, claim in enumerate(claims):
        if (other := written.setdefault(claim.claim, i)) != i:
            mistakes.add((at / i / "claim").error(f"duplicate of {(at / other).name}; use a different sentence"))
        with mistakes.collect():
            lookup.check(claim.metric, functools.partial(select, claim, lookup.factors), at / i)


def check_contrasts(specs: Sequence[ContrastSpec], lookup: CellLookup, at: Place, mistakes: Mistakes) -> None:
    """Record contrasts as `check_claims` does."""
    for i, spec in enumerate(specs):
        with mistakes.collect():
            lookup.check(spec.metric, functools.partial(select_contrast, spec, lookup.factors), at / i)


def _no_pretraining(lacking: Labels, factors: Factors) -> str:
    return (
        f"pretrain_seconds: the cell with {_written(dict(zip(factors, lacking, strict=True)))} has no pre-training; "
        "compare other cells, limit the comparison with 'where', or use train_seconds"
    )


def _no_match(found: Selection, factors: Factors, cells: Set[Labels], excluded_by: ExcludedBy) -> str:
    """The error message for a comparison without matched cells: which cells are missing, and a suggestion."""
    sides = " and ".join(_written(corner.levels) for corner in found.corners)
    limits = _written({name: " or ".join(sorted(labels)) for name, labels in found.where.items()})
    missing = (cell for cell in _nearest_set(found, factors) if cell not in cells)
    exclusion = next(filter(None, (_exclusion(cell, factors, excluded_by) for cell in missing)), "")
    if len(found.corners) == 1:
        levels = ", ".join(part for part in (sides, limits) if part)
        suggestion = "add it, or correct 'cells' and 'where'"
        return f"no cell of this design has {levels}; {exclusion or suggestion}"
    where = f", where {limits}" if limits else ""
    suggestion = "use design: factorial, tie the factors ('paired'), or compare other levels"
    return (
        f"no cells of this design have {sides}{where}, and equal levels of all other factors; {exclusion or suggestion}"
    )


def _exclusion(cell: Labels, factors: Factors, excluded_by: ExcludedBy) -> str:
    """What excludes a cell that the design has; empty if the design does not have it."""
    if (place := excluded_by(cell)) is None:
        return ""
    changed = {name: label for name, label in zip(factors, cell, strict=True) if label != factors[name][0]}
    return f"'{place.name}' on line {place.line} excludes {_written(changed)}; change it, or compare other cells"


def _nearest_set(found: Selection, factors: Factors) -> Iterator[Labels]:
    """One matched set of cells, with all other factors at the baseline level if `where` permits."""
    nearest = {name: labels[0] for name, labels in factors.items()}
    for name, allowed in found.where.items():
        nearest[name] = next(label for label in factors[name] if label in allowed)
    for corner in found.corners:
        yield tuple((nearest | corner.levels).values())


def _written(levels: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={label}" for name, label in levels.items())


def _check_same_factors(cells: Mapping[str, object], against: Mapping[str, object]) -> None:
    if against.keys() != cells.keys():
        named, other = (", ".join(repr(name) for name in sorted(side)) or "none" for side in (against, cells))
        raise ClaimError(("against",), f"names {named}, but 'cells' names {other}; name the same factors")


def _check_different(claim: ClaimSpec, cells: dict[str, str], against: dict[str, str]) -> None:
    same = [name for name in cells if cells[name] == against[name]]
    if same and (claim.definition.changes_every_factor or len(same) == len(cells)):
        side = "'against' names" if claim.against is not None else "the baseline has"
        raise ClaimError(
            ("cells", same[0]), f"{cells[same[0]]!r} is compared with itself: {side} it too; name another level"
        )


def _levels(written: Mapping[str, Any], key: str, factors: Factors) -> dict[str, str]:
    found = {}
    for name, level in written.items():
        labels = _labels(level, (key, name), factors)
        if len(labels) > 1:
            raise ClaimError((key, name), "has several levels; use one, or move the list to 'where'")
        found[name] = next(iter(labels))
    return found


def _labels(written: Any, keys: Keys, factors: Factors) -> frozenset[str]:
    name = str(keys[-1])
    if name not in factors:
        raise ClaimError(keys, f"unknown factor {name!r}; {did_you_mean(name, factors)}")
    try:
        return named_levels(name, written, list(factors[name]))
    except UnknownLevelError as error:
        raise ClaimError(keys, str(error)) from None
