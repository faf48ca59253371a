"""What it cost that claims or replicates were changed after results: only what the record shows."""

import numpy as np
import pytest

from study.analysis.registration_cost import sentences
from study.analysis.stats import calibrate_after_results
from study.design.registration import Entry, RegisteredClaim

ADVICE = "Claims that are tested with new replicates in a study of their own (study replicate) keep the 5 %."


def entry(results: int, replicates: int | tuple[int, int] = 3, claims: str = "a") -> Entry:
    least, most = (replicates, replicates) if isinstance(replicates, int) else replicates
    written = tuple(RegisteredClaim(claim=name, judged={"cells": name}) for name in claims)
    return Entry(time="2026-01-01T00:00:00", results=results, minimum=least, maximum=most, claims=written)


@pytest.mark.parametrize(
    "history",
    [
        [],
        [entry(0)],
        [entry(4)],  # when it was written is not known
        [entry(0, claims="ab"), entry(6)],  # removed
        [entry(0, 2), entry(0)],  # raised before any result
        [entry(0, 5), entry(6)],  # lowered
    ],
)
def test_no_cost_where_the_record_shows_no_change_after_results(history: list[Entry]) -> None:
    assert sentences(entry(6), history) == []


def test_claims_written_after_results() -> None:
    added, advice = sentences(entry(6, claims="abc"), [entry(0), entry(6, claims="abc")])
    assert added == (
        "2 claims of this study may have been chosen by the results. In simulated studies without any effect, the "
        "clearest of 8 changes, made a claim after the results, has a false verdict in 28 % of studies instead of 5 %."
    )
    assert advice == ADVICE
    assert sentences(entry(6, claims="ab"), [entry(0)])[0].startswith("1 claim of this study may")  # not registered


@pytest.mark.parametrize(
    ("steps", "times", "share", "more"),
    [
        ([3, 6], "once", "9.5 %", ""),
        ([3, 6, 12], "twice", "12 %", ""),
        ([3, 6, 12, 24, 48, 96], "three times", "15 %", "; here it was 5 times"),
        ([(3, 6), (3, 12)], "once", "7.5 %", ""),
    ],
)
def test_replicates_raised_after_results(steps: list[int | tuple[int, int]], times: str, share: str, more: str) -> None:
    history = [entry(i * 6, step) for i, step in enumerate(steps)]
    raised, advice = sentences(history[-1], history)
    name = "the number of replicates" if isinstance(steps[0], int) else "max"
    assert raised == (
        f"Raising {name} after results tests claims more often than the 5 % allow. In simulated studies without any "
        f"effect, doubling it {times} while the claim is undecided gives a false verdict in {share} of studies{more}."
    )
    assert advice == ADVICE


def test_the_cited_shares_are_those_that_the_calibration_measures() -> None:
    """On 3,000 studies of each line, within three standard errors of the bounds that `nox -s calibrate` checks."""
    for i, question in enumerate(calibrate_after_results.questions()):
        measured = question.hits(3_000 // question.share, np.random.default_rng(i))
        slack = 3 * float(measured.std()) / len(measured) ** 0.5
        assert question.low - slack <= measured.mean() <= question.high + slack, question.setting
