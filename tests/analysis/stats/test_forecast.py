"""Forecasts as ranges over the interval of a standard deviation."""

import math

import numpy as np
import pytest
from scipy import stats

from study.analysis.stats.forecast import (
    REASONABLE,
    Spread,
    not_distinguishable,
    replicates_to_decide,
    replicates_to_detect,
    would_decide,
)
from study.analysis.stats.freedom import Freedom
from study.analysis.stats.power import inside_power, paired_power
from study.design.claim_kinds.claim_kind import Region

INF = math.inf


@pytest.mark.parametrize(
    ("df", "low", "high"),
    [
        (2, 0.6590, 3.0808),
        (4, 0.7171, 1.9393),
        (9, 0.7829, 1.4694),
    ],  # sqrt(df / chi-square) at 0.9 and 0.1 of any table
)
def test_interval_of_a_standard_deviation(df: int, low: float, high: float) -> None:
    assert Spread.of(2.0, df).ends == pytest.approx((2 * low, 2.0, 2 * high), abs=2e-4)


def test_the_interval_covers_the_true_spread_in_80_percent_of_studies() -> None:
    sds = np.random.default_rng(0).standard_normal((4_000, 4)).std(axis=1, ddof=1)
    covered = [one.low <= 1 <= one.high for one in (Spread.of(float(sd), 3) for sd in sds)]
    assert np.mean(covered) == pytest.approx(0.8, abs=0.025)


def test_no_end_is_larger_than_a_difference_can_be() -> None:
    assert Spread.of(0.6, 1, most=1.0).ends == pytest.approx((0.3648, 0.6, 1.0), abs=1e-3)


@pytest.mark.parametrize(
    ("region", "difference"),
    [
        (Region(-1.0, 1.0), 0.2),  # equivalent: inside
        (Region(-1.0, 1.0), 1.9),  # refuted
        (Region(-1.0, INF), 0.3),  # non-inferior
        (Region(0.0, 0.0, inside=False), -1.2),  # an interaction in either direction
    ],
)
def test_the_first_number_that_decides_with_80_percent_power(region: Region, difference: float) -> None:
    """By simulation: the interval is entirely on the side of the true difference, both margins counted."""
    needed = replicates_to_decide(region, difference, Spread(1.0, 1.0, 1.0)).middle
    assert needed is not None
    rng = np.random.default_rng(1)
    shares = []
    for n in (needed, needed - 1):
        x = rng.standard_normal((40_000, n)) + difference
        half = float(stats.t.ppf(0.975, n - 1)) * x.std(axis=1, ddof=1) / math.sqrt(n)
        low, high = x.mean(axis=1) - half, x.mean(axis=1) + half
        between, beyond = (low > region.low) & (high < region.high), (low > region.high) | (high < region.low)
        shares.append((between if region.low < difference < region.high else beyond).mean())
    assert shares[0] > 0.79
    assert shares[1] < 0.81


def test_equivalence_needs_more_than_its_distance_from_the_nearer_margin() -> None:
    """The case of a one-sided forecast that was too small: at the centre of -1 to 1, both margins are 1 away."""
    spread = Spread(1.0, 1.0, 1.0)
    both, one = replicates_to_decide(Region(-1, 1), 0.0, spread), replicates_to_decide(Region(-1, INF), 0.0, spread)
    assert both.middle is not None
    assert one.middle is not None
    assert inside_power(both.middle, 0.0, 1.0, -1, 1) >= 0.8 > inside_power(both.middle - 1, 0.0, 1.0, -1, 1)
    assert paired_power(one.middle, 1.0, 1.0) >= 0.8 > paired_power(one.middle - 1, 1.0, 1.0)
    assert both.middle > one.middle


def test_ranges_in_words() -> None:
    """Five replicates: the SD's interval is 0.717 to 1.939 times the estimate; effects of 0.5 at SD 0.6."""
    (found,) = replicates_to_detect(0.5, [Spread.of(0.6, 4)])
    assert (found.low, found.middle, found.high) == (8, 14, 45)
    assert found.text() == "8 to 45 replicates"
    (wide,) = replicates_to_detect(0.5, [Spread.of(0.6, 1)])
    assert wide.text("new replicate") == f"7 to more than {REASONABLE} new replicates"
    (known,) = replicates_to_detect(0.5, [Spread(0.6, 0.6, 0.6)])
    assert known.text() == "14 replicates"


def test_findings_of_rows() -> None:
    ns, spreads = [5, 5, 5, 20], [Spread.of(0.6, 4), None, Spread.of(6.0, 4), Spread.of(0.5, 19)]
    assert not_distinguishable(ns, spreads, 0.5, "0.5 points") == [
        "not distinguishable at n = 5: 8 to 45 replicates would be needed to see 0.5 points",
        "not distinguishable at n = 5",
        "not distinguishable at n = 5, and 0.5 points cannot be detected at any reasonable cost (more than 100 "
        "replicates)",
        "not distinguishable at n = 20, although 8 to 15 replicates have 80% power for 0.5 points",
    ]
    assert not_distinguishable([], [], effect=1.0, name="1") == []


def test_a_pooled_error_needs_fewer_replicates() -> None:
    """Effect 1 at SD 1, alpha 0.05 / 8: paired 18 replicates; with nine cells (n - 1) min(8, n - 2) degrees of freedom,
    by noncentral t."""
    spread = Spread(1.0, 1.0, 1.0)
    needed = replicates_to_decide(Region(0.0, INF), 1.0, spread, 0.05 / 8, Freedom(9)).middle
    paired = replicates_to_decide(Region(0.0, INF), 1.0, spread, 0.05 / 8).middle
    reference = [
        next(n for n in range(4, 101) if stats.nct.sf(stats.t.isf(0.05 / 16, df(n)), df(n), math.sqrt(n)) >= 0.8)
        for df in (lambda n: (n - 1) * min(8, n - 2), lambda n: n - 1)
    ]
    assert [needed, paired] == reference
    assert reference[0] < reference[1]
    assert "(pooled error)" in would_decide(Region(0.0, INF), 1.0, spread, 0.05 / 8, Freedom(9))


def test_the_interval_of_a_pooled_error_is_inside_with_the_power_of_its_degrees_of_freedom() -> None:
    """By simulation: 6 replicates, 20 degrees of freedom."""
    rng = np.random.default_rng(3)
    mean, sd = rng.normal(0.1, 6**-0.5, 100_000), np.sqrt(rng.chisquare(20, 100_000) / 20)
    half = stats.t.isf(0.025, 20) * sd / math.sqrt(6)
    found = inside_power(6, 0.1, 1.0, -1.2, 1.2, df=20)
    assert found == pytest.approx(((mean - half > -1.2) & (mean + half < 1.2)).mean(), abs=0.006)


def test_what_would_decide_a_claim() -> None:
    decided = would_decide(Region(0.0, INF), 0.58, Spread.of(1.23, 9))
    low, high = (
        next(n for n in range(2, 101) if paired_power(n, 0.58, sd) >= 0.8) for sd in Spread.of(1.23, 9).ends[::2]
    )
    assert decided == (
        f"{low} to {high} new replicates in a study of their own (study replicate) would decide this claim with 80% "
        "power (paired test) if the true difference equals the estimate"
    )
    hopeless = would_decide(Region(0.0, INF), 0.01, Spread.of(1.23, 9))
    assert hopeless == (
        "this claim is not decidable at any reasonable cost (more than 100 replicates) if the true difference equals "
        "the estimate"
    )
    assert would_decide(Region(0.5, INF), 0.5, Spread.of(1.0, 4)) == hopeless  # at the margin nothing decides it
