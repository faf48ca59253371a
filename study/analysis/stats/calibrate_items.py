"""Questions for `calibrate`: intervals and comparisons for other seeds and other test images.

Images differ in difficulty on the logit scale, seeds shift all images, and each prediction is one draw. The images are
a sample of a population, whose accuracy over all seeds is the truth. Shapes: S studies, R replicates, N images.
"""

from collections.abc import Iterator
from functools import cache, partial

import numpy as np
from scipy import optimize, special  # type: ignore[import-untyped]

from study.analysis.stats.intervals import Floats, interval
from study.analysis.stats.items import item_difference, item_interval
from study.analysis.stats.question import INFINITY, Question

IMAGES = 451  # as the test digits
DIFFICULTY = 6.0  # SD over images
SEED = 0.1  # SD over seeds
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(201)
AT_ONCE = 200  # studies, to bound memory

CLAIMS = 7
MISSES = "intervals over replicates and images, adjusted for all claims, miss an accuracy near 100 %"


def questions() -> Iterator[Question]:
    """What intervals with and without the error of the images cover, and how often equal cells are told apart."""
    for accuracy in (0.9, 0.95, 0.99):
        for n in (3, 5, 10):
            setting = f"{IMAGES} images, accuracy {accuracy:.0%}, n = {n}"
            hits = partial(_covered, accuracy, n, False)
            yield Question("t interval over replicates covers the accuracy on other images", setting, 20, hits)
            hits = partial(_covered, accuracy, n, True)
            yield Question("interval over replicates and images covers it", setting, 20, hits, 0.92, 1.0)
    for images, accuracy in ((100, 0.97), (451, 0.97), (451, 0.99), (2000, 0.995)):
        for n in (3, 5, 10):
            for other in (False, True):
                where = "of other images" if other else "of these images"
                setting = f"7 claims, test set of {images}, accuracy {accuracy:.4g} {where}, n = {n}"
                hits = partial(_misses_near_end, images, accuracy, n, other)
                yield Question(MISSES, setting, 40, hits, high=0.06 if other else 0.01)
    for accuracy in (0.9, 0.98):
        for n in (3, 10):
            setting = f"{IMAGES} images, accuracy {accuracy:.0%}, n = {n}"
            hits = partial(_told_apart, accuracy, n, False)
            yield Question("paired t-test tells cells apart that are equal on all images", setting, 20, hits)
            hits = partial(_told_apart, accuracy, n, True)
            yield Question("comparison image by image tells them apart", setting, 20, hits, -INFINITY, 0.06)


def _covered(accuracy: float, n: int, images: bool, studies: int, rng: np.random.Generator) -> Floats:
    parts = [_covered_part(accuracy, n, images, min(AT_ONCE, studies - done), rng) for done in _starts(studies)]
    return np.concatenate(parts)


def _covered_part(accuracy: float, n: int, images: bool, studies: int, rng: np.random.Generator) -> Floats:
    difficulty = DIFFICULTY * rng.standard_normal((studies, 1, IMAGES))
    right_SRN = _predictions(accuracy, DIFFICULTY, difficulty, n, rng)
    ends = [item_interval(right_RN) if images else _over_replicates(right_RN) for right_RN in right_SRN]
    return np.array([float(low <= accuracy <= high) for low, high in ends])


def _misses_near_end(
    images: int, accuracy: float, n: int, other: bool, studies: int, rng: np.random.Generator
) -> Floats:
    """Whether any of seven cells of a study, on the same images, is not covered at level 1 - 0.05 / 7."""
    return np.array([_any_missed(images, accuracy, n, other, rng) for _ in range(studies)])


def _any_missed(images: int, accuracy: float, n: int, other: bool, rng: np.random.Generator) -> float:
    difficulty_1N = DIFFICULTY * rng.standard_normal((1, images))
    chance_N = special.expit(_centre(accuracy, float(np.hypot(DIFFICULTY, SEED))) + difficulty_1N[0])
    truth = accuracy if other else float(chance_N.mean())  # the seeds change this mean by less than 0.01 points
    cells_MRN = _predictions(accuracy, DIFFICULTY, np.repeat(difficulty_1N[None], CLAIMS, axis=0), n, rng)
    ends = [item_interval(right_RN, 1 - 0.05 / CLAIMS) for right_RN in cells_MRN]
    return float(any(not low <= truth <= high for low, high in ends))


def _over_replicates(right_RN: Floats) -> tuple[float, float]:
    found = interval(right_RN.mean(axis=1))
    return found.low, found.high


def _told_apart(accuracy: float, n: int, images: bool, studies: int, rng: np.random.Generator) -> Floats:
    parts = [_told_apart_part(accuracy, n, images, min(AT_ONCE, studies - done), rng) for done in _starts(studies)]
    return np.concatenate(parts)


def _told_apart_part(accuracy: float, n: int, images: bool, studies: int, rng: np.random.Generator) -> Floats:
    """Each cell finds other images difficult: half the variance of the difficulty is its own."""
    shared, *own = DIFFICULTY * np.sqrt(0.5) * rng.standard_normal((3, studies, 1, IMAGES))
    first, second = (_predictions(accuracy, DIFFICULTY, shared + one, n, rng) for one in own)
    differences = first - second
    if images:
        return np.array([float(item_difference(one)[2] < 0.05) for one in differences])
    found = [interval(one.mean(axis=1)) for one in differences]
    return np.array([float(one.low > 0 or one.high < 0) for one in found])


def _predictions(accuracy: float, spread: float, difficulty_SRN: Floats, n: int, rng: np.random.Generator) -> Floats:
    """1 for a correct prediction, else 0."""
    studies = len(difficulty_SRN)
    seeds = SEED * rng.standard_normal((studies, n, 1))
    chance = special.expit(_centre(accuracy, float(np.hypot(spread, SEED))) + difficulty_SRN + seeds)
    return np.asarray(rng.random(chance.shape) < chance, dtype=np.float64)


@cache
def _centre(accuracy: float, spread: float) -> float:
    """The mean logit at which the accuracy of the population is this."""

    def excess(centre: float) -> float:
        return float(WEIGHTS @ special.expit(centre + spread * NODES) / WEIGHTS.sum()) - accuracy

    return float(optimize.brentq(excess, -5, 80))


def _starts(studies: int) -> range:
    return range(0, studies, AT_ONCE)
