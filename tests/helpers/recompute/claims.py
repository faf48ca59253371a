"""Verdicts on claims about metrics of trials."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from helpers.recompute import images
from helpers.recompute.errors import Evidence, adjusted, complete, evidence, expected
from helpers.recompute.files import Expected, Raw
from helpers.recompute.formulas import equal_spread, skewed
from scipy import stats

FILE, RUNS, FIGURE, BUDGETS = "claims.csv", "claim_runs.csv", "figures/claims.csv", "budgets.csv"
CONTRASTS, OF_TRIALS = "contrasts.csv", ("test_accuracy", "val_accuracy", "train_seconds", "pretrain_seconds")
SHARES = ("test_accuracy", "val_accuracy")
SIZES = ("params", "params_active", "macs")
REGIONS = {  # by kind and margin: where the claim holds, and whether between these ends or beyond them
    "greater": lambda margin: (margin, math.inf, True),
    "less": lambda margin: (-math.inf, -margin, True),
    "equivalent": lambda margin: (-margin, margin, True),
    "non_inferior": lambda margin: (-margin, math.inf, True),
    "interaction": lambda margin: (-margin, margin, False),
}


def decisive(found: Evidence, low: float, high: float, inside: bool) -> tuple[float, bool]:
    """The level at which the interval just decides the claim, and whether it supports it."""
    if found.untested or not found.error > 0:
        return math.nan, False
    if found.shares is not None:
        shares = (low + found.number, high + found.number)
        ends = [end if 0 <= end <= 1 else math.copysign(math.inf, end) for end in shares]
        support, refute = images.p_values_of(found.shares, *ends)
        return min(support, refute), support < refute
    above = stats.t.sf((found.mean - low) / found.error, found.df)
    below = stats.t.cdf((found.mean - high) / found.error, found.df)
    under = stats.t.cdf((found.mean - low) / found.error, found.df)
    over = stats.t.sf((found.mean - high) / found.error, found.df)
    within, outside = min(1.0, 2 * max(above, below)), min(1.0, 2 * min(under, over))
    support, refute = (within, outside) if inside else (outside, within)
    return float(min(support, refute)), bool(support < refute)


def claims(raw: Raw) -> Iterator[Expected]:
    """Of claims on metrics of trials."""
    if not raw.has(FILE):
        return
    for number, row in verdicts(raw).items():
        yield from (_column(FILE, number, name, value) for name, value in row.items())
        if raw.has(FIGURE) and str(number) in set(raw.derived(FIGURE)["number"]):
            yield from (_column(FIGURE, number, name, value) for name, value in _in_points(row).items())


def verdicts(raw: Raw) -> dict[int, dict[str, Any]]:
    """Estimates, intervals, p-values and verdicts, look by look; a claim that is decided keeps its numbers."""
    rows: dict[int, dict[str, Any]] = {}
    adaptive = not isinstance(raw.grid.get("replicates", 1), int)
    for n, share in looks(raw):
        left = {
            number: claim
            for number, claim in enumerate(raw.grid.get("claims", ()), start=1)
            if claim.get("metric", "test_accuracy") in OF_TRIALS
            and rows.get(number, {}).get("verdict", "undecided") == "undecided"
        }
        cells = {cell for claim in left.values() for group in groups_of(raw, claim) for _, cell in group}
        ended = all((cell, r) in raw.ended for cell in cells for r in range(1, n + 1))
        if not left or (adaptive and not ended):
            break
        rows |= dict(zip(left, judged(raw, list(left.values()), n, share, cells), strict=True))
    return rows


def _column(file: str, number: int, name: str, value: Any) -> Expected:
    return expected(file, {"number": number}, name, value)


def _in_points(row: Mapping[str, Any]) -> dict[str, Any]:
    """The forest plot has accuracies in points."""
    scaled = ("estimate", "low", "high", "holds_above", "holds_below")
    return {name: 100 * value if name in scaled else value for name, value in row.items()}


def looks(raw: Raw) -> list[tuple[int, float]]:
    """Replicates at each look, growing by a factor close to 2, and the share of 5 % that it spends, up to n / most
    squared."""
    replicates = raw.grid.get("replicates", 1)
    if isinstance(replicates, int):
        return [(replicates, 1.0)]
    least, most = replicates["min"], replicates["max"]
    steps = max(1, round(math.log2(most / least)))
    schedule = [*(math.ceil(least * (most / least) ** (i / steps) - 1e-9) for i in range(steps)), most]
    return [(n, (n / most) ** 2 - (before / most) ** 2) for before, n in itertools.pairwise([0, *schedule])]


def judged(raw: Raw, left: Sequence[Mapping[str, Any]], n: int, share: float, cells: set[str]) -> list[dict[str, Any]]:
    """The claims that are open at a look, adjusted for each other."""
    fixed = isinstance(raw.grid.get("replicates", 1), int)
    found = [evidence_of(raw, claim, groups_of(raw, claim), n, None if fixed else cells) for claim in left]
    regions = [REGIONS[claim["kind"]](float(claim.get("margin") or 0)) for claim in left]
    decided_by = [decisive(one, *region) for one, region in zip(found, regions, strict=True)]
    adjustment, p_adjusted_of = adjusted([p_value for p_value, _ in decided_by], found)
    rows = []
    for claim, one, region, (p_value, supports), p_adjusted in zip(
        left, found, regions, decided_by, p_adjusted_of, strict=True
    ):
        decided = p_adjusted / share <= 0.05
        row = {"claim": claim["claim"], "kind": claim["kind"], "estimate": one.mean, "n": one.n}
        row |= {"df": one.df, "error": _error(claim, one)} if one.df > 0 else {"df": math.nan}
        low, high = interval_of(one, 1 - 0.05 * share)
        row |= {"low": low, "high": high, "level": 1 - 0.05 * share, "p_value": p_value}
        row |= {"p_adjusted": min(p_adjusted / share, 1.0), "holds_above": region[0], "holds_below": region[1]}
        row |= {"holds_between": region[2], "looked": n}
        row |= {"sets": one.sets, "metric": claim.get("metric", "test_accuracy")}
        row |= {"adjustment": "" if math.isnan(p_value) else adjustment}
        row |= {"condition": condition(raw, claim, n, None if fixed else cells)}
        rows.append(row | {"verdict": ("supported" if supports else "refuted") if decided else "undecided"})
    return rows


def evidence_of(
    raw: Raw,
    claim: Mapping[str, Any],
    groups: Sequence[Sequence[tuple[float, str]]],
    n: int,
    cells: set[str] | None = None,
) -> Evidence:
    """The difference over the first n replicates."""
    name, constant, metric = claim.get("metric", "test_accuracy"), constant_of(claim), metric_until(raw, claim, n)
    found = evidence(raw, name, metric, groups, constant, cells)
    if constant is None:
        return found
    shares = images.shares_of(raw, groups, n) if name == "test_accuracy" and found.sets == len(groups) else None
    if shares is None or len(shares) < 2:
        known = {cell for group in groups for _, cell in group if cells is None or cell in cells}
        near = name in SHARES and any(near_end(list(metric[cell].values())) for cell in known)
        return replace(found, untested=found.untested or near)
    mean, error, df = images.crossed(shares)
    if not error > 0:
        _, error, df = images.on_logits(shares)
    return replace(found, mean=mean - constant, error=error, df=df, shares=shares, number=constant)


def near_end(values: Sequence[float]) -> bool:
    """Whether shares vary by more than a quarter of their mean's distance from 0 or 1: no t-test against a number."""
    if len(values) < 2:
        return False
    mean = float(np.mean(values))
    return float(np.std(values, ddof=1)) > min(mean, 1 - mean) / 4


