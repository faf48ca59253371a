"""Adding versus removing: what a part is worth in the full model, and in the bare one."""

import math

import pandas as pd

from study.analysis.accuracy_intervals import cut, share_difference
from study.analysis.facts import CellFacts, FactorFacts, StudyFacts
from study.analysis.results import Results
from study.analysis.stats.adjust import holm
from study.analysis.stats.contrasts import between
from study.analysis.stats.intervals import Difference

COLUMNS = [
    *("part", "with", "without", "full", "removed", "added", "bare"),
    *("full_n", "full_gain", "full_low", "full_high", "bare_n", "bare_gain", "bare_low", "bare_high"),
    *("n", "difference", "low", "high", "sd", "p_value", "p_adjusted", "df", "note"),
]


def add_vs_remove(results: Results) -> pd.DataFrame:
    """One row per part of a study that has the full model, the bare one, and each part removed and added.

    `full_gain` is the test accuracy of the `full` model minus that of the cell with the part `removed`; `bare_gain` is
    that of the cell with the part `added` minus that of the `bare` one. Each has its 95 % interval, paired by
    replicate. `difference` is full_gain - bare_gain, with interval and paired t-test over the replicates that all four
    cells have. If it is not zero, the part's worth depends on the other parts (it is the sum of its interactions with
    them). `p_adjusted` is Holm's, over all parts. `note` names failed replicates. All in shares from 0 to 1; empty for
    other designs.
    """
    rows = [_row(part, cells, results) for part, cells in _parts(results.facts)]
    table = pd.DataFrame(rows, columns=COLUMNS)
    return table.assign(p_adjusted=holm(table["p_value"].to_numpy(dtype=float)))


def _parts(facts: StudyFacts) -> list[tuple[FactorFacts, dict[str, CellFacts]]]:
    """The four cells of each part, if the study has all of them."""
    by_labels = {tuple(sorted(cell.labels.items())): cell for cell in facts.included}
    ends = {cell.name: cell for cell in facts.included if cell.name in (facts.full, facts.bare)}
    if facts.full not in ends or facts.bare not in ends:
        return []
    full, bare = ends[facts.full], ends[facts.bare]
    found = []
    for factor in facts.factors:
        removed = by_labels.get(tuple(sorted({**full.labels, factor.name: bare.labels[factor.name]}.items())))
        added = by_labels.get(tuple(sorted({**bare.labels, factor.name: full.labels[factor.name]}.items())))
        if removed and added and removed.finetune_dataset == full.finetune_dataset:  # tested on the same images
            found.append((factor, {"full": full, "removed": removed, "added": added, "bare": bare}))
    return found


def _row(part: FactorFacts, cells: dict[str, CellFacts], results: Results) -> dict[str, object]:
    values = {name: results.accuracies[cell.name] for name, cell in cells.items()}
    row: dict[str, object] = {name: cell.name for name, cell in cells.items()}
    row |= {"part": part.name, "with": cells["full"].labels[part.name], "without": cells["bare"].labels[part.name]}
    row |= _gain("full", share_difference(values["full"], values["removed"]))
    row |= _gain("bare", share_difference(values["added"], values["bare"]))
    failed = {name: results.failed[cell.name] for name, cell in cells.items() if cell.name in results.failed}
    made = between([("full", "removed", "added", "bare")], (1, -1, -1, 1), values, 0.0, failed, results.facts.failures)
    found = made.estimate()
    low, high = cut(found.interval(), most=2.0)
    return row | {
        "n": found.n,
        "difference": found.mean,
        "low": low,
        "high": high,
        "sd": found.sd,
        "p_value": math.nan if made.obstacle else found.p_value(),
        "note": made.note,
        "df": found.df,
    }


def _gain(end: str, found: Difference) -> dict[str, object]:
    return {f"{end}_n": found.n, f"{end}_gain": found.mean, f"{end}_low": found.low, f"{end}_high": found.high}
