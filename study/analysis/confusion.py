"""Accuracy by class and confused classes, of the baseline and of the cell that is best on validation data.

Shapes: N test images, K classes.
"""

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from study.analysis.items import CellPredictions, Items
from study.analysis.results import Results

BY_CLASS = ["label", "class", "images", "baseline", "best"]
MOST_IN_MATRIX = 20  # classes; for more, the report lists the most frequent confusions
CONFUSIONS = ["cell", "true", "predicted", "images", "share"]


def shown_cells(results: Results, found: Items) -> dict[str, CellPredictions]:
    """The baseline, and the cell that is best on validation data among those tested on the same images, if another."""
    baseline = results.facts.cells[0].name
    if baseline not in found:
        return {}
    images = found[baseline].images.images
    same = [cell for cell in found if found[cell].images.images == images]
    means = results.done.groupby("cell", sort=False)["val_accuracy"].mean().reindex(same)
    best = str(means.idxmax()) if means.notna().any() else baseline
    return {name: found[name] for name in dict.fromkeys((baseline, best))}


def by_class(shown: Mapping[str, CellPredictions]) -> pd.DataFrame:
    """One row per class of the test images: its name, its images, and accuracies of the baseline and the best cell.

    Accuracies are means over replicates, from 0 to 1. `best` is nan if the baseline is the best cell.
    """
    if not shown:
        return pd.DataFrame(columns=BY_CLASS)
    first, *others = shown.values()
    labels_N = first.images.labels_N
    per_image = [cell.correct().mean(axis=0) for cell in (first, *others)]
    rows = []
    for label in np.unique(labels_N).tolist():
        shares = [float(correct_N[labels_N == label].mean()) for correct_N in per_image]
        images = int((labels_N == label).sum())
        rows.append([label, first.images.name(label), images, shares[0], shares[1] if others else math.nan])
    return pd.DataFrame(rows, columns=BY_CLASS)


def confusions(shown: Mapping[str, CellPredictions]) -> pd.DataFrame:
    """One row per cell, true class with test images and predicted class.

    images    mean number over replicates
    share     of the images of the true class
    """
    rows = []
    for name, cell in shown.items():
        confusion_KK, names = cell.confusion(), [cell.images.name(k) for k in range(cell.images.classes)]
        for true in np.flatnonzero(confusion_KK.sum(axis=1)):
            total = confusion_KK[true].sum()
            rows += [
                [name, names[true], names[k], float(images), float(images / total)]
                for k, images in enumerate(confusion_KK[true])
            ]
    return pd.DataFrame(rows, columns=CONFUSIONS)
