"""The sentences on failed trials: which cells have them, and how they count."""

from study.analysis.analysis import Analysis
from study.analysis.stats.failed import Failed
from study.design.failures import FailureRule
from study.utils.text import plural

MOST = 6  # cells listed one by one
COUNT: dict[FailureRule, str] = {
    "undecided": "Claims, effects and comparisons with these cells are not decided or tested (failures: undecided).",
    "worst": "Each counts with the worst value of the metric, an accuracy of 0 (failures: worst).",
    "exclude": "They are excluded: differences are those of the runs that finished (failures: exclude).",
}


def sentences(analysis: Analysis) -> str:
    """Plain text; empty if no trial of a cell has failed."""
    failed = list(analysis.results.failed.values())
    if not failed:
        return ""
    return f"{_listed(failed)}. {COUNT[analysis.facts.failures]}"


def _listed(failed: list[Failed]) -> str:
    more = f"; and {plural(len(failed) - MOST, 'more cell')}" if len(failed) > MOST else ""
    return f"{'; '.join(map(str, failed[:MOST]))}{more}"
