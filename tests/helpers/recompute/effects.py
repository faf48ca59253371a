"""Effects of factors by matched comparison, and adding against removing."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from helpers.recompute.files import Expected, Raw
from helpers.recompute.formulas import Values, hedges_g_av, holm, mean_interval, paired, size_of, t_test

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


def average(cells: Sequence[str], raw: Raw) -> Values:
    """The mean over cells in each replicate that all of them have."""
    common = set.intersection(*(set(raw.accuracies[cell]) for cell in cells))
    return {r: float(np.mean([raw.accuracies[cell][r] for cell in cells])) for r in sorted(common)}


def effects(raw: Raw) -> Iterator[Expected]:
    if not raw.has(FILE) or not is_matched(raw):
        return
    rows = {}
    for place, pairs in matches(raw).items():
        if pairs:
            ours, theirs = (average([pair[side] for pair in pairs], raw) for side in (0, 1))
            changes = paired(ours, theirs)
            found = mean_interval(changes, -1, 1)
            rows[place] = {"n": found["n"], "combinations": len(pairs), "difference": found["mean"], "sd": found["sd"]}
            rows[place] |= {
                "low": found["low"],
                "high": found["high"],
                "df": found["n"] - 1,
                "p_value": t_test(changes),
            }
            rows[place]["effect_size"] = hedges_g_av(ours, theirs)
    yield from judged(FILE, {("factor", "level"): rows}, raw.margin)


def judged(
    file: str, tables: dict[tuple[str, ...], dict[tuple[str, ...], dict[str, float]]], margin: float
) -> Iterator[Expected]:
    """Rows of one family of comparisons, with Holm's correction and the size compared with the margin."""
    for names, rows in tables.items():
        adjusted = holm([row["p_value"] for row in rows.values()])
        for (place, row), p_adjusted in zip(rows.items(), adjusted, strict=True):
            size = size_of(row["difference"], row["low"], row["high"], row["df"], len(rows), margin)
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
