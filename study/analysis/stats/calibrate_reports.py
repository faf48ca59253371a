"""Questions for `calibrate`: the sentences of a report on changes, on the selected cell, and after adaptive stopping.

Shapes: S studies, N replicates, C cells, M changes.
"""

from collections.abc import Iterator
from functools import partial
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import special  # type: ignore[import-untyped]

from study.analysis.stats.error_choice import may_pool
from study.analysis.stats.question import Question
from study.analysis.stats.scenarios import against_baseline, claim
from study.analysis.stats.simulate import UNDECIDED, Floats, Scenario, estimates, judge_all
from study.design.claims import ClaimSpec
from study.design.comparison import Labels

CHANGES = 8
EFFECTS = {"no effects": 0.0, "true differences of 1 sd": 1.0, "true differences of 2 sd": 2.0}
TEST_IMAGES, VALIDATION_IMAGES = 451, 269  # of the digits
ACCURACY, SEED_SD = 0.96, 0.003

Selected = Literal["test", "validation"]


def questions() -> Iterator[Question]:
    """Distinguishable changes and their sizes, selection on test and validation data, intervals after stopping."""
    measure = "a null study reports a distinguishable change"
    for n in (3, 4, 5, 10):
        setting = f"{CHANGES} changes, no effects, n = {n}"
        yield Question(measure, setting, 1, partial(reports_change, n, "adjusted"), high=0.05)
    for n in (3, 5):
        setting = f"{CHANGES} changes, no effects, n = {n}"
        yield Question(f"{measure}, by each change's own interval", setting, 1, partial(reports_change, n, "own"))
        setting = f"{CHANGES} changes of exactly the margin, n = {n}"
        stated = "a report states that a change is larger or smaller than the margin"
        yield Question(stated, setting, 1, partial(states_size, n), high=0.05)
    for cells in (5, 20):
        setting = f"{cells} equal cells, n = 3, {TEST_IMAGES} test images"
        measure = "overstatement of the best cell's test accuracy (share), selected on"
        yield Question(f"{measure} test data", setting, 2, partial(overstatement, cells, "test"))
        hits = partial(overstatement, cells, "validation")
        yield Question(f"{measure} validation data", setting, 2, hits, -0.0001, 0.0001)
    for least, most in ((3, 10), (5, 20)):
        for name, effect in EFFECTS.items():
            setting = f"7 claims, {name}; replicates {least} to {most}"
            measure = "95 % interval of a difference covers after adaptive stopping"
            yield Question(measure, setting, 40, partial(covered_after_stopping, least, most, effect, False))
            if effect:  # without an effect, claims are hardly ever decided early
                early = partial(covered_after_stopping, least, most, effect, True)
                yield Question(f"{measure}, if its claim was decided early", setting, 20, early)


def differences(n: int, studies: int, rng: np.random.Generator) -> Floats:
    """(S, N, M) differences of changes without effect from one baseline, paired by replicate."""
    values_SNC = _values(n, studies, rng)
    return np.asarray(values_SNC[..., 1:] - values_SNC[..., :1])


def _values(n: int, studies: int, rng: np.random.Generator) -> Floats:
    """(S, N, C) a baseline and cells that do not differ from it."""
    return rng.standard_normal((studies, n, CHANGES + 1))


def moments(differences_SNM: Floats) -> tuple[Floats, Floats]:
    """(S, M) means, and their standard errors."""
    n = differences_SNM.shape[1]
    return differences_SNM.mean(axis=1), differences_SNM.std(axis=1, ddof=1) / np.sqrt(n)


