"""Studies on several data sets: claims and effects on each, and methods over all of them."""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from helpers.recompute import effects, fits
from helpers.recompute.claims import REGIONS, decisive, evidence_of, groups_of, interval_of, verdicts
from helpers.recompute.errors import between
from helpers.recompute.files import Expected, Raw
from helpers.recompute.formulas import holm
from scipy import stats

CLAIMS, EFFECTS, METHODS = "data_set_claims.csv", "figures/data_set_effects.csv", "methods.csv"
RESAMPLES = 2_000


def claims(raw: Raw) -> Iterator[Expected]:
    """Every claim that compares cells within data sets, on each of at least two: a family of their own."""
    if not raw.has(CLAIMS):
        return
    rows = [row for number, overall in verdicts(raw).items() for row in _on_each(raw, number, overall)]
    for row, p_adjusted in zip(rows, holm([row["p_value"] / row.pop("share") for row in rows]), strict=True):
        if not p_adjusted <= 0.05:
            row["verdict"] = "undecided"
        place = {"number": row.pop("number"), "data_set": row.pop("data_set")}
        yield from (Expected(CLAIMS, place, *pair) for pair in (row | {"p_adjusted": p_adjusted}).items())


def _on_each(raw: Raw, number: int, overall: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of a claim, from the replicates of the look that gave its own verdict."""
    claim = raw.grid["claims"][number - 1]
    if raw.data_set_factor in {*claim["cells"], *(claim["against"] if _is_sides(claim) else ())}:
        return []
    groups, found = groups_of(raw, claim), []
    for name, part in raw.sets.items():
        own = [group for group in groups if {cell for _, cell in group} <= part.cells.keys()]
        if own:
            found.append({"number": number, "data_set": name} | _judged(part, claim, own, overall))
    return found if len(found) > 1 else []


def _is_sides(claim: dict[str, Any]) -> bool:
    return isinstance(claim.get("against"), dict)


def _judged(
    part: Raw, claim: dict[str, Any], groups: list[list[tuple[float, str]]], overall: dict[str, Any]
) -> dict[str, Any]:
    alpha, one = 1 - overall["level"], evidence_of(part, claim, groups, overall["looked"])
    p_value, supports = decisive(one, *REGIONS[claim["kind"]](float(claim.get("margin") or 0)))
    low, high = interval_of(one, overall["level"])
    verdict = ("supported" if supports else "refuted") if p_value <= alpha else "undecided"
    row = {"estimate": one.mean, "low": low, "high": high, "level": overall["level"]}
    row |= {"p_value": p_value, "n": one.n, "sets": one.sets, "verdict": verdict, "share": alpha / 0.05}
    return row


def ranked_effects(raw: Raw) -> Iterator[Expected]:
    """The effects of levels that are compared on at least two data sets, each with the error of its data set."""
    if not raw.has(EFFECTS):
        return
    rows = {(name, *place): row for name, part in raw.sets.items() for place, row in _effects(part).items()}
    rows = {place: row for place, row in rows.items() if sum(place[1:] == other[1:] for other in rows) > 1}
    order = sorted(rows, key=lambda place: list(dict.fromkeys(own[1:] for own in rows)).index(place[1:]))
    p_values = holm([float(rows[place]["p_value"]) for place in order])
    places = ("data_set", "factor", "level")
    known = effects.judged(EFFECTS, places, {place: rows[place] for place in order}, ("Holm", p_values), raw.margin)
    yield from (one for one in known if rows[tuple(one.row[name] for name in places)]["n"] > 0)


def _effects(part: Raw) -> dict[effects.Place, effects.Row]:
    if not effects.is_matched(part):
        return fits.effect_rows(part)
    compared = {place: pairs for place, pairs in effects.matches(part).items() if pairs}
    return {place: effects.matched(part, pairs, between(part, pairs)) for place, pairs in compared.items()}


def method_values(raw: Raw) -> dict[str, np.ndarray]:
    """By method: accuracies (replicates, data sets), of the replicates that it has on all data sets.

    A method is a combination of the other factors' levels. Where several levels have the same data set, which cells are
    the same method is not recomputed.
    """
    found, cells = {}, methods_of(raw)
    for name, own in cells.items():
        common = sorted(set.intersection(*(set(raw.accuracies[cell]) for cell in own)))
        if common:
            found[name] = np.array([[raw.accuracies[cell][r] for cell in own] for r in common])
    return found if len(found) > 1 else {}


def methods_of(raw: Raw) -> dict[str, list[str]]:
    """The cells of each method on every data set, by the name of the first."""
    if any(raw.data_set_factor in part.factors for part in raw.sets.values()):
        return {}
    first, *others = raw.sets.values()
    by_levels = [{levels: cell for cell, levels in part.cells.items()} for part in others]
    return {
        cell: [cell, *(own[levels] for own in by_levels)]
        for cell, levels in first.cells.items()
        if all(levels in own for own in by_levels)
    }


def methods(raw: Raw) -> Iterator[Expected]:
    """Mean ranks, interquartile means and probabilities of improvement; bootstrap intervals by draws of our own."""
    if not raw.has(METHODS):
        return
    found, cells = method_values(raw), methods_of(raw)
    ranks = mean_ranks(np.array([own.mean(axis=0) for own in found.values()])) if found else []
    for (name, own), rank in zip(found.items(), ranks, strict=True):
        failed = raw.trials["cell"].isin(cells[name]) & (raw.trials["status"] == "failed")
        row: dict[str, float] = {"n": len(own), "failed": int(failed.sum()), "mean_rank": rank}
        row |= {f"mean on {one}": mean for one, mean in zip(raw.sets, own.mean(axis=0), strict=True)}
        row |= {"iqm": middle(own), "improvement": math.nan}
        row |= dict.fromkeys(("iqm_low", "iqm_high", "improvement_low", "improvement_high"), math.nan)
        if name != raw.baseline and raw.baseline in found:
            row["improvement"] = improvement(own, found[raw.baseline])
        yield from (
            Expected(METHODS, {"method": name}, *pair) for pair in row.items() if not pair[0].endswith(("w", "h"))
        )
        yield from _intervals(name, own, found.get(raw.baseline), name == raw.baseline)


def _intervals(name: str, own: np.ndarray, baseline: np.ndarray | None, alone: bool) -> Iterator[Expected]:
    """None below three replicates; ends within a fifth of the width."""
    rng = np.random.default_rng(7)
    few = len(own) < 3 or (baseline is not None and len(baseline) < 3)
    ends = {"iqm": [math.nan] * 2, "improvement": [math.nan] * 2}
    if len(own) >= 3:
        ends["iqm"] = _ends([middle(_drawn(own, rng)) for _ in range(RESAMPLES)])
    if baseline is not None and not alone and not few:
        draws = [improvement(_drawn(own, rng), _drawn(baseline, rng)) for _ in range(RESAMPLES)]
        ends["improvement"] = _ends(draws)
    for measure, (low, high) in ends.items():
        near = (high - low) / 5 + 1e-9
        for end, value in (("low", low), ("high", high)):
            yield Expected(METHODS, {"method": name}, f"{measure}_{end}", value, 0.0, near)


def _drawn(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.array([rng.choice(own, len(own)) for own in values.T]).T


def _ends(values: Sequence[float]) -> list[float]:
    return [float(end) for end in np.quantile(values, (0.025, 0.975))]


def middle(values: np.ndarray) -> float:
    """The mean without a quarter of the values at each end, rounded down."""
    ordered = np.sort(values.ravel())
    cut = len(ordered) // 4
    return float(ordered[cut : len(ordered) - cut].mean())


def improvement(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The share of pairs of runs on a data set in which ours is better, ties counting half; averaged."""
    shares = (np.sign(ours[:, None] - theirs[None]) + 1) / 2
    return float(np.mean(shares))


def mean_ranks(means: np.ndarray) -> list[float]:
    """From (methods, data sets); 1 is the best, and equal means share their ranks."""
    return [float(own) for own in stats.rankdata(-np.round(means, 12), axis=0).mean(axis=1)]


def friedman_p_value(means: np.ndarray) -> float:
    """The share of all orders of methods within data sets with at least this spread of the sums of ranks."""
    ranks = [tuple(own) for own in (2 * stats.rankdata(-np.round(means, 12), axis=0)).T]
    found = sum(total**2 for total in map(sum, zip(*ranks, strict=True)))
    orders = [list(itertools.permutations(own)) for own in ranks[1:]]
    spreads = [
        sum(total**2 for total in map(sum, zip(ranks[0], *others, strict=True)))
        for others in itertools.product(*orders)
    ]
    return float(np.mean([spread >= found for spread in spreads]))


def nemenyi(data_sets: int, methods: int) -> float:
    """The critical difference of mean ranks at 5 %."""
    q = float(stats.studentized_range.isf(0.05, methods, math.inf)) / math.sqrt(2)
    return q * math.sqrt(methods * (methods + 1) / (6 * data_sets))
