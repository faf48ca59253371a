"""What each look of adaptive replicates needs, and which looks are decorative."""

import numpy as np
import pytest
from scipy import stats

from study.analysis.stats.freedom import PAIRED, Freedom
from study.analysis.stats.look_power import look_powers, useful_schedule


def test_the_t_that_each_look_needs() -> None:
    """Six claims, 3 to 8 replicates: the look at 3 spends (3/8)^2 of alpha, hence its level 0.05 (3/8)^2 / 6.

    With 2 degrees of freedom P(|t| > x) = 1 - x / sqrt(x^2 + 2), so x = (1 - p) sqrt(2 / (p (2 - p))).
    """
    first, last = look_powers(3, 8, claims=6)
    p = 0.05 * (3 / 8) ** 2 / 6
    assert first.t == pytest.approx((1 - p) * (2 / (p * (2 - p))) ** 0.5)
    assert first.t == pytest.approx(29.2, abs=0.05)
    assert first.distance(0.01, PAIRED) == pytest.approx(29.2 * 0.01 / 3**0.5, rel=2e-3)
    assert (first.replicates, last.replicates) == (3, 8)
    assert (first.is_decorative, last.is_decorative) == (True, False)


def test_a_pooled_error_needs_a_smaller_t_from_four_replicates_on() -> None:
    """Seven cells: at 8 replicates 7 * 6 = 42 degrees of freedom instead of 7; at 3 replicates no error is pooled."""
    first, last = look_powers(3, 8, claims=6, cells=7)
    assert first.t_pooled == first.t
    assert last.distance(0.01, Freedom(7)) == pytest.approx(last.t_pooled * 0.01 / 8**0.5)
    level = 0.05 * (1 - (3 / 8) ** 2) / 6
    assert last.t_pooled == pytest.approx(stats.t.isf(level / 2, 42))
    assert last.t == pytest.approx(stats.t.isf(level / 2, 7))
    assert first.is_decorative


def test_the_power_of_a_last_look_is_80_percent() -> None:
    for cells in (2, 7):
        assert look_powers(3, 8, claims=6, cells=cells)[-1].power == pytest.approx(0.8)


def test_the_power_of_a_look_agrees_with_a_simulation() -> None:
    """At the difference that 80% of studies detect at the last look; each look alone, at its own level."""
    looks = look_powers(4, 8, claims=1)
    effect = next(d for d in np.arange(0.5, 3, 0.02) if decided(8, d, looks[-1].t) >= 0.8)
    for look in looks:
        assert decided(look.replicates, effect, look.t) == pytest.approx(look.power, abs=0.02)


def decided(n: int, effect: float, t: float) -> float:
    """The share of simulated studies with t above this value."""
    x = np.random.default_rng(3).standard_normal((20_000, n)) + effect
    return float((x.mean(axis=1) * n**0.5 / x.std(axis=1, ddof=1) > t).mean())


@pytest.mark.parametrize(("least", "most", "claims"), [(3, 8, 6), (3, 10, 4), (5, 20, 7), (2, 3, 40), (2, 4, 1)])
def test_the_suggested_schedule_has_no_decorative_look(least: int, most: int, claims: int) -> None:
    start, end = useful_schedule(least, most, claims)
    assert least <= start <= end == most
    assert start == most or not any(look.is_decorative for look in look_powers(start, end, claims))
    if start > least:
        assert any(look.is_decorative for look in look_powers(start - 1, end, claims))


def test_a_schedule_is_proposed_whatever_max():
    """Not every `min` is tried for a large one."""
    least, most = useful_schedule(2, 100_000, 8, 20)
    assert most == 100_000
    assert not any(look.is_decorative for look in look_powers(least, most, 8, 20))
    assert any(look.is_decorative for look in look_powers(least // 2, most, 8, 20))