def reports_change(n: int, by: Literal["own", "adjusted"], studies: int, rng: np.random.Generator) -> Floats:
    """Whether any change is distinguishable: by its own paired 95 % interval, or by the error and the adjustment that
    tables use. These are those of claims, and two-sided tests are those of claims of a greater value."""
    if by == "adjusted":
        claims = [claim("greater", i) for i in range(1, CHANGES + 1)]
        scenario = against_baseline("", [0.0] * CHANGES, claims, n, n)
        found_SM = judge_all(scenario, _values(n, studies, rng)).verdicts_SM != UNDECIDED
    else:
        means_SM, errors_SM = moments(differences(n, studies, rng))
        found_SM = 2 * special.stdtr(n - 1, -np.abs(means_SM) / errors_SM) < 0.05
    return np.asarray(found_SM.any(axis=1), dtype=np.float64)


def states_size(n: int, studies: int, rng: np.random.Generator) -> Floats:
    """Whether any size is stated, by the errors and the intervals of `findings.judged`, if every true difference is the
    margin."""
    values_SNC, stated_S = _values(n, studies, rng), np.zeros(studies)
    weights_MC = np.hstack([-np.ones((CHANGES, 1)), np.eye(CHANGES)])
    pooled_S = may_pool(values_SNC)
    for pooled, studies_S in ((True, pooled_S), (False, ~pooled_S)):
        means_SM, errors_SM, df = estimates(weights_MC, values_SNC[studies_S], pooled)
        half_SM = special.stdtrit(df, 1 - 0.05 / 2 / CHANGES) * errors_SM
        stated_S[studies_S] = (np.abs(means_SM) > half_SM).any(axis=1)
    return stated_S


def overstatement(cells: int, on: Selected, studies: int, rng: np.random.Generator) -> Floats:
    """(S,) mean test accuracy of the best of equal cells, minus its accuracy on new images.

    Every cell has a rate of its own at which it classifies each image correctly, so that replicates agree on images.
    """
    measured = {
        "test": _accuracies(cells, TEST_IMAGES, studies, rng),
        "validation": _accuracies(cells, VALIDATION_IMAGES, studies, rng),
    }
    chosen_S = measured[on].argmax(axis=1)
    return np.asarray(measured["test"][np.arange(studies), chosen_S] - ACCURACY)


def _accuracies(cells: int, images: int, studies: int, rng: np.random.Generator, n: int = 3) -> Floats:
    """(S, C) means over replicates; half of the variance of an image's outcome is common to a cell's replicates."""
    item_SC = np.sqrt(ACCURACY * (1 - ACCURACY) / images / 2)
    own = item_SC * rng.standard_normal((studies, cells))
    seeds_SC = np.sqrt((SEED_SD**2 + item_SC**2) / n) * rng.standard_normal((studies, cells))
    return np.asarray(ACCURACY + own + seeds_SC)


def covered_after_stopping(
    least: int, most: int, effect: float, early: bool, studies: int, rng: np.random.Generator
) -> Floats:
    """Whether the ordinary interval of each difference, at the replicates that adaptive stopping left, covers it.

    With `early`, only differences whose claim was decided before the last look; else those of all claims.
    """
    labels = [str(i) for i in range(8)]
    means: dict[Labels, float] = {(label,): effect if label != "0" else 0.0 for label in labels}
    claims = tuple(
        ClaimSpec.model_validate({"claim": f"{i}", "kind": "greater", "cells": {"x": label}, "metric": "value"})
        for i, label in enumerate(labels[1:])
    )
    scenario = Scenario("", {"x": labels}, means, claims, least, most, np.sqrt(0.5), 1.0)
    values_SNC = scenario.draw(studies, rng)
    stopped_SM = judge_all(scenario, values_SNC).replicates_SM
    differences_SNM = values_SNC @ scenario.contrasts.T
    covered_SM: npt.NDArray[np.bool_] = np.zeros(stopped_SM.shape, dtype=np.bool_)
    for n in np.unique(stopped_SM):
        means_SM, errors_SM = moments(differences_SNM[:, :n])
        half_SM = special.stdtrit(n - 1, 0.975) * errors_SM
        covered_SM = np.where(stopped_SM == n, np.abs(means_SM - effect) <= half_SM, covered_SM)
    return np.asarray(covered_SM[stopped_SM < most] if early else covered_SM.mean(axis=1), dtype=np.float64)
