"""The verdict on a claim about numbers that do not differ by replicate: sizes, and measurements of exported models.

Such a claim is judged by arithmetic: it is supported if the difference is in the region, and refuted if not. There is
no interval and no p-value, so these claims have no part in the correction for several claims.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from study.analysis.stats.verdict_rule import Outcome, Verdict
from study.design.claims import ClaimSpec
from study.design.comparison import Factors, Labels, Selection, select
from study.design.metrics import Source, metric_of

LACKING = {
    Source.SETTINGS: "no result yet of: {cells}",
    Source.EXPORT: "not exported yet: {cells}",
}


@dataclass(frozen=True)
class Measured:
    """A number of one cell, and the processor that it was measured on; empty for a size."""

    value: float
    place: str = ""


@dataclass(frozen=True)
class ExactDifference:
    """A difference; nan if it cannot be computed, with the reason in `note`."""

    value: float
    sets: int  # matched sets of cells averaged over
    cells: tuple[tuple[float, Labels], ...]  # that enter the difference, each with its sign
    note: str


def difference(
    found: Selection, cells: Mapping[Labels, str], values: Mapping[Labels, Measured], factors: Factors, source: Source
) -> ExactDifference:
    """The difference over all matched sets among `cells`, which have names; every one of their cells must have a value,
    and all values the same place."""
    sets = found.sets(list(cells), factors)
    signed = tuple((corner.sign, cell) for group in sets for corner, cell in zip(found.corners, group, strict=True))
    lacking = dict.fromkeys(cells[cell] for _, cell in signed if cell not in values)
    if lacking or not sets:
        return ExactDifference(math.nan, 0, signed, LACKING[source].format(cells=_listed(list(lacking))))
    places = dict.fromkeys(values[cell].place for _, cell in signed)
    if len(places) > 1:
        return ExactDifference(math.nan, 0, signed, f"measured on different processors: {_listed(list(places))}")
    value = sum(sign * values[cell].value for sign, cell in signed) / len(sets) - found.constant
    place = next(iter(places))
    return ExactDifference(value, len(sets), signed, f"one measurement per cell, on {place}" if place else "")


def judge(
    claim: ClaimSpec, cells: Mapping[Labels, str], values: Mapping[Labels, Measured], factors: Factors
) -> tuple[Verdict, ExactDifference]:
    """The verdict, and the difference that it follows from. Raises StudyError for unknown factors and levels."""
    found = difference(select(claim, factors), cells, values, factors, metric_of(claim.metric).source)
    low, high = claim.region.low, claim.region.high
    holds = low < found.value < high if claim.region.inside else not low <= found.value <= high
    outcome: Outcome = "supported" if holds else "refuted"
    if math.isnan(found.value):
        outcome = "undecided"
    nan = math.nan
    made = Verdict(claim.claim, claim.kind, outcome, found.value, nan, nan, nan, nan, 1, found.sets, found.note)
    return made, found


def _listed(names: Sequence[str], most: int = 4) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return "; ".join(names[:most]) + more
