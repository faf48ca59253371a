"""Cells: means, intervals, differences from the cell that each is compared with, and the Pareto front."""

import math
from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from helpers.recompute.errors import Evidence, adjusted, between, expected
from helpers.recompute.files import Expected, Raw
from helpers.recompute.formulas import hedges_g_av, mean_interval

FILE, PARAMETERS, PRETRAINING = "cells.csv", "figures/parameters.csv", "figures/pretraining.csv"
OUTLYING = "outlying.csv"
SIZES, MEANS = ("params", "params_active", "macs", "macs_active"), ("val_accuracy", "train_seconds", "pretrain_seconds")


def cells(raw: Raw) -> Iterator[Expected]:
    table = raw.derived(FILE).set_index("cell")
    compared = {
        cell: between(raw, [(cell, reference)]) for cell in raw.cells if (reference := table.loc[cell, "reference"])
    }
    for number, cell in enumerate(raw.cells, start=1):
        own = raw.done[raw.done["cell"] == cell]
        row = {"number": number} | mean_interval(list(raw.accuracies[cell].values()), 0, 1)
        row |= {name: own[name].iloc[0] if len(own) else math.nan for name in SIZES}
        row |= {name: own[name].mean() for name in MEANS}
        status = raw.trials.loc[raw.trials["cell"] == cell, "status"]
        row |= {name: int((status == name).sum()) for name in ("failed", "missing")}
        row["keys"] = " ".join(key[:12] for key in own["key"])
        row |= dict(zip(map(str, raw.factors), raw.cells[cell], strict=True))
        reference = table.loc[cell, "reference"]
        row |= _difference(compared.get(cell))
        row["effect_size"] = hedges_g_av(raw.accuracies[cell], raw.accuracies[reference] if reference else {})
        yield from (Expected(FILE, {"cell": cell}, name, value) for name, value in row.items() if name in table.columns)
    yield from _adjusted(FILE, {cell: {"cell": cell} for cell in raw.cells}, compared)
    for cell in raw.cells:
        yield Expected(FILE, {"cell": cell}, "front", cell in _front(raw, table))


def _difference(found: Evidence | None) -> dict[str, float | str]:
    """From the reference; None for the reference itself."""
    if found is None:
        names = ("difference", "difference_low", "difference_high", "difference_sd", "difference_df", "p_value")
        return dict.fromkeys(names, math.nan) | {"pairs": 0, "error": ""}
    row = found.row(most=1)
    renamed = {"n": "pairs"} | {name: f"difference_{name}" for name in ("low", "high", "sd", "df")}
    return {renamed.get(name, name): value for name, value in row.items()}


def _adjusted(file: str, rows: Mapping[str, Mapping[str, str]], compared: Mapping[str, Evidence]) -> Iterator[Expected]:
    """The adjusted p-values of the compared rows, and the name of the adjustment."""
    name, p_values = adjusted([one.p_value for one in compared.values()], list(compared.values()))
    of_row = dict(zip(compared, p_values, strict=True))
    for key, row in rows.items():
        yield expected(file, row, "p_adjusted", of_row.get(key, math.nan))
        yield Expected(file, row, "adjustment", "" if math.isnan(of_row.get(key, math.nan)) else name)


def outlying(raw: Raw) -> Iterator[Expected]:
    """Runs beyond 6 pooled MADs from the median of their cell; of each cell, the smallest deviation is left out."""
    if not raw.has(OUTLYING):
        return
    for part in raw.sets.values() or [raw]:
        yield from _outlying(part)


def _outlying(raw: Raw) -> Iterator[Expected]:
    """Of cells on one data set."""
    known = {cell: own for cell, own in raw.done.groupby("cell") if len(own) > 2}
    off = {cell: own["test_accuracy"] - own["test_accuracy"].median() for cell, own in known.items()}
    mad = np.median(np.concatenate([np.sort(np.abs(own))[1:] for own in off.values()])) if off else 0.0
    for cell, own in known.items() if mad > 0 else ():
        for at, distance in (off[cell] / (1.4826 * mad)).items():
            if abs(distance) > 6:
                place = {"cell": cell, "replicate": own.loc[at, "replicate"]}
                row = {"test_accuracy": own.loc[at, "test_accuracy"], "median": own["test_accuracy"].median()}
                row |= {"distance": distance, "key": own.loc[at, "key"]}
                yield from (Expected(OUTLYING, place, name, value) for name, value in row.items())


def _front(raw: Raw, table: pd.DataFrame) -> set[str]:
    """By validation accuracy, within a data set: no other cell has at most the parameters and a higher accuracy, or
    fewer parameters and at least the accuracy."""
    means = raw.done.groupby("cell").agg(size=("params", "first"), score=("val_accuracy", "mean"))
    means["set"] = table["data_set"].reindex(means.index)
    dominated = {
        cell
        for cell, own in means.iterrows()
        for _, other in means[means["set"] == own["set"]].iterrows()
        if (other["size"] <= own["size"] and other["score"] > own["score"])
        or (other["size"] < own["size"] and other["score"] >= own["score"])
    }
    return {str(cell) for cell in means.index} - dominated


def parameters(raw: Raw) -> Iterator[Expected]:
    """The same numbers as in cells.csv, except the position `x`, which keeps points apart."""
    if not raw.has(PARAMETERS):
        return
    table, shown = raw.derived(FILE).set_index("cell"), raw.derived(PARAMETERS)
    front, stands = _front(raw, table), {raw.baseline, *table["reference"]}  # those that others are compared with
    for cell in shown["cell"]:
        own = raw.done[raw.done["cell"] == cell]
        row = mean_interval(list(raw.accuracies[cell].values()), 0, 1) | {"params": own["params"].iloc[0]}
        row |= {"number": list(raw.cells).index(cell) + 1, "front": cell in front, "baseline": cell in stands}
        names = [name for name in row if name in shown.columns]
        yield from (Expected(PARAMETERS, {"cell": cell}, name, row[name]) for name in names)


def pretraining(raw: Raw) -> Iterator[Expected]:
    """Cells that differ in their pre-training, by group; which cells these are is taken from the file."""
    if not raw.has(PRETRAINING):
        return
    shown = raw.derived(PRETRAINING)
    rows, compared = dict[str, dict[str, str]](), dict[str, Evidence]()
    for key, row in shown.iterrows():
        rows[str(key)] = {"group": row["group"], "cell": row["cell"]}
        if row["reference"] not in ("", row["cell"]):
            compared[str(key)] = between(raw, [(row["cell"], row["reference"])])
        mean = mean_interval(list(raw.accuracies[row["cell"]].values()), 0, 1)
        values = {name: mean[name] for name in ("n", "mean", "low", "high")} | _difference(compared.get(str(key)))
        yield from (Expected(PRETRAINING, rows[str(key)], name, value) for name, value in values.items())
    yield from _adjusted(PRETRAINING, rows, compared)
