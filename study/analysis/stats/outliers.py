"""How far each run is from the median of its cell, in pooled MADs: runs that stand out among all runs of a study.

One cell has too few replicates to know its own spread, so the median absolute deviation is pooled over cells. Each
median uses up one deviation of its cell, the smallest, which is left out; times 1.4826 it estimates the standard
deviation of normal results (Rousseeuw & Croux 1993, J. Am. Stat. Assoc. 88:1273-1283). A run is listed beyond 6 of
these: with normal results of equal spread at most 1.3% of studies list any (2 to 32 cells, 3 to 10 replicates), as
`calibrate` measures, while a run that collapses is dozens away. Where the spreads of cells differ fourfold, 7 to 17% of
studies list runs of the widest cells: a listed run is one to look at, and is not left out.
"""

from collections.abc import Sequence

import numpy as np

from study.analysis.stats.intervals import Floats

FAR = 6.0  # pooled MADs
FEWEST = 3  # runs of a cell: the median of two is as far from both
_TO_SD = 1.4826


def distances(cells: Sequence[Floats]) -> list[Floats]:
    """Of every run from the median of its cell, signed; nan in cells with fewer than 3 runs, and if the MAD is 0."""
    known = [len(values) >= FEWEST for values in cells]
    deviations = [values - np.median(values) if ok else np.full(len(values), np.nan)
                  for values, ok in zip(cells, known, strict=True)]  # fmt: skip
    pooled = [np.sort(np.abs(own))[1:] for own, ok in zip(deviations, known, strict=True) if ok]
    mad = float(np.median(np.concatenate(pooled))) if pooled else 0.0
    return [own / (_TO_SD * mad) if mad > 0 else np.full(len(own), np.nan) for own in deviations]
