"""Questions for `calibrate`: what an interval over the replicates of a cell covers, by what differs between them.

On a data set of few images:

An image has a chance of its own to be classified correctly, and an effect of its own on the models that are trained on
it. The images are a sample of a population; each study has others. Shapes: S studies, N images, R replicates.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import special  # type: ignore[import-untyped]

from study.analysis.stats.intervals import Floats
from study.analysis.stats.question import INFINITY, Question
from study.utils.text import plural

IMAGES = 400
SHARE = 0.25  # of the images, for testing; the others train
ACCURACY = 0.96  # of the population
EFFECT = 0.2  # SD of the effect of one training image


@dataclass(frozen=True)
class Replicates:
    """How the replicates of a study are made, and what its interval is to contain."""

    count: int
    split: Literal["fixed", "resampled"]
    target: Literal["these images", "new images"]  # accuracy over all splits of these images, or of the population
    corrected: bool = (
        False  # for images shared between replicates (Nadeau and Bengio 2003, doi:10.1023/A:1024068626366)
    )


def questions() -> Iterator[Question]:
    """What an interval covers of the split, the images and the tuning run."""
    target: Literal["these images", "new images"]
    for n in (3, 5, 10):
        target = "these images"
        measure = f"t interval covers the mean accuracy over all splits of {target}"
        yield Question(measure, f"n = {n}, one split", 10, partial(covered, Replicates(n, "fixed", target)))
        hits = partial(covered, Replicates(n, "resampled", target))
        yield Question(measure, f"n = {n}, a split per replicate", 10, hits, 0.92, 0.97)
        target = "new images"
        measure = f"t interval covers the accuracy on {target}"
        yield Question(measure, f"n = {n}, one split", 10, partial(covered, Replicates(n, "fixed", target)))
        hits = partial(covered, Replicates(n, "resampled", target))
        yield Question(measure, f"n = {n}, a split per replicate", 10, hits)
        hits = partial(covered, Replicates(n, "resampled", target, corrected=True))
        yield Question(measure, f"n = {n}, a split per replicate, corrected for shared images", 10, hits, 0.91, 1.0)
    for tunings in (1, 2, 10):
        bounds = (0.93, 0.97) if tunings == 10 else (-INFINITY, INFINITY)
        setting = f"10 replicates, {plural(tunings, 'tuning')}"
        hits = partial(covers_tuning, 10, tunings)
        yield Question("t interval covers the mean over tunings", setting, 1, hits, *bounds)


def covered(made: Replicates, studies: int, rng: np.random.Generator) -> Floats:
    """Whether the 95 % t interval of each study contains its target; shape (S,)."""
    tested = round(SHARE * IMAGES)
    chance_SN = rng.beta(ACCURACY, 1 - ACCURACY, (studies, IMAGES))
    effect_SN = EFFECT * rng.standard_normal((studies, IMAGES))
    order_SN = np.arange(IMAGES)[None].repeat(studies, 0)
    accuracies = []
    for _ in range(made.count):
        if made.split == "resampled":
            order_SN = rng.permuted(order_SN, axis=1)
        is_test_SN = order_SN < tested
        is_right_SN = rng.random((studies, IMAGES)) < chance_SN
        learned_S = np.where(is_test_SN, 0.0, effect_SN).sum(1) / (IMAGES - tested)
        accuracies.append((is_right_SN & is_test_SN).sum(1) / tested + learned_S)
    return _contains(np.stack(accuracies, 1), made, chance_SN.mean(1) + effect_SN.mean(1))


def _contains(accuracy_SR: Floats, made: Replicates, mean_S: Floats) -> Floats:
    target = mean_S if made.target == "these images" else ACCURACY
    more = SHARE / (1 - SHARE) if made.corrected else 0.0
    return _within(accuracy_SR, target, math.sqrt(1 / made.count + more))


def _within(values_SR: Floats, target: Floats | float, factor: float) -> Floats:
    """Whether the target is within the t interval of the mean, whose error is the SD times `factor`."""
    half_S = special.stdtrit(values_SR.shape[1] - 1, 0.975) * values_SR.std(1, ddof=1) * factor
    hits: npt.NDArray[np.bool_] = np.abs(values_SR.mean(1) - target) <= half_S
    return hits.astype(float)


def covers_tuning(replicates: int, tunings: int, studies: int, rng: np.random.Generator) -> Floats:
    """Whether the interval contains the mean over tunings, each used by equally many replicates; shape (S,).

    The best values of a tuning change the accuracy of its replicates as much as their seeds do (SD 1 each).
    """
    tuned_SR = rng.standard_normal((studies, tunings)).repeat(replicates // tunings, 1)
    return _within(tuned_SR + rng.standard_normal(tuned_SR.shape), 0.0, 1 / math.sqrt(replicates))
