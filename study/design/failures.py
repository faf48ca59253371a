"""How failed replicates count in comparisons: the grid key `failures`."""

from collections.abc import Mapping, Sequence
from typing import Literal

from study.design.claims import ClaimSpec
from study.design.contrasts import ContrastSpec
from study.design.metrics import METRICS
from study.design.mistakes import Mistakes
from study.design.yaml_file import Place

FailureRule = Literal["undecided", "worst", "exclude"]
DEFAULT: FailureRule = "undecided"
DESCRIPTION = (
    "how a failed replicate (diverged, out of memory, crashed) counts. undecided: what it is part of gets no verdict "
    "and no test; worst: as the worst value of the metric, an accuracy of 0; exclude: the others are used, and named"
)
EFFECT: dict[FailureRule, str] = {  # after "2 of 5 replicates of CELL failed"
    "undecided": "no verdict (failures: undecided)",
    "worst": "counted as the worst value",
    "exclude": "excluded",
}


def check_worst(
    rule: FailureRule, comparisons: Mapping[str, Sequence[ClaimSpec | ContrastSpec]], at: Place, mistakes: Mistakes
) -> None:
    """Record comparisons, by key of the grid, in metrics that have no worst value, if failures count as the worst."""
    if rule != "worst":
        return
    valid = " or ".join(name for name, metric in METRICS.items() if metric.worst is not None)
    for key, specs in comparisons.items():
        for i, spec in enumerate(specs):
            metric = METRICS.get(spec.metric)
            if metric and metric.by_replicate and metric.worst is None:
                reason = f"{metric.name} has no worst value, which 'failures: worst' requires"
                place = at / key / i / "metric"
                mistakes.add(place.error(f"{reason}; compare {valid}, or use failures: undecided or exclude"))
