"""The results that the claims of a study are judged on, as far as the store has them."""

from typing import TYPE_CHECKING

from study.design.comparison import labels_by_factor
from study.design.study import Study, Trial
from study.planning.observed import Observations

if TYPE_CHECKING:
    import pandas as pd


def claim_data(study: Study, trials: list[Trial], observed: Observations) -> "pd.DataFrame":
    """One row per trial: `Observations.table`, and if a claim compares a test accuracy with a number, the test images
    that each trial of its cells classifies correctly. Raises StoreError.
    """
    from study.analysis.stats import image_results  # imports pandas

    claims = study.grid.tested_claims
    table = observed.table(trials, {claim.metric for claim in claims})
    cells = [tuple(cell.labels.values()) for cell in study.included]
    compared = image_results.compared_cells(claims, cells, labels_by_factor(study.factors))
    if not compared:
        return table
    wanted = [trial for trial in trials if tuple(trial.cell.labels.values()) in compared]
    right = observed.right_images(wanted)
    return image_results.with_right_images(table, [right.get((one.cell.name, one.replicate)) for one in trials])
