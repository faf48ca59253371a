"""The sentences on failed trials: which cells have them, and how they count."""

from collections.abc import Iterator

from study.analysis.analysis import Analysis
from study.analysis.exact_values import names_of
from study.analysis.facts import StudyFacts
from study.analysis.stats.failed import Failed
from study.design.failures import FailureRule
from study.utils.text import plural

MOST = 6  # cells listed one by one
COUNT: dict[FailureRule, str] = {
    "undecided": "Claims, effects and comparisons with these cells are not decided or tested (failures: undecided).",
    "worst": "Each counts with the worst value of the metric, an accuracy of 0 (failures: worst).",
    "exclude": "They are excluded: differences are those of the runs that finished (failures: exclude).",
}
METHOD: dict[FailureRule, str] = {
    "undecided": "what they are part of gets no verdict and no test",
    "worst": "each counts with the worst value of the metric, 0 for an accuracy",
    "exclude": "they are excluded, so results are about runs that finish",
}
CONDITION = (
    "All verdicts and intervals are about runs that vary as those of the study did: a rare collapse that no replicate "
    "had is not covered."
)


def sentences(analysis: Analysis) -> str:
    """Plain text; empty if no trial of a cell has failed."""
    failed = list(analysis.results.failed.values())
    now = [f"{_listed(failed)}. {COUNT[analysis.facts.failures]}"] if failed else []
    return " ".join([*now, *_retried(analysis)])


def method(facts: StudyFacts) -> str:
    """How failed replicates count in the study, and what all verdicts are conditional on."""
    return f"Failed replicates: {METHOD[facts.failures]} (failures: {facts.failures}). {CONDITION}"


def _retried(analysis: Analysis) -> Iterator[str]:
    """Trials that had failed when a look was made, and have a result now."""
    names, done = names_of(analysis.results), analysis.results.done
    finished = set(zip(done["cell"], done["replicate"], strict=True))
    for looked, trials in sorted(analysis.facts.failed_at.items()):
        again = sorted((names[cell], r) for cell, r in trials if (names.get(cell), r) in finished)
        if again:
            listed = "; ".join(f"{cell}, replicate {replicate}" for cell, replicate in again[:MOST])
            more = f"; and {len(again) - MOST} more" if len(again) > MOST else ""
            yield (
                f"At the look after {plural(looked, 'replicate')} these had failed, and their later results do not "
                f"change it: {listed}{more}."
            )


def _listed(failed: list[Failed]) -> str:
    more = f"; and {plural(len(failed) - MOST, 'more cell')}" if len(failed) > MOST else ""
    return f"{'; '.join(map(str, failed[:MOST]))}{more}"
