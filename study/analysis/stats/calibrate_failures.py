"""Questions for `calibrate`: failed, missing and collapsed runs, by how a study counts them.

Shapes: S studies, N replicates, C cells. Cells have SD 1 without a shared seed effect, unless stated.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
from scipy import special  # type: ignore[import-untyped]

from study.analysis.stats.intervals import Floats
from study.analysis.stats.matched_sets import average
from study.analysis.stats.outliers import FAR, distances
from study.analysis.stats.question import INFINITY, Question
from study.analysis.stats.region_test import region_p_values
from study.analysis.stats.simulate import Noise, heavy, normal
from study.design.claim_kinds.claim_kind import Region
from study.design.failures import FailureRule
from study.utils.text import plural

Flags = npt.NDArray[np.bool_]
COLLAPSES, DROP = 0.05, 40.0  # share of runs, and points that each loses
MISSED = {3: 0.50, 5: 0.75, 10: 0.60, 20: 0.36}  # by replicates: studies that call such a cell non-inferior
WORST = -85.0  # of a failed run, in SD from the usual accuracy: 0 % for cells of 85 %
ABOVE = Region(0.0, INFINITY)


def questions() -> Iterator[Question]:
    """All questions on failures."""
    yield from _missing()
    yield from _failing()
    yield from _collapsing()
    yield from _outlying()


# Missing at random: the mean over matched sets with fixed weights.


def _missing() -> Iterator[Question]:
    for sets, design in ((1, "one factor"), (4, "2 x 2 x 2")):
        for n, missing, correlation in ((3, 0.05, 0.0), (5, 0.15, 0.0), (5, 0.15, 0.9), (10, 0.15, 0.5)):
            setting = f"{design}, n = {n}, {missing:.0%} of runs missing, sets correlated {correlation:g}"
            hits = partial(missing_covered, sets, n, missing, correlation)
            yield Question("interval of an effect covers", setting, 20, hits, 0.94, 0.985)


def missing_covered(
    sets: int, n: int, missing: float, correlation: float, studies: int, rng: np.random.Generator
) -> Floats:
    """Sets differ fourfold in spread; of the studies with two common replicates of each set."""
    return np.array([_is_covered(sets, n, missing, correlation, rng) for _ in range(studies)])


def _is_covered(sets: int, n: int, missing: float, correlation: float, rng: np.random.Generator) -> float:
    shared, own = rng.standard_normal(n), rng.standard_normal((sets, n))
    values = np.geomspace(1, 4, sets)[:, None] * (np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * own)
    known: Flags = np.zeros((sets, n), dtype=np.bool_)
    while (known.sum(axis=1) < 2).any():  # a run of either side is enough to lose a difference
        known = (rng.random((sets, n)) >= missing) & (rng.random((sets, n)) >= missing)
    by_set = [{r: float(row[r]) for r in range(n) if ok[r]} for row, ok in zip(values, known, strict=True)]
    low, high = average(by_set, 1.0).interval()
    return float(low <= 0 <= high)


# Failing: two cells without a difference, of which one fails.


@dataclass(frozen=True)
class Failing:
    """How a cell fails, and how the study counts that. Its runs are as good as those of the other cell."""

    n: int
    share: float
    worst_runs: bool  # the worst fail, or any
    rule: FailureRule


def _failing() -> Iterator[Question]:
    for n in (3, 5, 10):
        for worst_runs, how in ((False, "at random"), (True, "the worst")):
            for rule in ("undecided", "exclude", "worst"):
                setting = f"n = {n}, 20% of a cell's runs fail, {how}; failures: {rule}"
                made = Failing(n, 0.2, worst_runs, rule)
                kept = rule != "exclude" or not worst_runs  # excluding the worst runs is biased: for information
                hits = partial(supported_better, made)
                yield Question("the failing cell is falsely better", setting, 1, hits, high=0.025 if kept else INFINITY)


def supported_better(made: Failing, studies: int, rng: np.random.Generator) -> Floats:
    """Whether "the failing cell is better" is supported at alpha 0.05; the other direction has half of alpha too."""
    values_SN, other_SN = rng.standard_normal((2, studies, made.n))
    drawn_SN = values_SN if made.worst_runs else rng.standard_normal((studies, made.n))
    failed_SN = drawn_SN < special.ndtri(made.share)
    counted_SN = np.where(failed_SN, WORST, values_SN) if made.rule == "worst" else values_SN
    is_used_SN = np.ones_like(failed_SN) if made.rule == "worst" else ~failed_SN
    is_supported_S = supports(counted_SN - other_SN, is_used_SN, ABOVE)
    if made.rule == "undecided":
        is_supported_S &= ~failed_SN.any(axis=1)
    return is_supported_S.astype(np.float64)


def supports(differences_SN: Floats, is_used_SN: Flags, region: Region) -> Flags:
    """Whether each study supports a claim by its used differences; not with fewer than two."""
    n_S = is_used_SN.sum(axis=1)
    counted_S = np.maximum(n_S, 2)
    mean_S = np.where(is_used_SN, differences_SN, 0.0).sum(axis=1) / counted_S
    squares_S = np.where(is_used_SN, (differences_SN - mean_S[:, None]) ** 2, 0.0).sum(axis=1)
    error_S = np.sqrt(squares_S / (counted_S - 1) / counted_S)
    p_S, _ = region_p_values(mean_S, np.where(n_S > 1, error_S, np.nan), counted_S - 1, region)
    return np.asarray((p_S <= 0.05) & (n_S > 1))


# Collapsing: finite results far below, which no rule for failures concerns.


def _collapsing() -> Iterator[Question]:
    for n, missed in MISSED.items():
        setting = f"n = {n}, {COLLAPSES:.0%} of runs lose {DROP:g} points, margin 1 point, SD 0.3 points"
        hits = partial(non_inferior, n)
        yield Question("a collapsing cell is falsely non-inferior", setting, 1, hits, missed - 0.02, missed + 0.02)
        hits = partial(collapse_listed, n)
        yield Question("every collapsed run is listed as outlying", f"n = {n}, 8 cells", 20, hits, 0.95, 1.0)


def non_inferior(n: int, studies: int, rng: np.random.Generator) -> Floats:
    """Its mean is 2 points lower, twice the margin; but most studies of few replicates have no collapsed run."""
    difference_SN = 0.3 * np.sqrt(2) * rng.standard_normal((studies, n))
    difference_SN -= DROP * (rng.random((studies, n)) < COLLAPSES)
    used_SN = np.ones((studies, n), dtype=np.bool_)
    return supports(difference_SN, used_SN, Region(-1.0, INFINITY)).astype(np.float64)


def collapse_listed(n: int, studies: int, rng: np.random.Generator) -> Floats:
    """Of the studies in which fewer than half of the runs of a cell collapse, the median being of the others."""
    found = []
    for values_CN in 0.3 * rng.standard_normal((studies, 8, n)):
        collapsed_N = np.zeros(n, dtype=np.bool_)
        collapsed_N[: 1 + (rng.random((n - 1) // 2 - 1) < COLLAPSES).sum()] = True
        values_CN[0] -= DROP * collapsed_N
        found.append(float((np.abs(distances(list(values_CN))[0][collapsed_N]) > FAR).all()))
    return np.array(found)


# Outlying runs listed although nothing is wrong.


def _outlying() -> Iterator[Question]:
    for cells, n in ((2, 3), (8, 3), (8, 5), (16, 10)):
        setting = f"{plural(cells, 'cell')}, n = {n}"
        any_listed = "a study lists an outlying run"
        yield Question(any_listed, f"{setting}, normal", 20, partial(listed, cells, n, 1.0, normal), high=0.02)
        yield Question(any_listed, f"{setting}, spread x 4", 20, partial(listed, cells, n, 4.0, normal))
        yield Question(any_listed, f"{setting}, heavy tails", 20, partial(listed, cells, n, 1.0, heavy))


def listed(cells: int, n: int, spread: float, noise: Noise, studies: int, rng: np.random.Generator) -> Floats:
    """Whether a study without any special run lists one; the spreads of cells differ by this factor."""
    values_SCN = np.geomspace(1, spread, cells)[:, None] * noise(rng, (studies, cells, n))
    return np.array([float((np.abs(np.array(distances(list(own)))) > FAR).any()) for own in values_SCN])