def interval_of(one: Evidence, level: float) -> tuple[float, float]:
    if one.shares is not None:
        low, high = images.interval_of(one.shares, level)
        return low - one.number, high - one.number
    half = float(stats.t.ppf((1 + level) / 2, one.df)) * one.error
    return one.mean - half, one.mean + half


def _error(claim: Mapping[str, Any], one: Evidence) -> str:
    if constant_of(claim) is not None:
        return "replicates" if one.shares is None else "replicates and images"
    return "pooled" if one.pooled else "paired"


def condition(raw: Raw, claim: Mapping[str, Any], n: int, cells: set[str] | None) -> str:
    """What the tests of skew and of equal spread show of the claim's metric."""
    _, values = complete(metric_until(raw, claim, n), cells)
    found = skewed(values)
    if not found:
        return "not tested" if found is None else "no sign of skew"
    return "skewed, unequal spreads" if equal_spread(values.T.tolist()) < 0.25 else "skewed"


def metric_until(raw: Raw, claim: Mapping[str, Any], n: int) -> dict[str, dict[int, float]]:
    """The metric of each cell in the first n replicates."""
    metric = raw.metric(claim.get("metric", "test_accuracy"))
    return {cell: {r: value for r, value in values.items() if r <= n} for cell, values in metric.items()}


def constant_of(claim: Mapping[str, Any]) -> float | None:
    against = claim.get("against")
    if isinstance(against, str):  # as in 90 %
        return float(against.removesuffix("%")) / 100
    return float(against) if isinstance(against, int | float) and not isinstance(against, bool) else None


def contrasts(raw: Raw) -> Iterator[Expected]:
    """Contrasts of the key `compare` on metrics of trials: two-sided tests, a family of their own."""
    if not raw.has(CONTRASTS):
        return
    asked = [
        (number, {"kind": "greater", **one})
        for number, one in enumerate(raw.grid["compare"], start=1)
        if one.get("metric", "test_accuracy") in OF_TRIALS
    ]
    most = int(raw.trials["replicate"].max())
    found = [evidence_of(raw, one, groups_of(raw, one), most) for _, one in asked]
    adjustment, p_adjusted_of = adjusted([one.p_value for one in found], found)
    for (number, _), one, p_adjusted in zip(asked, found, p_adjusted_of, strict=True):
        row = one.row()
        row |= {"estimate": row.pop("difference"), "p_adjusted": p_adjusted, "sets": one.sets}
        row["adjustment"] = "" if math.isnan(p_adjusted) else adjustment
        del row["sd"]
        yield from (_column(CONTRASTS, number, name, value) for name, value in row.items())


