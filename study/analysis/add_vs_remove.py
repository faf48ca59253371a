"""Adding versus removing: what a part is worth in the full model, and in the bare one."""

import pandas as pd

from study.analysis import differences
from study.analysis.facts import CellFacts, FactorFacts, StudyFacts
from study.analysis.results import Results
from study.analysis.stats.families import Tested

COLUMNS = [
    *("part", "with", "without", "full", "removed", "added", "bare"),
    *("full_n", "full_gain", "full_low", "full_high", "bare_n", "bare_gain", "bare_low", "bare_high"),
    *differences.COLUMNS,
]


def add_vs_remove(results: Results) -> pd.DataFrame:
    """One row per part of a study that has the full model, the bare one, and each part removed and added.

    `full_gain` is the test accuracy of the `full` model minus that of the cell with the part `removed`; `bare_gain` is
    that of the cell with the part `added` minus that of the `bare` one. Each has its 95 % interval. `difference` is
    full_gain - bare_gain over the replicates that all four cells have; `study.analysis.differences` has its other
    columns. If it is not zero, the part's worth depends on the other parts (it is the sum of its interactions with
    them). The tests of the parts are a family. All in shares from 0 to 1; empty for other designs.
    """
    parts = _parts(results.facts)
    names = [{end: cell.name for end, cell in cells.items()} for _, cells in parts]
    full = differences.family(results, [[(cells["full"], cells["removed"])] for cells in names])
    bare = differences.family(results, [[(cells["added"], cells["bare"])] for cells in names])
    corners = [[(cells["full"], cells["removed"], cells["added"], cells["bare"])] for cells in names]
    both = differences.family(results, corners, (1, -1, -1, 1))
    rows = [
        {**cells, **_levels(part, of_part), **_gain("full", in_full), **_gain("bare", in_bare)}
        | differences.columns(found, most=2.0)
        for (part, of_part), cells, in_full, in_bare, found in zip(parts, names, full, bare, both, strict=True)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


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


def _levels(part: FactorFacts, cells: dict[str, CellFacts]) -> dict[str, object]:
    return {"part": part.name, "with": cells["full"].labels[part.name], "without": cells["bare"].labels[part.name]}


def _gain(end: str, found: Tested[str]) -> dict[str, object]:
    values = differences.columns(found)
    names = {"n": "n", "gain": "difference", "low": "low", "high": "high"}
    return {f"{end}_{name}": values[column] for name, column in names.items()}
