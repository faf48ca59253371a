"""Effects of factors by matched comparison, and adding against removing."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence

from helpers.recompute.files import Expected, Raw
from helpers.recompute.formulas import holm, mean_interval, mean_of_sets, paired, size_of, standardised, t_test

FILE, ADDING = "figures/effects.csv", "figures/adding.csv"


def matches(raw: Raw) -> dict[tuple[str, str], list[tuple[str, str]]]:
    """By factor and level other than the baseline's: cells, each with the cell that differs in this factor alone."""
    by_levels = {levels: cell for cell, levels in raw.cells.items()}
    base, found = raw.cells[raw.baseline], dict[tuple[str, str], list[tuple[str, str]]]()
    for i, factor in enumerate(raw.factors):
        for cell, levels in raw.cells.items():
            if levels[i] != base[i]:
                own = found.setdefault((factor, levels[i]), [])
                other = by_levels.get((*levels[:i], base[i], *levels[i + 1 :]))
                own += [(cell, other)] if other else []
    return found


def is_matched(raw: Raw) -> bool:
    """Whether effects are matched comparisons: at least half of the cells at every level have a counterpart."""
    changes = [
        sum(a != b for a, b in zip(levels, raw.cells[raw.baseline], strict=True)) for levels in raw.cells.values()
    ]
    if raw.grid.get("design") not in ("factorial", "fractional") or max(changes) < 2:
        return True
    counts = Counter(
        (factor, level) for levels in raw.cells.values() for factor, level in zip(raw.factors, levels, strict=True)
    )
    return all(2 * len(pairs) >= counts[place] for place, pairs in matches(raw).items())


def effects(raw: Raw) -> Iterator[Expected]:
    if not raw.has(FILE) or not is_matched(raw):
        return
    rows = {place: _matched(raw, pairs) for place, pairs in matches(raw).items() if pairs}
    yield from judged(FILE, {("factor", "level"): rows}, raw.margin)


def _matched(raw: Raw, pairs: Sequence[tuple[str, str]]) -> dict[str, float]:
    """The mean over pairs of cells that have a common replicate."""
    both = [(raw.accuracies[cell], raw.accuracies[other]) for cell, other in pairs]
    common = [(x, y, sorted(x.keys() & y.keys())) for x, y in both if x.keys() & y.keys()]
    found = mean_of_sets([{r: x[r] - y[r] for r in replicates} for x, y, replicates in common])
    low, high = found.interval()
    row = {"n": found.n, "combinations": len(common), "difference": found.mean, "sd": found.sd, "df": found.df}
    row |= {"low": max(low, -1), "high": min(high, 1)}
    lost = len(common) < len(pairs)
    row["p_value"] = math.nan if lost or raw.untested(cell for pair in pairs for cell in pair) else found.p_value
    ours, theirs = ([{r: own[side][r] for r in own[2]} for own in common] for side in (0, 1))
    return row | {"effect_size": standardised(ours, theirs)}


def judged(
    file: str, tables: dict[tuple[str, ...], dict[tuple[str, ...], dict[str, float]]], margin: float
) -> Iterator[Expected]:
    """Rows of one family of comparisons, with Holm's correction and the size compared with the margin."""
    for names, rows in tables.items():
        adjusted = holm([row["p_value"] for row in rows.values()])
        for (place, row), p_adjusted in zip(rows.items(), adjusted, strict=True):
            size = size_of(row["difference"], row["low"], row["high"], row["df"], len(rows), margin)
            size = "" if math.isnan(p_adjusted) else size  # nothing was tested
            clear = not math.isnan(p_adjusted) and p_adjusted < 0.05
            values = {**row, "p_adjusted": p_adjusted, "distinguishable": clear, "size": size}
            where = dict(zip(names, place, strict=True))
            yield from (Expected(file, where, name, value) for name, value in values.items())


def adding(raw: Raw) -> Iterator[Expected]:
    """What each part is worth in the full and in the bare model; which cells these are is taken from the file."""
    if not raw.has(ADDING):
        return
    rows = {}
    for _, row in raw.derived(ADDING).iterrows():
        gains, values = [], dict[str, float]()
        for side, (more, less) in {"full": ("full", "removed"), "bare": ("added", "bare")}.items():
            by_replicate = {
                r: raw.accuracies[row[more]][r] - raw.accuracies[row[less]][r]
                for r in raw.accuracies[row[more]].keys() & raw.accuracies[row[less]].keys()
            }
            found = mean_interval(list(by_replicate.values()), -1, 1)
            values |= {f"{side}_n": found["n"], f"{side}_gain": found["mean"]}
            values |= {f"{side}_low": found["low"], f"{side}_high": found["high"]}
            gains.append(by_replicate)
        changes = paired(*gains)
        found = mean_interval(changes, -2, 2)
        values |= {"n": found["n"], "difference": found["mean"], "low": found["low"], "high": found["high"]}
        rows[(row["part"],)] = values | {"sd": found["sd"], "df": found["n"] - 1, "p_value": t_test(changes)}
    yield from judged(ADDING, {("part",): rows}, raw.margin)
