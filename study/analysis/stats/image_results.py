"""Which test images each trial classifies correctly: a column of the table that claims are judged on.

A claim that compares a test accuracy with a number has an error over replicates and images where all of its trials have
this, on the same images. Shapes: C cells, R replicates, N test images.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from study.design.claims import ClaimSpec
from study.design.comparison import Factors, Labels, select

Floats = npt.NDArray[np.float64]
COLUMN = "right_images"
LEAST = 2  # images; their variance is not known with fewer


@dataclass(frozen=True, eq=False)
class RightImages:
    """The images that a trial classifies correctly."""

    images: str  # digest of the test images in order
    right_N: npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class ImageShares:
    """By replicate and image, the share of a claim's cells that are right, and the number that it is compared with."""

    shares_RN: Floats
    number: float


ByTrial = Mapping[tuple[Labels, int], RightImages]


def with_right_images(data: pd.DataFrame, right: Sequence[RightImages | None]) -> pd.DataFrame:
    """The table with this column; None for a trial without predictions."""
    found: list[Any] = list(right)
    return data.assign(**{COLUMN: pd.Series(found, index=data.index, dtype=object)})


def compared_cells(claims: Iterable[ClaimSpec], cells: Collection[Labels], factors: Factors) -> set[Labels]:
    """Those of these cells whose test accuracy a claim compares with a number."""
    return {
        cell
        for claim in claims
        if claim.compares_accuracy_with_number
        for group in select(claim, factors).sets(list(cells), factors)
        for cell in group
    }


def by_trial(data: pd.DataFrame, factors: Factors) -> ByTrial:
    """By labels of the cell and replicate, of the finished trials; empty for data without this column.

    A trial that had failed at a look has none there, even if a retry succeeded since.
    """
    if COLUMN not in data.columns:
        return {}
    rows = data[data["status"] == "done"] if "status" in data.columns else data
    cells = zip(*(rows[name].astype(str) for name in factors), strict=True)
    return {
        (cell, int(replicate)): right
        for cell, replicate, right in zip(cells, rows["replicate"], rows[COLUMN], strict=True)
        if isinstance(right, RightImages)
    }


def shares(trials: Sequence[Sequence[tuple[Labels, int]]], number: float, known: ByTrial) -> ImageShares | None:
    """Of these trials, one row per cell; None unless all have the same replicates, and all trials the same images."""
    replicates = {tuple(replicate for _, replicate in row) for row in trials}
    found = [[known.get(trial) for trial in row] for row in trials]
    images = {right.images if right else None for row in found for right in row}
    if len(replicates) != 1 or len(images) != 1 or None in images:
        return None
    right_CRN = np.array([[right.right_N for right in row if right] for row in found])
    shares_RN = right_CRN.mean(axis=0, dtype=np.float64)
    return ImageShares(shares_RN, number) if shares_RN.shape[1] >= LEAST else None
