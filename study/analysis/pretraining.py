"""With and without pre-training, and transfer: cells that differ only in their pre-training."""

import math
from collections.abc import Iterator

import pandas as pd

from study.analysis.accuracy_intervals import share, share_difference
from study.analysis.facts import CellFacts
from study.analysis.results import Results
from study.analysis.stats.adjust import holm
from study.analysis.stats.contrasts import between

SCRATCH, SAME, TRANSFER = "from scratch", "same data", "transfer"

COLUMNS = [
    *("group", "cell", "kind", "pretrain_dataset", "finetune_dataset", "n", "mean", "low", "high"),
    *("reference", "pairs", "difference", "difference_low", "difference_high", "p_value", "p_adjusted", "note"),
]


def pretraining(results: Results) -> pd.DataFrame:
    """One row per cell that another cell matches in everything but pre-training; empty if there is none.

    `group` numbers the sets of matching cells; `kind` is `from scratch`, `same data` (pre-trained on the data set that
    it is fine-tuned on) or `transfer` (pre-trained on another). Differences are paired by replicate, from the group's
    first cell from scratch, or if it has none from its first that is pre-trained on the same data (`reference`).
    `p_adjusted` is Holm's, over all rows but the references. `note` names failed replicates; where the study does not
    test what they are part of, there is no p-value.
    """
    rows: list[dict[str, object]] = []
    for number, group in enumerate(_groups(results.facts.included), start=1):
        rows += _rows(results, number, group)
    found = pd.DataFrame(rows, columns=COLUMNS)
    compared = found["cell"] != found["reference"]
    found.loc[compared, "p_adjusted"] = holm(found.loc[compared, "p_value"].to_numpy(dtype=float))
    return found


def kind_of(cell: CellFacts) -> str:
    if cell.pretrain_dataset is None:
        return SCRATCH
    return SAME if cell.pretrain_dataset == cell.finetune_dataset else TRANSFER


def _groups(cells: list[CellFacts]) -> Iterator[list[CellFacts]]:
    """Sets of matching cells with at least two different kinds, or two data sets, of pre-training."""
    groups: dict[str | None, list[CellFacts]] = {}
    for cell in cells:
        groups.setdefault(cell.besides_pretraining, []).append(cell)
    for group in groups.values():
        if len({cell.pretrain_dataset for cell in group}) > 1:
            yield sorted(group, key=lambda cell: (SCRATCH, SAME, TRANSFER).index(kind_of(cell)))


def _rows(results: Results, number: int, group: list[CellFacts]) -> Iterator[dict[str, object]]:
    reference = group[0]
    values = results.accuracies
    for cell in group:
        mean = share(list(values[cell.name].values()))
        found = share_difference(values[cell.name], values[reference.name] if cell is not reference else {})
        sets = [(cell.name, reference.name)] if cell is not reference else []
        made = between(sets, (1, -1), values, 0.0, results.failed, results.facts.failures)
        yield {
            "group": number,
            "cell": cell.name,
            "kind": kind_of(cell),
            "pretrain_dataset": cell.pretrain_dataset or "",
            "finetune_dataset": cell.finetune_dataset or "",
            "n": mean.n,
            "mean": mean.mean,
            "low": mean.low,
            "high": mean.high,
            "reference": reference.name,
            "pairs": found.n,
            "difference": found.mean,
            "difference_low": found.low,
            "difference_high": found.high,
            "p_value": math.nan if made.obstacle else found.p_value,
            "note": made.note,
        }


def comparable(table: pd.DataFrame) -> pd.DataFrame:
    """From `pretraining`: the cells with results, of groups that have at least two of them."""
    table = table[table["n"] > 0]
    return table[table.groupby("group")["cell"].transform("size") > 1].reset_index(drop=True)
