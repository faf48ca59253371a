"""Results image by image: which test images the trials of each cell classify correctly.

Shapes: R replicates, N test images, K classes.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from study.analysis.data_sets import references
from study.analysis.predictions import Classes, Predicted
from study.analysis.results import Results
from study.analysis.stats.adjust import holm
from study.analysis.stats.failed import note
from study.analysis.stats.intervals import Floats
from study.analysis.stats.items import item_difference, item_interval
from study.utils.text import plural

COMPARED = [
    *("cell", "reference", "n", "images", "gained", "lost", "by_replicate"),
    *("difference", "low", "high", "p_value", "p_adjusted", "note"),
]


@dataclass(frozen=True)
class CellPredictions:
    """The predictions of all finished replicates of a cell, on the same test images."""

    images: Predicted  # the test split
    replicates: tuple[int, ...]
    predicted_RN: Classes

    def correct(self) -> Floats:
        """(R, N): 1 for an image that is classified correctly, else 0."""
        return np.asarray(self.predicted_RN == self.images.labels_N, dtype=np.float64)

    def of(self, replicates: list[int]) -> Floats:
        """`correct` of these replicates, in this order."""
        return self.correct()[[self.replicates.index(replicate) for replicate in replicates]]

    def confusion(self) -> Floats:
        """(K, K), by true and predicted class: the mean number of test images over replicates."""
        classes = self.images.classes
        codes = self.images.labels_N.astype(np.int64) * classes + self.predicted_RN
        return np.bincount(codes.ravel(), minlength=classes**2).reshape(classes, classes) / len(self.replicates)


Items = Mapping[str, CellPredictions]  # by cell


def by_cell(results: Results) -> Items:
    """The predictions of each cell whose finished trials all have them, on the same test images.

    A cell with failed trials that count as an accuracy of 0 is left out: these have no predictions.
    """
    places = {key: (own, row) for own in results.predictions for row, key in enumerate(own.keys)}
    found: dict[str, CellPredictions] = {}
    for cell, trials in results.done.groupby("cell", sort=False):
        stored = [places.get(key) for key in trials["key"]]
        splits = {id(place[0]) if place else None for place in stored}
        if len(splits) != 1 or None in splits or _counts_failed(results, str(cell)):
            continue
        images, rows = stored[0][0], [place[1] for place in stored if place]  # type: ignore[index]
        found[str(cell)] = CellPredictions(images, tuple(map(int, trials["replicate"])), images.predicted_TN[rows])
    return found


def _counts_failed(results: Results, cell: str) -> bool:
    return results.facts.failures == "worst" and cell in results.failed


def unavailable(results: Results, found: Items) -> str:
    """Why some cells have no results image by image, as a sentence; empty if all that have results do."""
    lacking = [cell for cell in dict.fromkeys(results.done["cell"]) if cell not in found]
    if not lacking:
        return ""
    stored = {key for own in results.predictions for key in own.keys}
    trials, without = len(results.done), int((~results.done["key"].isin(stored)).sum())
    if without:
        reason = f"{without:,} of {plural(trials, 'finished trial')} stored without predictions for each test image"
    elif any(_counts_failed(results, cell) for cell in lacking):
        reason = "failed replicates, which count as an accuracy of 0, have no predictions"
    else:
        reason = "their replicates were tested on different images"
    which = "all cells" if not found else ", ".join(lacking[:3]) + (", …" if len(lacking) > 3 else "")
    return f"Not available for {which}: {reason}."


def interval_of(cell: str, found: Items) -> tuple[float, float]:
    """The 95 % interval of a cell's accuracy over replicates and test images; nan without predictions."""
    return item_interval(found[cell].correct()) if cell in found else (math.nan, math.nan)


def comparisons(results: Results, found: Items) -> pd.DataFrame:
    """One row per cell that is compared with another on the same test images, in common replicates.

    cell, reference     the two cells; the second is usually the baseline
    n, images           common replicates, and test images
    gained, lost        images that only the cell, and only its reference, classifies correctly: means over replicates
    by_replicate        both numbers in each replicate, as in `12/4 9/6`
    difference, low, high, p_value    of accuracies, with an error over replicates and images (95 %); nan for n = 1
    p_adjusted          Holm's, over the rows
    note                failed replicates, and whether the row is not tested because of them
    """
    rows = list(_comparisons(results, found))
    table = pd.DataFrame(rows, columns=COMPARED)
    return table.assign(p_adjusted=holm(table["p_value"].to_numpy(dtype=float)) if rows else table["p_value"])


def _comparisons(results: Results, found: Items) -> Iterator[dict[str, object]]:
    for name, reference in references(results.facts).items():
        if name == reference.name or name not in found or reference.name not in found:
            continue
        cell, other = found[name], found[reference.name]
        replicates = sorted(set(cell.replicates) & set(other.replicates))
        if cell.images.images == other.images.images and replicates:
            compared = _compared(cell.of(replicates) - other.of(replicates))
            yield {"cell": name, "reference": reference.name, **compared, **_as_failed(results, name, reference.name)}


def _as_failed(results: Results, *cells: str) -> dict[str, object]:
    """The note on failed replicates of these cells, and no p-value where the study does not test them."""
    rule = results.facts.failures
    text = note((results.failed[cell] for cell in cells if cell in results.failed), rule)
    return {"note": text, **({"p_value": math.nan} if text and rule == "undecided" else {})}


def _compared(differences_RN: Floats) -> dict[str, object]:
    replicates, images = differences_RN.shape
    gained, lost = (differences_RN > 0).sum(axis=1), (differences_RN < 0).sum(axis=1)
    found, (low, high), p_value = item_difference(differences_RN)
    return {
        "n": replicates,
        "images": images,
        "gained": float(gained.mean()),
        "lost": float(lost.mean()),
        "by_replicate": " ".join(f"{more}/{fewer}" for more, fewer in zip(gained, lost, strict=True)),
        "difference": found.mean,
        "low": low,
        "high": high,
        "p_value": p_value,
        "p_adjusted": math.nan,  # computed over all rows
    }
