"""Outlying runs: test accuracies far from the median of their cell; see `study.analysis.stats.outliers`."""

import numpy as np
import pandas as pd

from study.analysis.results import Results
from study.analysis.stats.outliers import FAR, distances

COLUMNS = ["cell", "replicate", "test_accuracy", "median", "distance", "key"]


def outlying(results: Results) -> pd.DataFrame:
    """One row per outlying run, the farthest first: test accuracy and the median of its cell in shares from 0 to 1,
    and the distance in pooled MADs, negative below the median."""
    done = results.done[results.done["test_accuracy"].notna()]
    groups = [rows for _, rows in done.groupby("cell", sort=False)]
    far = distances([rows["test_accuracy"].to_numpy(dtype=np.float64) for rows in groups])
    found = [
        rows.assign(median=rows["test_accuracy"].median(), distance=own) for rows, own in zip(groups, far, strict=True)
    ]
    if not found:
        return pd.DataFrame(columns=COLUMNS)
    table = pd.concat(found)[COLUMNS]
    table = table[table["distance"].abs() > FAR]
    return table.sort_values("distance", key=abs, ascending=False, kind="stable").reset_index(drop=True)