def groups_of(raw: Raw, claim: Mapping[str, Any]) -> list[list[tuple[float, str]]]:
    """The compared cells with their signs, for each combination of the other factors that has all of them."""
    by_levels = {levels: cell for cell, levels in raw.cells.items()}
    corners, allowed = _corners(raw, claim), _allowed(raw, claim)
    named = [i for i, factor in enumerate(raw.factors) if factor in corners[0][1]]
    found = []
    for levels in dict.fromkeys(tuple("" if i in named else level for i, level in enumerate(own)) for own in by_levels):
        if any(levels[raw.factors.index(name)] not in labels for name, labels in allowed.items()):
            continue
        group = [
            (sign, by_levels.get(tuple(at[raw.factors[i]] if i in named else level for i, level in enumerate(levels))))
            for sign, at in corners
        ]
        if all(cell is not None for _, cell in group):
            found.append([(sign, str(cell)) for sign, cell in group])
    return found


def _allowed(raw: Raw, claim: Mapping[str, Any]) -> dict[str, set[str]]:
    """The levels of the factors that the claim does not compare: of `where`, or the baseline's against a number."""
    found = {}
    if constant_of(claim) is not None:
        base = zip(raw.factors, raw.cells[raw.baseline], strict=True)
        found = {name: {level} for name, level in base if name not in claim["cells"]}
    return found | {name: set(_labels(raw, name, levels)) for name, levels in (claim.get("where") or {}).items()}


def _corners(raw: Raw, claim: Mapping[str, Any]) -> list[tuple[float, dict[str, str]]]:
    """The levels on both sides with their signs; several levels of a side are averaged."""
    base = dict(zip(raw.factors, raw.cells[raw.baseline], strict=True))
    ours = {name: _labels(raw, name, level) for name, level in claim["cells"].items()}
    if constant_of(claim) is not None:
        return _side(1, ours)
    theirs = {name: _labels(raw, name, level) for name, level in (claim.get("against") or {}).items()}
    theirs = {name: [base[name]] for name in ours} | theirs
    ours = {name: [base[name]] for name in theirs} | ours
    if claim["kind"] != "interaction":
        return [*_side(1, ours), *_side(-1, theirs)]
    return [
        (
            1 if sum(own) % 2 == len(ours) % 2 else -1,
            {name: (theirs, ours)[bit][name][0] for name, bit in zip(ours, own, strict=True)},
        )
        for own in itertools.product((0, 1), repeat=len(ours))
    ]


def _side(sign: int, side: Mapping[str, Sequence[str]]) -> list[tuple[float, dict[str, str]]]:
    weight = sign / math.prod(map(len, side.values()))
    return [(weight, dict(zip(side, levels, strict=True))) for levels in itertools.product(*side.values())]


def _labels(raw: Raw, factor: str, written: Any) -> list[str]:
    return [level_of(raw, factor, one) for one in (written if isinstance(written, list) else [written])]


def level_of(raw: Raw, factor: str, written: Any) -> str:
    """The label in `results.csv` of a level as the grid has it: the same text, or the same number."""
    labels = dict.fromkeys(levels[raw.factors.index(factor)] for levels in raw.cells.values())
    named = {"None": "none", "True": "on", "False": "off"}
    text = named.get(str(written), str(written))
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
        yield Expected(RUNS, place, "value", raw.metric(row["metric"])[row["cell"]][int(row["replicate"])])
        yield from (Expected(RUNS, place, name, str(trial[name])) for name in ("cell", "replicate", "run_id"))


def budgets(raw: Raw) -> Iterator[Expected]:
    """Sizes of each cell, and means over the cells on both sides of a claim."""
    if not raw.has(BUDGETS):
        return
    sizes = {cell: own[list(SIZES)].iloc[0] for cell, own in raw.done.groupby("cell", sort=False)}
    for cell, own in sizes.items():
        yield from (Expected(BUDGETS, {"claim": "", "cell": cell}, name, own[name]) for name in SIZES)
    for number, claim in enumerate(raw.grid.get("claims", ()), start=1):
        cells = [pair for group in groups_of(raw, claim) for pair in group]
        for side, sign in (("cells", 1), ("against", -1)):
            own = [sizes[cell] for other, cell in cells if other == sign]
            for name in SIZES if own else ():
                mean = float(np.mean([one[name] for one in own]))
                yield Expected(BUDGETS, {"claim": number, "side": side}, name, mean)
