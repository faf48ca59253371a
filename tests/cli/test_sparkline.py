"""Series of numbers as bars."""

import math

from hypothesis import given
from hypothesis import strategies as st

from study.cli.sparkline import BARS, WIDTH, sparkline


def test_the_smallest_value_has_the_lowest_bar_and_the_largest_the_highest() -> None:
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7]) == BARS
    assert sparkline([0.5, 0.9, 0.5]) == "▁█▁"
    assert sparkline([3, 3]) == "▁▁"
    assert sparkline([1, math.nan, 2]) == "▁ █"
    assert sparkline([]) == ""


def test_a_long_series_is_averaged() -> None:
    """Two halves of 60 epochs each: 20 bars each."""
    assert sparkline([0.0] * 60 + [1.0] * 60) == "▁" * 20 + "█" * 20


@given(st.lists(st.floats(-1e9, 1e9), max_size=200))
def test_any_series_has_at_most_width_bars(values: list[float]) -> None:
    shown = sparkline(values)
    assert len(shown) == min(len(values), WIDTH)
    assert set(shown) <= set(BARS)
