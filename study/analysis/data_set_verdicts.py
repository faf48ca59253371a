"""Claims judged on each data set, for studies with several.

A claim's own verdict is about the mean of its differences over all matched sets of cells, with equal weights, so over
all data sets that these are on. It is one of the study's registered claims, and stays the primary result. The verdicts
on single data sets are a second family with a Holm correction of its own over all of its rows: a claim that is judged
on more data sets then costs the registered claims no power. The price is that 5 % holds for each of the two families,
not for both together.

With looks, a row uses the replicates at the look that gave the claim's verdict, and its p-value is divided by that
look's share of alpha. The number of looks that a row passes depends on the results, but the shares sum to 1, so the
probability that any row is false is still at most alpha (Bonferroni over looks, as in `sequential`).
"""

import math
from collections.abc import Iterator, Sequence

import pandas as pd

from study.analysis.data_sets import DataSet, DataSets
from study.analysis.results import Results
from study.analysis.stats.adjust import holm
from study.analysis.stats.sequential import Look
from study.analysis.stats.verdict_rule import contrasts_of, judge
from study.analysis.verdicts import ALPHA, analysed, factors_of
from study.design.claims import ClaimSpec
from study.design.comparison import Factors, Selection, select, select_contrast
from study.design.metrics import unit_of

COLUMNS = [
    *("number", "claim", "metric", "unit", "data_set", "verdict", "estimate", "low", "high", "level"),
    *("p_value", "p_adjusted", "n", "sets", "note"),
]
ACROSS = "compares accuracies on different data sets, so the difference includes how hard each is"
ACCURACIES = ("test_accuracy", "val_accuracy")


def by_data_set(results: Results, found: DataSets, overall: pd.DataFrame, made: Sequence[Look]) -> pd.DataFrame:
    """One row per claim and data set, for claims with matched sets on at least two; columns as in `verdicts`.

    `overall` has the claims' own verdicts (`study.analysis.verdicts`), `made` the looks. `p_adjusted` is Holm's over
    all rows. Before the first look, all rows are undecided.
    """
    rows = [row for _, own in overall.iterrows() for row in _rows(results, found, own)]
    table = pd.DataFrame(rows, columns=COLUMNS)
    shares = (1 - table["level"].astype(float)) / ALPHA
    table["p_adjusted"] = holm((table["p_value"].astype(float) / shares).to_numpy()) if rows else []
    early = bool(made) and made[-1].index < 0
    decided = [_decided(row, len(rows), early) for _, row in table.iterrows()]
    return table.assign(verdict=[verdict for verdict, _ in decided], note=[note for _, note in decided])


def _decided(row: pd.Series, rows: int, early: bool) -> tuple[str, str]:
    """The verdict of a row, and why it is undecided."""
    if early:
        return "undecided", "the first look is not reached"
    if row["p_adjusted"] <= ALPHA or row["verdict"] == "undecided":
        return row["verdict"], row["note"]
    why = f"decided by its own interval, but not after Holm's correction for {rows} rows"  # never one
    return "undecided", "; ".join(text for text in (row["note"], why) if text)


def _rows(results: Results, found: DataSets, overall: pd.Series) -> list[dict[str, object]]:
    """The rows of a claim; none if fewer than two data sets have matched sets of it."""
    claim = results.facts.claims[overall["number"] - 1]
    return [_row(results, part, one, overall) for one, part in parts(claim, factors_of(results), found)]


def parts(claim: ClaimSpec, factors: Factors, found: DataSets) -> list[tuple[DataSet, ClaimSpec]]:
    """The claim on each data set that has matched sets of it; none if these are fewer than two, or if it compares
    levels of the data-set factor, or has no replicates."""
    on_each = list(_parts(claim, factors, found)) if claim.by_replicate else []
    return on_each if len(on_each) > 1 else []


def _parts(claim: ClaimSpec, factors: Factors, found: DataSets) -> Iterator[tuple[DataSet, ClaimSpec]]:
    selection = select(claim, factors)
    if any(found.factor in corner.levels for corner in selection.corners):
        return
    allowed = selection.where.get(found.factor, frozenset(factors[found.factor]))
    for one in found.sets:
        levels = [label for label in one.levels if label in allowed]
        part = claim.model_copy(update={"where": {**claim.where, found.factor: levels}})
        cells = [tuple(cell.labels[name] for name in factors) for cell in one.cells]
        if levels and select(part, factors).sets(cells, factors):
            yield one, part


def _row(results: Results, part: ClaimSpec, one: DataSet, overall: pd.Series) -> dict[str, object]:
    trials, rule = _trials(results, one, overall), results.facts.failures
    verdict = judge([part], trials, factors_of(results), 1 - overall["level"], rule)[0]
    caveat = contrasts_of([part], trials, factors_of(results), rule)[0].caveat
    return {
        "number": overall["number"],
        "claim": part.claim,
        "metric": part.metric,
        "unit": unit_of(part.metric).name,
        "data_set": one.name,
        "verdict": verdict.verdict,
        "estimate": verdict.estimate,
        "low": verdict.low,
        "high": verdict.high,
        "level": overall["level"],
        "p_value": verdict.p_value,
        "n": verdict.n,
        "sets": verdict.sets,
        "note": caveat if math.isfinite(verdict.p_value) else verdict.note,
    }


def _trials(results: Results, one: DataSet, overall: pd.Series) -> pd.DataFrame:
    """The trials on this data set, of those that the claim's own verdict rests on."""
    trials = analysed(results, overall["looked"])
    return trials[trials["cell"].isin([cell.name for cell in one.cells])]


def mark_claims(results: Results, found: DataSets | None, table: pd.DataFrame) -> pd.DataFrame:
    """The claims' own verdicts, with a note on those that compare accuracies on different data sets."""
    return _marked(found, table, [select(claim, factors_of(results)) for claim in results.facts.claims])


def mark_contrasts(results: Results, found: DataSets | None, table: pd.DataFrame) -> pd.DataFrame:
    """The contrasts of `compare`, with the same note."""
    return _marked(found, table, [select_contrast(spec, factors_of(results)) for spec in results.facts.compare])


def _marked(found: DataSets | None, table: pd.DataFrame, selections: Sequence[Selection]) -> pd.DataFrame:
    if found is None:
        return table
    rows = zip(selections, table["metric"], table["note"], strict=True)
    return table.assign(note=[_noted(note, across(selection, metric, found)) for selection, metric, note in rows])


def _noted(note: str, marked: bool) -> str:
    return "; ".join(text for text in (note, ACROSS if marked else "") if text)


def across(selection: Selection, metric: str, found: DataSets) -> bool:
    """Whether accuracies of cells on different data sets are compared, and not differences within each."""
    corners = selection.corners
    if metric not in ACCURACIES or not all(found.factor in corner.levels for corner in corners):
        return False
    if len(corners) == 1:  # compared with a number
        return False
    weights = (sum(c.sign for c in corners if c.levels[found.factor] in one.levels) for one in found.sets)
    return any(abs(weight) > 1e-9 for weight in weights)
