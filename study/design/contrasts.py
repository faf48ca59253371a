"""Contrasts as a grid file declares them under `compare`: differences that are estimated without a claim.

compare:
  - cells: {kv heads: 1}
    against: {kv heads: [2, 4]}       # a level, or several levels that are averaged; default: the baseline levels
    where: {pre-training: photos}     # limits other factors; those not named are averaged over
    metric: train_seconds             # default: test_accuracy
"""

from typing import Any

from pydantic import Field

from study.design import metrics
from study.utils.frozen_model import Frozen


class ContrastSpec(Frozen):
    """A difference between levels, which is estimated and not judged."""

    cells: dict[str, Any] = Field(min_length=1, description="factor name and level, or a list of levels to average")
    against: dict[str, Any] | None = Field(
        None, description="the same factors with the levels compared to; default: the baseline levels"
    )
    where: dict[str, Any] = Field(
        default={}, description="other factors, and the level (or list of levels) to which the comparison is limited"
    )
    metric: str = Field(
        metrics.DEFAULT, min_length=1, description=f"what is compared, one of: {', '.join(metrics.METRICS)}"
    )
