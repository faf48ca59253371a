"""With and without pre-training, and transfer: cells that differ only in their pre-training."""

from collections.abc import Iterator

import pandas as pd

from study.analysis import differences
from study.analysis.accuracy_intervals import share
from study.analysis.facts import CellFacts
from study.analysis.results import Results
from study.analysis.stats.families import Tested

SCRATCH, SAME, TRANSFER = "from scratch", "same data", "transfer"

COLUMNS = [
    *("group", "cell", "kind", "pretrain_dataset", "finetune_dataset", "n", "mean", "low", "high"),
    *("reference", *differences.FROM_REFERENCE),
]


def pretraining(results: Results) -> pd.DataFrame:
    """One row per cell that another cell matches in everything but pre-training; empty if there is none.

    `group` numbers the sets of matching cells; `kind` is `from scratch`, `same data` (pre-trained on the data set that
    it is fine-tuned on) or `transfer` (pre-trained on another). Differences are from the group's first cell from
    scratch, or if it has none from its first that is pre-trained on the same data (`reference`). They are a family,
    with columns as in `study.analysis.differences.from_reference`.
    """
    places = [(number, group) for number, group in enumerate(_groups(results.facts.included), start=1)]
    pairs = [(cell.name, group[0].name) for _, group in places for cell in group[1:]]
    family = dict(zip(pairs, differences.family(results, [[pair] for pair in pairs]), strict=True))
    rows = [
        _row(results, cell, group[0].name, family.get((cell.name, group[0].name))) | {"group": number}
        for number, group in places
        for cell in group
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


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


def _row(results: Results, cell: CellFacts, reference: str, found: Tested[str] | None) -> dict[str, object]:
    """`found` is the difference from the reference, unless the cell is the reference itself."""
    mean = share(list(results.accuracies[cell.name].values()))
    return {
        "cell": cell.name,
        "kind": kind_of(cell),
        "pretrain_dataset": cell.pretrain_dataset or "",
        "finetune_dataset": cell.finetune_dataset or "",
        "n": mean.n,
        "mean": mean.mean,
        "low": mean.low,
        "high": mean.high,
        "reference": reference,
        **differences.from_reference(found),
    }


def comparable(table: pd.DataFrame) -> pd.DataFrame:
    """From `pretraining`: the cells with results, of groups that have at least two of them."""
    table = table[table["n"] > 0]
    return table[table.groupby("group")["cell"].transform("size") > 1].reset_index(drop=True)
