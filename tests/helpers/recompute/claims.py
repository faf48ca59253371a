"""Verdicts on claims with results of trials, of studies with a fixed number of replicates."""

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any

from scipy import stats

from helpers.recompute.files import Expected, Raw
from helpers.recompute.formulas import holm, mean_interval

FILE, RUNS = "claims.csv", "claim_runs.csv"
REGIONS = {  # by kind and margin: where the claim holds, and whether between these ends or beyond them
    "greater": lambda margin: (margin, math.inf, True),
    "less": lambda margin: (-math.inf, -margin, True),
    "equivalent": lambda margin: (-margin, margin, True),
    "non_inferior": lambda margin: (-margin, math.inf, True),
    "interaction": lambda margin: (-margin, margin, False),
}


def claims(raw: Raw) -> Iterator[Expected]:
    """Estimates, intervals and p-values; corrected p-values and verdicts where there is a single look."""
    if not raw.has(FILE):
        return
    rows = []
    for number, claim in enumerate(raw.grid["claims"], start=1):
        low, high, inside = REGIONS[claim["kind"]](float(claim.get("margin") or 0))
        values = _differences(raw, claim)
        found = mean_interval(values, -math.inf, math.inf, _level(raw))
        p_value, supports = decisive(values, low, high, inside)
        row = {
            "estimate": found["mean"],
            "low": found["low"],
            "high": found["high"],
            "n": found["n"],
            "p_value": p_value,
        }
        row |= {"holds_above": low, "holds_below": high, "holds_between": inside, "level": _level(raw)}
        rows.append((number, row | {"claim": claim["claim"], "kind": claim["kind"]}, supports))
    adjusted = holm([row["p_value"] for _, row, _ in rows]) if _fixed(raw) else []
    for (number, row, supports), p_adjusted in itertools.zip_longest(rows, adjusted):
        if _fixed(raw):
            decided = "supported" if supports else "refuted"
            row |= {"p_adjusted": p_adjusted, "verdict": decided if p_adjusted <= 0.05 else "undecided"}
        yield from (Expected(FILE, {"number": number}, name, value) for name, value in row.items())
        yield from _figure(raw, number, row)


def _figure(raw: Raw, number: int, row: Mapping[str, Any]) -> Iterator[Expected]:
    """The forest plot has accuracies in points."""
    for name, value in row.items():
        scaled = name in ("estimate", "low", "high", "holds_above", "holds_below")
        yield Expected("figures/claims.csv", {"number": number}, name, 100 * value if scaled else value)


def _fixed(raw: Raw) -> bool:
    return isinstance(raw.grid.get("replicates", 1), int)


def _level(raw: Raw) -> float:
    """One minus the share of 5 % that the last look spends: the square of the share of replicates, less that before.

    Looks are at the least number of replicates and at the most, as in a study with a single look in between.
    """
    replicates = raw.grid.get("replicates", 1)
    return 0.95 if isinstance(replicates, int) else 1 - 0.05 * (1 - (replicates["min"] / replicates["max"]) ** 2)


def decisive(values: list[float], low: float, high: float, inside: bool) -> tuple[float, bool]:
    """The level at which the interval just decides the claim, and whether it supports it."""
    found = mean_interval(values, -math.inf, math.inf)
    if not found["sd"] > 0:
        return math.nan, False
    df, error = found["n"] - 1, found["sd"] / math.sqrt(found["n"])
    above = stats.t.sf((found["mean"] - low) / error, df) if math.isfinite(low) else 0.0
    below = stats.t.cdf((found["mean"] - high) / error, df) if math.isfinite(high) else 0.0
    within = min(1.0, 2 * max(above, below))
    under = stats.t.cdf((found["mean"] - low) / error, df) if math.isfinite(low) else 1.0
    over = stats.t.sf((found["mean"] - high) / error, df) if math.isfinite(high) else 1.0
    outside = min(1.0, 2 * min(under, over))
    support, refute = (within, outside) if inside else (outside, within)
    return float(min(support, refute)), bool(support < refute)


def _differences(raw: Raw, claim: Mapping[str, Any]) -> list[float]:
    """By replicate, averaged over the combinations of the other factors that have all cells of the claim."""
    metric = raw.metric(claim.get("metric", "test_accuracy"))
    against = claim.get("against")
    constant = float(against) if isinstance(against, int | float) and not isinstance(against, bool) else None
    groups = [
        [(sign, cell) for sign, cell in group]
        for group in _groups(raw, claim, {} if constant is not None else dict(against or {}), constant is not None)
    ]
    common = set.intersection(*(set(metric[cell]) for group in groups for _, cell in group))
    return [
        sum(sign * metric[cell][r] for group in groups for sign, cell in group) / len(groups) - (constant or 0.0)
        for r in sorted(common)
    ]


def _groups(
    raw: Raw, claim: Mapping[str, Any], against: Mapping[str, Any], alone: bool
) -> Iterator[list[tuple[int, str]]]:
    """The cells of the claim with their signs, for each combination of the factors that the claim does not name."""
    by_levels = {levels: cell for cell, levels in raw.cells.items()}
    base = dict(zip(raw.factors, raw.cells[raw.baseline], strict=True))
    ours = {name: level_of(raw, name, level) for name, level in claim["cells"].items()}
    theirs = {name: base[name] for name in ours} | {name: level_of(raw, name, level) for name, level in against.items()}
    ours = {name: base[name] for name in theirs} | ours
    if claim["kind"] == "interaction":
        corners = [
            (
                1 if sum(own) % 2 == len(ours) % 2 else -1,
                {name: (theirs, ours)[bit][name] for name, bit in zip(ours, own, strict=True)},
            )
            for own in itertools.product((0, 1), repeat=len(ours))
        ]
    else:
        corners = [(1, ours)] if alone else [(1, ours), (-1, theirs)]
    named = [i for i, factor in enumerate(raw.factors) if factor in ours]
    for levels in dict.fromkeys(tuple("" if i in named else level for i, level in enumerate(own)) for own in by_levels):
        group = [
            (sign, by_levels.get(tuple(at[raw.factors[i]] if i in named else level for i, level in enumerate(levels))))
            for sign, at in corners
        ]
        if all(cell is not None for _, cell in group):
            yield [(sign, str(cell)) for sign, cell in group]


def level_of(raw: Raw, factor: str, written: Any) -> str:
    """The label in `results.csv` of a level as the grid has it: the same text, or the same number."""
    labels = dict.fromkeys(levels[raw.factors.index(factor)] for levels in raw.cells.values())
    text = "none" if written is None else str(written)
    if text in labels:
        return text
    return next(label for label in labels if _number(label) == _number(text))


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def claim_runs(raw: Raw) -> Iterator[Expected]:
    """Every run behind a verdict has the value of its trial."""
    if not raw.has(RUNS):
        return
    trials = raw.trials.set_index("key")
    for _, row in raw.derived(RUNS).iterrows():
        place = {name: row[name] for name in ("number", "side", "cell", "replicate")}
        trial = trials.loc[row["key"]]
        yield Expected(RUNS, place, "value", float(trial[row["metric"]]))
        yield from (Expected(RUNS, place, name, str(trial[name])) for name in ("cell", "replicate", "run_id"))
