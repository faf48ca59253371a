"""Claims as they are judged, in words: the cells compared, and the differences for which a claim holds.

The one source of these sentences: `plan`, `run` and the report use it, so what is announced is what is judged.
"""

import math
from collections.abc import Mapping, Sequence

from study.design.claim_kinds.claim_kind import Region
from study.design.claims import Adaptive, ClaimSpec
from study.design.comparison import Factors, Labels, Selection, select, select_contrast
from study.design.contrasts import ContrastSpec
from study.design.metrics import Source, Unit, metric_of
from study.utils.text import plural

MOST = 4  # cells named on each side
WITHIN = "within replicates"


def region(claimed: Region, unit: Unit, with_unit: bool = True) -> str:
    """The true differences for which a claim holds, unrounded: above -1.00 points, -1.00 to +1.00 points."""
    name = f" {unit.name}".rstrip() if with_unit else ""
    low, high = (unit.unrounded(end) if math.isfinite(end) else "" for end in (claimed.low, claimed.high))
    if low and high:
        if claimed.inside:
            return f"between {low} and {high}{name}"
        return f"not 0{name}" if claimed.low == claimed.high else f"below {low} or above {high}{name}"
    return f"above {low}{name}" if low else f"below {high}{name}"


def echo(claim: ClaimSpec, factors: Factors, cells: Mapping[Labels, str], adaptive: Adaptive | None) -> str:
    """What is compared, and when the claim holds. `cells` maps the labels of the included cells to their names."""
    metric, found = metric_of(claim.metric), select(claim, factors)
    number = metric.unit.value(claim.against) if isinstance(claim.against, float) else None
    return (
        f"{claim.metric} of {compared(found, cells, factors, number)}; holds if the difference is "
        f"{region(claim.region, metric.unit)} ({_method(claim.metric, _replicated(claim), adaptive)})"
    )


def compared(found: Selection, cells: Mapping[Labels, str], factors: Factors, number: str | None = None) -> str:
    """The levels and cells on both sides of a comparison, or the number on the other side."""
    sets = found.sets(list(cells), factors)
    sides: dict[bool, list[str]] = {True: [], False: []}
    for i, corner in enumerate(found.corners):
        levels = ", ".join(f"{name}={label}" for name, label in corner.levels.items())
        sides[corner.sign > 0].append(_named(levels, [cells[group[i]] for group in sets]))
    plus, minus = (" and ".join(sides[positive]) for positive in (True, False))
    return f"{plus} against {number or minus}"


def _named(levels: str, names: Sequence[str]) -> str:
    """As in `kv heads=2 (baseline)`; the cells alone if they are named by the levels, or there are no levels."""
    more = f"; and {plural(len(names) - MOST, 'other cell')}" if len(names) > MOST else ""
    cells = "; ".join(names[:MOST]) + more
    return cells if levels in ("", cells) else f"{levels} ({cells})"


def echo_contrast(spec: ContrastSpec, factors: Factors) -> str:
    """What is subtracted from what, in which unit, and with which interval."""
    found, unit = contrasted(select_contrast(spec, factors)), metric_of(spec.metric).unit
    return f"{spec.metric} of {found}, in {unit.name or 'its own unit'} ({_method(spec.metric, WITHIN, None)})"


def _replicated(claim: ClaimSpec) -> str:
    """What the interval of a claim is over."""
    if not isinstance(claim.against, float):
        return WITHIN
    return "over replicates and common test images" if claim.compares_accuracy_with_number else "over replicates"


def _method(name: str, replicated: str, adaptive: Adaptive | None) -> str:
    metric = metric_of(name)
    if metric.source == Source.SETTINGS:
        return "exact, no interval"
    if metric.source == Source.EXPORT:
        return "one measurement per cell, no interval"
    if adaptive:
        return f"two-sided intervals that spend 5 % over all looks, {replicated}"
    return f"two-sided 95 % interval, {replicated}"


def contrasted(found: Selection) -> str:
    """Both sides of a contrast by their levels: kv heads=1 against kv heads=2 or 4, where pre-training=none."""
    plus, minus = (
        {
            name: list(dict.fromkeys(corner.levels[name] for corner in found.corners if corner.sign * side > 0))
            for name in found.corners[0].levels
        }
        for side in (1, -1)
    )
    where = {name: sorted(labels) for name, labels in found.where.items()}
    return f"{_levels(plus)} against {_levels(minus)}" + (f", where {_levels(where)}" if where else "")


def _levels(side: Mapping[str, Sequence[str]]) -> str:
    return ", ".join(f"{name}={' or '.join(labels)}" for name, labels in side.items())
