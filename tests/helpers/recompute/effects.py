"""Effects of factors by matched comparison, and adding against removing."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from helpers.recompute.errors import Evidence, adjusted, between, evidence, expected
from helpers.recompute.files import Expected, Raw
from helpers.recompute.formulas import size_of, standardised

FILE, ADDING = "figures/effects.csv", "figures/adding.csv"
Place, Row = tuple[str, ...], dict[str, float | str]


def matches(raw: Raw) -> dict[tuple[str, str], list[tuple[str, str]]]:
    """By factor and level other than the baseline's: cells, each with the cell that differs in this factor alone.

    Levels on another data set than the baseline's level have none.
    """
    by_levels = {levels: cell for cell, levels in raw.cells.items()}
    base, found = raw.cells[raw.baseline], dict[tuple[str, str], list[tuple[str, str]]]()
    for i, factor in enumerate(raw.factors):
        for cell, levels in raw.cells.items():
            if levels[i] != base[i] and not _elsewhere(raw, factor, cell):
                own = found.setdefault((factor, levels[i]), [])
                other = by_levels.get((*levels[:i], base[i], *levels[i + 1 :]))
                own += [(cell, other)] if other else []
    return found


def _elsewhere(raw: Raw, factor: str, cell: str) -> bool:
    """Whether the cell's level of this factor is on another data set than the baseline's."""
    return factor == raw.data_set_factor and raw.data_sets[cell] != raw.data_sets[raw.baseline]


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
    compared = {place: pairs for place, pairs in matches(raw).items() if pairs}
    found = {place: between(raw, pairs) for place, pairs in compared.items()}
    rows = {place: matched(raw, pairs, found[place]) for place, pairs in compared.items()}
    known = judged(FILE, ("factor", "level"), rows, family(found), raw.margin)
    yield from (one for one in known if int(rows[one.row["factor"], one.row["level"]]["n"]) > 0)


def matched(raw: Raw, pairs: Sequence[tuple[str, str]], found: Evidence) -> Row:
    """The mean over pairs of cells that have a common replicate."""
    both = [(raw.accuracies[cell], raw.accuracies[other]) for cell, other in pairs]
    common = [(x, y, sorted(x.keys() & y.keys())) for x, y in both if x.keys() & y.keys()]
    ours, theirs = ([{r: own[side][r] for r in own[2]} for own in common] for side in (0, 1))
    return found.row(most=1) | {"combinations": len(common), "effect_size": standardised(ours, theirs)}


def family(found: Mapping[Place, Evidence]) -> tuple[str, list[float]]:
    """The name of the adjustment, and the adjusted p-values."""
    return adjusted([one.p_value for one in found.values()], list(found.values()))


def judged(
    file: str, names: tuple[str, ...], rows: Mapping[Place, Row], adjustment: tuple[str, list[float]], margin: float
) -> Iterator[Expected]:
    """Rows of one family of comparisons with their adjusted p-values, and their size compared with the margin."""
    name_of, p_values = adjustment
    for (place, row), p_adjusted in zip(rows.items(), p_values, strict=True):
        ends = (float(row[name]) for name in ("difference", "low", "high", "df"))
        size = "" if math.isnan(p_adjusted) else size_of(*ends, len(rows), margin)  # nan: nothing was tested
        name = "" if math.isnan(p_adjusted) else name_of
        clear = not math.isnan(p_adjusted) and p_adjusted < 0.05
        values = {**row, "p_adjusted": p_adjusted, "adjustment": name, "distinguishable": clear, "size": size}
        where = dict(zip(names, place, strict=True))
        yield from (expected(file, where, name, value) for name, value in values.items())


def adding(raw: Raw) -> Iterator[Expected]:
    """What each part is worth in the full and in the bare model; which cells these are is taken from the file."""
    if not raw.has(ADDING):
        return
    rows, found = dict[Place, Row](), dict[Place, Evidence]()
    for _, row in raw.derived(ADDING).iterrows():
        values: Row = {}
        for side, pair in {"full": (row["full"], row["removed"]), "bare": (row["added"], row["bare"])}.items():
            gain = between(raw, [pair]).row(most=1)
            values |= {f"{side}_gain": gain["difference"]} | {
                f"{side}_{name}": gain[name] for name in ("n", "low", "high")
            }
        group = ((1, row["full"]), (-1, row["removed"]), (-1, row["added"]), (1, row["bare"]))
        found[row["part"],] = evidence(raw, "test_accuracy", raw.accuracies, [group])
        rows[row["part"],] = values | found[row["part"],].row(most=2)
    yield from judged(ADDING, ("part",), rows, family(found), raw.margin)
