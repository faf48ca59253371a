"""What decisions after the results cost: how often studies without any effect then have a false verdict.

The claims of all lines are that a change differs from the baseline, and none does; so every verdict is false. A study
counts if any verdict was false at any time at which its claims were judged. Reports cite these numbers
(`false_after_results`), which are the bounds.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt
from scipy import stats  # type: ignore[import-untyped]

from study.analysis.stats.false_after_results import ADDED, RAISED, SLACK
from study.analysis.stats.forecast import REASONABLE
from study.analysis.stats.power import needed_by_sd
from study.analysis.stats.question import Floats, Question
from study.analysis.stats.simulate import Scenario, false_verdicts, judge_all
from study.design.claims import ClaimSpec

Schedule = tuple[int, int]  # the fewest and the most replicates
FIXED: tuple[Schedule, ...] = ((3, 3), (6, 6), (12, 12), (24, 24))
ADAPTIVE: tuple[Schedule, ...] = ((3, 6), (3, 12), (3, 24), (3, 48))
TIMES = ("once", "twice", "three times")


def questions() -> Iterator[Question]:
    """The lines of the table."""
    measure = "a study without effects has a false verdict"
    setting = "the clearest of 8 changes becomes a claim after the results, n = 5"
    yield Question(measure, setting, 1, _clearest, ADDED - SLACK, ADDED + SLACK)
    for name, schedules in (("replicates", FIXED), ("max", ADAPTIVE)):
        for i, times in enumerate(TIMES, start=1):
            counts = ", ".join(str(most) for _, most in schedules[: i + 1])
            setting = f"1 undecided claim, {name} raised {times}: {counts}"
            bound = RAISED[name][i - 1]
            yield Question(measure, setting, 1, partial(_raised, schedules[: i + 1]), bound - SLACK, bound + SLACK)
    setting = "1 undecided claim, as many replicates as forecast, once, n = 3"
    once = RAISED["replicates"][0]
    yield Question(measure, setting, 4, _followed, once - SLACK, once + SLACK)


def _scenario(claims: int, least: int, most: int) -> Scenario:
    labels = [str(i) for i in range(claims + 1)]
    specs = [
        ClaimSpec.model_validate({"claim": "simulated", "kind": "greater", "metric": "value", "cells": {"x": label}})
        for label in labels[1:]
    ]
    return Scenario("", {"x": labels}, {(label,): 0.0 for label in labels}, tuple(specs), least, most)


def _clearest(studies: int, rng: np.random.Generator) -> Floats:
    """Alone among the claims, the one with the smallest p-value of 8 is tested at the whole alpha."""
    scenario = _scenario(8, 5, 5)
    differences_SNM = scenario.draw(studies, rng) @ scenario.contrasts.T
    t_SM = differences_SNM.mean(axis=1) / differences_SNM.std(axis=1, ddof=1) * np.sqrt(5)
    return np.asarray(np.abs(t_SM).max(axis=1) > stats.t.isf(0.025, 4), dtype=np.float64)


def _raised(schedules: Sequence[Schedule], studies: int, rng: np.random.Generator) -> Floats:
    """Each schedule judges all replicates so far by its own looks, as if it had been the first."""
    scenario = _scenario(1, *schedules[-1])
    values_SNC = scenario.draw(studies, rng)
    return _any_false([_wrong(scenario, one, values_SNC) for one in schedules])


def _followed(studies: int, rng: np.random.Generator) -> Floats:
    """Undecided after 3 replicates, a study continues to the number that its estimate and SD forecast."""
    scenario = _scenario(1, 3, REASONABLE)
    values_SNC = scenario.draw(studies, rng)
    differences_SN = (values_SNC[:, :3] @ scenario.contrasts.T)[..., 0]
    relative_S = differences_SN.std(axis=1, ddof=1) / np.abs(differences_SN.mean(axis=1))
    needed = needed_by_sd(1.0, relative_S.tolist(), most=REASONABLE)
    wrong_S = _wrong(scenario, (3, 3), values_SNC)
    needed_S = np.where(wrong_S, 0, [number or 0 for number in needed])
    for number in np.unique(needed_S[needed_S > 3]):
        own = needed_S == number
        wrong_S[own] = _wrong(scenario, (int(number), int(number)), values_SNC[own])
    return np.asarray(wrong_S, dtype=np.float64)


def _wrong(scenario: Scenario, schedule: Schedule, values_SNC: Floats) -> npt.NDArray[np.bool_]:
    """(S,) whether a study has a false verdict with these replicates."""
    now = replace(scenario, least=schedule[0], most=schedule[1])
    verdicts_SM = judge_all(now, values_SNC[:, : schedule[1]]).verdicts_SM
    return np.asarray(false_verdicts(now, verdicts_SM).any(axis=1), dtype=np.bool_)


def _any_false(wrong: Sequence[npt.NDArray[np.bool_]]) -> Floats:
    return np.asarray(np.any(wrong, axis=0), dtype=np.float64)
