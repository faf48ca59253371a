"""Questions for `calibrate`: intervals and comparisons for other seeds and other test images.

Images differ in difficulty on the logit scale, seeds shift all images, and each prediction is one draw. The images are
a sample of a population, whose accuracy over all seeds is the truth. Shapes: S studies, R replicates, N images.
"""

import itertools
from collections.abc import Iterator
from functools import cache, partial

import numpy as np
from scipy import optimize, special  # type: ignore[import-untyped]

from study.analysis.stats.adjust import holm
from study.analysis.stats.image_results import ImageShares
from study.analysis.stats.intervals import Floats, interval
from study.analysis.stats.items import item_difference, item_interval
from study.analysis.stats.question import INFINITY, Question
from study.analysis.stats.sequential import look_shares
from study.analysis.stats.share_estimate import ShareEstimate
from study.design.claim_kinds.claim_kind import Region

IMAGES = 451  # as the test digits
DIFFICULTY = 6.0  # SD over images
SEED = 0.1  # SD over seeds
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(201)
AT_ONCE = 200  # studies, to bound memory

CLAIMS = 7
Looks = tuple[int, ...]  # replicates at each
FALSE = "a study whose claims against a number are tested over replicates and images has a false verdict"
ALIKE = 0.5  # SD over images that hardly differ in difficulty, so that the seeds decide


def questions() -> Iterator[Question]:
    """What intervals with and without the error of the images cover, and how often equal cells are told apart."""
    for accuracy in (0.9, 0.95, 0.99):
        for n in (3, 5, 10):
            setting = f"{IMAGES} images, accuracy {accuracy:.0%}, n = {n}"
            hits = partial(_covered, accuracy, n, False)
            yield Question("t interval over replicates covers the accuracy on other images", setting, 20, hits)
            hits = partial(_covered, accuracy, n, True)
            yield Question("interval over replicates and images covers it", setting, 20, hits, 0.92, 1.0)
    yield from _against_numbers()
    for accuracy in (0.9, 0.98):
        for n in (3, 10):
            setting = f"{IMAGES} images, accuracy {accuracy:.0%}, n = {n}"
            hits = partial(_told_apart, accuracy, n, False)
            yield Question("paired t-test tells cells apart that are equal on all images", setting, 20, hits)
            hits = partial(_told_apart, accuracy, n, True)
            yield Question("comparison image by image tells them apart", setting, 20, hits, -INFINITY, 0.06)


def _against_numbers() -> Iterator[Question]:
    """Seven claims on cells of their own, against the true accuracy: every verdict is false."""
    for images, accuracy in ((100, 0.97), (451, 0.97), (451, 0.99), (2000, 0.995)):
        for n, other in itertools.product((3, 5, 10), (False, True)):
            yield _false(images, accuracy, (n,), other, high=0.06 if other else 0.01)
    yield _false(451, 0.97, (3, 6, 10), True, high=0.05)
    for (seed, high), images, n in itertools.product(((0.3, 0.07), (0.6, 0.095)), (451, 2000), (3, 10)):
        yield _false(images, 0.97, (n,), True, high, ALIKE, seed)
    for n in (3, 5, 10):
        setting = f"one of 7 claims, accuracy 99% against 96%, test set of {IMAGES}, n = {n}"
        yield Question("such a claim is supported if it is true", setting, 40, partial(_supported, n))


def _false(
    images: int,
    accuracy: float,
    looks: Looks,
    other: bool,
    high: float,
    difficulty: float = DIFFICULTY,
    seed: float = SEED,
) -> Question:
    where, n = "of other images" if other else "of these images", " to ".join(map(str, dict.fromkeys(looks[::2])))
    seeds = "" if seed == SEED else f", seeds x {seed:g} and images alike"
    setting = f"7 claims, test set of {images}, accuracy {accuracy:.4g} {where}{seeds}, n = {n}"
    hits = partial(_any_false, images, accuracy, looks, other, difficulty, seed)
    return Question(FALSE, setting, 40, hits, high=high)


