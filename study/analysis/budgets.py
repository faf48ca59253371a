"""What cells and the sides of claims were given: sizes, training compute, and images seen in training."""

import math
from collections.abc import Iterator, Sequence

import pandas as pd

from study.analysis.exact_values import names_of
from study.analysis.facts import StudyFacts
from study.analysis.results import Results
from study.analysis.stats.sequential import Look
from study.analysis.verdicts import contrasts, factors_of
from study.design.comparison import Labels, Selection, select
from study.utils import formats

DIFFERENT = 0.05  # relative difference of two budgets that is noted (own choice)
MEASURES = {
    "params": "parameters",
    "params_active": "active parameters",
    "macs": "multiply-adds",
    "training_macs": "training compute",
    "pretrain_images": "images in pre-training",
    "finetune_images": "images in fine-tuning",
}
UNKNOWN = dict.fromkeys(MEASURES, math.nan)
CELLS, AGAINST = "cells", "against"
COLUMNS = ["claim", "side", "cell", *MEASURES, "note"]


def budgets(results: Results, made: list[Look]) -> pd.DataFrame:
    """One row per side of each claim, then one per cell; empty for reports that do not record budgets.

    claim, side      the number of a claim, and `cells` or `against`: means over the cells that enter its difference;
                     empty for the row of a cell
    cell             its name; of a side, the names of all its cells
    params, params_active, macs    of the classifier; multiply-adds of one image
    training_macs    multiply-adds of one replicate's training, pre-training included
    *_images         images shown in training, over all epochs
    note             of a claim about results of training: where its two sides differ by more than `DIFFERENT`
    """
    own = _of_cells(results.facts)
    if not own:
        return pd.DataFrame(columns=COLUMNS)
    rows = [row for claim in _sides(results, made) for row in _claim_rows(*claim, own)]
    rows += [{"claim": None, "side": "", "cell": name, **budget, "note": ""} for name, budget in own.items()]
    return pd.DataFrame(rows, columns=COLUMNS).astype({"claim": "Int64", **dict.fromkeys(MEASURES, "float64")})


def differences(table: pd.DataFrame) -> dict[int, str]:
    """By number of a claim: where its sides differ in what they were given, empty if they do not."""
    claims = table[table["side"] == CELLS]
    return dict(zip(claims["claim"].astype(int), claims["note"], strict=True))


def _of_cells(facts: StudyFacts) -> dict[str, dict[str, float]]:
    """The measures of each included cell that has a budget; nan for those that are not known."""
    return {
        cell.name: {name: math.nan if (n := getattr(cell.budget, name)) is None else float(n) for name in MEASURES}
        for cell in facts.included
        if cell.budget is not None
    }


def _sides(results: Results, made: list[Look]) -> Iterator[tuple[int, bool, dict[str, list[str]]]]:
    """By claim: whether it compares what training gave, and the cells of each side, once per matched set.

    Sizes are not results of what a cell was given, and a difference of differences has no two sides.
    """
    names, factors, tested = names_of(results), factors_of(results), iter(contrasts(results, made))
    for number, claim in enumerate(results.facts.claims, start=1):
        found = select(claim, factors)
        entered = next(tested).entered if claim.by_replicate else _selected(results, found)
        sides = {
            side: [names[cell] for sign, cell in entered if sign * direction > 0]
            for side, direction in ((CELLS, 1), (AGAINST, -1))
        }
        yield number, claim.by_replicate and len(found.corners) == 2, sides


def _selected(results: Results, found: Selection) -> list[tuple[float, Labels]]:
    """The cells of a claim that is judged by arithmetic, each with its sign."""
    sets = found.sets(list(names_of(results)), factors_of(results))
    return [(corner.sign, cell) for group in sets for corner, cell in zip(found.corners, group, strict=True)]


def _claim_rows(
    number: int, compared: bool, sides: dict[str, list[str]], own: dict[str, dict[str, float]]
) -> Iterator[dict[str, object]]:
    """A row per side with cells."""
    means = {side: _mean([own.get(name, UNKNOWN) for name in cells]) for side, cells in sides.items() if cells}
    note = difference(means[CELLS], means[AGAINST]) if compared and len(means) == 2 else ""
    for side, budget in means.items():
        cell = "; ".join(dict.fromkeys(sides[side]))
        yield {"claim": number, "side": side, "cell": cell, **budget, "note": note if side == CELLS else ""}


def _mean(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: sum(row[name] for row in rows) / len(rows) for name in MEASURES}


def difference(ours: dict[str, float], theirs: dict[str, float]) -> str:
    """The measures in which two sides differ by more than `DIFFERENT`: parameters +20 %, training compute ..."""
    return ", ".join(filter(None, (_compared(title, ours[name], theirs[name]) for name, title in MEASURES.items())))


def _compared(title: str, ours: float, theirs: float) -> str:
    if theirs == 0 and ours > 0:
        return f"{title} {formats.short(ours)} against 0"
    relative = (ours - theirs) / theirs if theirs else 0.0
    percent = formats.signed(100 * relative, 1 if abs(relative) < DIFFERENT + 0.005 else 0)
    return f"{title} {percent} %" if abs(relative) > DIFFERENT else ""
