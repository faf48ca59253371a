"""Claims on test accuracy against a number, for other test images: an interval over replicates and images.

The verdict itself is that over replicates, on the test images of the study.
"""

import numpy as np
import pandas as pd

from study.analysis.exact_values import names_of
from study.analysis.items import Items
from study.analysis.results import Results
from study.analysis.stats.contrasts import Contrast
from study.analysis.stats.intervals import Floats
from study.analysis.stats.items import item_interval
from study.design.claim_kinds.claim_kind import Region
from study.design.comparison import Labels

COLUMNS = ["number", "claim", "n", "images", "mean", "low", "high", "other_images"]


def item_claims(results: Results, contrasts: list[Contrast[Labels]], found: Items) -> pd.DataFrame:
    """One row per such claim whose cells have predictions; accuracies are shares from 0 to 1.

    A claim that failed or missing replicates leave without a test is left out.

    number, claim     as in the table of claims
    n, images         replicates and test images
    mean, low, high   accuracy with its 95 % interval over replicates and images, for this claim alone
    other_images      whether the claim holds by this interval: supported, refuted or undecided
    """
    tested = [(number, claim) for number, claim in enumerate(results.facts.claims, start=1) if claim.by_replicate]
    rows = []
    for (number, claim), contrast in zip(tested, contrasts, strict=True):
        if claim.metric != "test_accuracy" or not isinstance(claim.against, float) or contrast.obstacle:
            continue
        shares_RN = _shares(results, contrast, found)
        if shares_RN is None or len(shares_RN) < 2:
            continue
        low, high = item_interval(shares_RN)
        outcome = _outcome(claim.region, low - claim.against, high - claim.against)
        rows.append([number, claim.claim, *shares_RN.shape, float(shares_RN.mean()), low, high, outcome])
    return pd.DataFrame(rows, columns=COLUMNS)


def _shares(results: Results, contrast: Contrast[Labels], found: Items) -> Floats | None:
    """By replicate and image: the share of the claim's cells that are right; None unless all have the same of both."""
    names = names_of(results)
    cells = [(found.get(names[cell]), sorted(own.differences)) for own in contrast.matched for _, cell in own.cells]
    predicted = [cell for cell, _ in cells if cell is not None]
    if contrast.lost or not cells or len(predicted) < len(cells):
        return None
    replicates = cells[0][1]
    same = all(own == replicates for _, own in cells) and len({cell.images.images for cell in predicted}) == 1
    if not same or any(set(replicates) - set(cell.replicates) for cell in predicted):
        return None
    return np.asarray(np.mean([cell.of(replicates) for cell in predicted], axis=0), dtype=np.float64)


def _outcome(region: Region, low: float, high: float) -> str:
    """Whether an interval of the difference is inside the region, outside, or neither."""
    between = region.low < low and high < region.high
    beyond = high <= region.low or low >= region.high
    inside, outside = (between, beyond) if region.inside else (beyond, between)
    return "supported" if inside else "refuted" if outside else "undecided"