def _covered(accuracy: float, n: int, images: bool, studies: int, rng: np.random.Generator) -> Floats:
    parts = [_covered_part(accuracy, n, images, min(AT_ONCE, studies - done), rng) for done in _starts(studies)]
    return np.concatenate(parts)


def _covered_part(accuracy: float, n: int, images: bool, studies: int, rng: np.random.Generator) -> Floats:
    difficulty = DIFFICULTY * rng.standard_normal((studies, 1, IMAGES))
    right_SRN = _predictions(accuracy, DIFFICULTY, difficulty, n, rng)
    ends = [item_interval(right_RN) if images else _over_replicates(right_RN) for right_RN in right_SRN]
    return np.array([float(low <= accuracy <= high) for low, high in ends])


def _any_false(
    images: int,
    accuracy: float,
    looks: Looks,
    other: bool,
    spread: float,
    seed: float,
    studies: int,
    rng: np.random.Generator,
) -> Floats:
    return np.array([_is_false(images, accuracy, looks, other, spread, seed, rng) for _ in range(studies)])


def _is_false(
    images: int, accuracy: float, looks: Looks, other: bool, spread: float, seed: float, rng: np.random.Generator
) -> float:
    """Whether any of seven cells, on the same images, has a verdict at one of these looks."""
    difficulty_1N = spread * rng.standard_normal((1, images))
    difficulty_M1N = np.repeat(difficulty_1N[None], CLAIMS, axis=0)
    cells_MRN = _predictions(accuracy, spread, difficulty_M1N, looks[-1], rng, seed)
    truth = accuracy if other else _mean_accuracy(accuracy, spread, seed, difficulty_1N[0])
    found = (holm(_p_values(cells_MRN[:, :n], truth)).min() for n in looks)
    return float(any(p_value <= 0.05 * share for p_value, share in zip(found, look_shares(looks), strict=True)))


def _mean_accuracy(accuracy: float, spread: float, seed: float, difficulty_N: Floats) -> float:
    """On images of this difficulty, over all seeds."""
    logits_KN = _centre(accuracy, float(np.hypot(spread, seed))) + difficulty_N + seed * NODES[:, None]
    return float((WEIGHTS @ special.expit(logits_KN)).mean() / WEIGHTS.sum())


def _p_values(cells_MRN: Floats, number: float) -> Floats:
    return np.array([ShareEstimate.of(ImageShares(right_RN, number)).p_value() for right_RN in cells_MRN])


def _supported(n: int, studies: int, rng: np.random.Generator) -> Floats:
    """As the first step of Holm's correction of seven claims."""
    difficulty = DIFFICULTY * rng.standard_normal((studies, 1, IMAGES))
    right_SRN = _predictions(0.99, DIFFICULTY, difficulty, n, rng)
    above = Region(0.0, INFINITY)
    found = (ShareEstimate.of(ImageShares(right_RN, 0.96)).region_p_values(above)[0] for right_RN in right_SRN)
    return np.array([float(p_value <= 0.05 / CLAIMS) for p_value in found])


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


def _predictions(
    accuracy: float, spread: float, difficulty_SRN: Floats, n: int, rng: np.random.Generator, seed: float = SEED
) -> Floats:
    """1 for a correct prediction, else 0."""
    studies = len(difficulty_SRN)
    seeds = seed * rng.standard_normal((studies, n, 1))
    chance = special.expit(_centre(accuracy, float(np.hypot(spread, seed))) + difficulty_SRN + seeds)
    return np.asarray(rng.random(chance.shape) < chance, dtype=np.float64)


@cache
def _centre(accuracy: float, spread: float) -> float:
    """The mean logit at which the accuracy of the population is this."""

    def excess(centre: float) -> float:
        return float(WEIGHTS @ special.expit(centre + spread * NODES) / WEIGHTS.sum()) - accuracy

    return float(optimize.brentq(excess, -5, 80))


def _starts(studies: int) -> range:
    return range(0, studies, AT_ONCE)
