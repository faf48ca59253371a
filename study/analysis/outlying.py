"""Outlying runs: test accuracies far from the median of their cell; see `study.analysis.stats.outliers`."""

import numpy as np
import pandas as pd

from study.analysis.results import Results
from study.analysis.stats.outliers import FAR, distances

COLUMNS = ["cell", "replicate", "test_accuracy", "median", "distance", "key"]


def outlying(results: Results) -> pd.DataFrame:
    """One row per outlying run, the farthest first: test accuracy and the median of its cell in shares from 0 to 1,
    and the distance in pooled MADs, negative below the median."""
    done = results.done[results.done["test_accuracy"].notna()].reset_index(drop=True)
    by_cell = done.groupby("cell", sort=False)["test_accuracy"]
    places = list(by_cell.indices.values())
    far = np.full(len(done), np.nan)
    accuracies = done["test_accuracy"].to_numpy(dtype=np.float64)
    for own, found in zip(places, distances([accuracies[own] for own in places]), strict=True):
        far[own] = found
    table = done.assign(median=by_cell.transform("median"), distance=far)[COLUMNS]
    table = table[table["distance"].abs() > FAR]
    return table.sort_values("distance", key=abs, ascending=False, kind="stable").reset_index(drop=True)
