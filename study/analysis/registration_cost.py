"""What it cost that claims or replicates were changed after results, from the record of the claims.

The shares of false verdicts are measured by `nox -s calibrate`.
"""

import itertools
from collections.abc import Iterator, Sequence

from study.analysis.registration import present as present_of
from study.analysis.results import Results
from study.analysis.stats.false_after_results import ADDED, RAISED
from study.design import registration
from study.design.comparison import Factors
from study.design.registration import Entry
from study.utils.text import plural

AFTER = ("after", "changed", "again", "edited")  # how claims stand that were written when results were known


def sentences(present: Entry, history: Sequence[Entry]) -> list[str]:
    """The cost of claims that were written, and of replicates that were raised, after results; empty without either."""
    found = [*_claims(present, history), *_raises(present, history)]
    advice = "Claims that are tested with new replicates in a study of their own (study replicate) keep the 5 %."
    return [*found, advice] if found else []


def of_report(results: Results, factors: Factors) -> list[str]:
    """The same for the claims of a report."""
    return sentences(present_of(results, factors), results.facts.registered)


def _claims(present: Entry, history: Sequence[Entry]) -> Iterator[str]:
    number = sum(standing.how in AFTER for standing in registration.standings(present, history))
    if number:
        yield (
            f"{plural(number, 'claim')} of this study may have been chosen by the results. In simulated studies "
            "without any effect, the clearest of 8 changes, made a claim after the results, has a false verdict in "
            f"{_percent(ADDED)} of studies instead of 5 %."
        )


def _raises(present: Entry, history: Sequence[Entry]) -> Iterator[str]:
    """By what was raised: the number of replicates, or their maximum."""
    raised = [
        "replicates" if old.minimum == old.maximum and new.minimum == new.maximum else "max"
        for old, new in itertools.pairwise([*history, present])
        if new.maximum > old.maximum and new.results
    ]
    for name in dict.fromkeys(raised):
        number = raised.count(name)
        times = {1: "once", 2: "twice"}.get(number, "three times")
        more = f"; here it was {plural(number, 'time')}" if number > len(RAISED[name]) else ""
        yield (
            f"Raising {_named(name)} after results tests claims more often than the 5 % allow. In simulated studies "
            f"without any effect, doubling it {times} while the claim is undecided gives a false verdict in "
            f"{_percent(RAISED[name][min(number, len(RAISED[name])) - 1])} of studies{more}."
        )


def _named(raised: str) -> str:
    return "the number of replicates" if raised == "replicates" else "max"


def _percent(share: float) -> str:
    return f"{100 * share:g} %"
