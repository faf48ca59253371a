"""Outlying runs: test accuracies far from the median of their cell; see `study.analysis.stats.outliers`."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from study.analysis.results import Results
from study.analysis.stats.outliers import FAR, distances

COLUMNS = ["cell", "replicate", "test_accuracy", "median", "distance", "key"]


def outlying(results: Results) -> pd.DataFrame:
    """One row per outlying run, the farthest first: test accuracy and the median of its cell in shares from 0 to 1,
    and the distance in MADs pooled over the cells on the same data set, negative below the median."""
    done = results.done[results.done["test_accuracy"].notna()].reset_index(drop=True)
    by_cell = done.groupby("cell", sort=False)["test_accuracy"]
    far = np.full(len(done), np.nan)
    accuracies = done["test_accuracy"].to_numpy(dtype=np.float64)
    for places in _by_data_set(results, by_cell.indices):
        for own, found in zip(places, distances([accuracies[own] for own in places]), strict=True):
            far[own] = found
    table = done.assign(median=by_cell.transform("median"), distance=far)[COLUMNS]
    table = table[table["distance"].abs() > FAR]
    return table.sort_values("distance", key=abs, ascending=False, kind="stable").reset_index(drop=True)


def _by_data_set(results: Results, by_cell: Mapping[Any, Any]) -> list[list[Any]]:
    """The rows of each cell, by data set: results on some data sets vary more than on others."""
    data_sets = {cell.name: cell.finetune_dataset for cell in results.facts.included}
    found: dict[str | None, list[Any]] = {}
    for cell, rows in by_cell.items():
        found.setdefault(data_sets.get(cell), []).append(rows)
    return list(found.values())
