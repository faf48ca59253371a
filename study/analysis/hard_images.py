"""The test images that are most often wrong, over all trials of a study.

Shapes: T trials, N test images.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from study.analysis.items import Items
from study.analysis.predictions import Predicted
from study.analysis.results import Results

HARD = ["index", "class", "wrong_class", "wrong", "trials"]


def hard_images(results: Results, found: Items) -> pd.DataFrame:
    """One row per test image, the most often wrong first, over all trials on the baseline's test images.

    index           in the test split, from 0
    class           the true one
    wrong_class     the most frequent wrong prediction; empty if there is none
    wrong, trials   trials that are wrong, and all
    """
    baseline = results.facts.cells[0].name
    if baseline not in found:
        return pd.DataFrame(columns=HARD)
    images = found[baseline].images
    own = [cell.predicted_RN for cell in found.values() if cell.images.images == images.images]
    predicted_TN = np.concatenate(own)
    wrong_N = (predicted_TN != images.labels_N).sum(axis=0)
    order = np.argsort(-wrong_N, kind="stable")
    rows = [
        [int(i), images.name(int(images.labels_N[i])), _confused(images, predicted_TN[:, i], int(images.labels_N[i]))]
        for i in order
    ]
    table = pd.DataFrame(rows, columns=HARD[:3])
    return table.assign(wrong=wrong_N[order], trials=len(predicted_TN))


def _confused(images: Predicted, predicted_T: npt.NDArray[Any], label: int) -> str:
    """The most frequent wrong class; of equally frequent ones the first."""
    wrong = predicted_T[predicted_T != label]
    return images.name(int(np.bincount(wrong).argmax())) if len(wrong) else ""
