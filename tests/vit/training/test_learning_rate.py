"""The learning rate of every step: linear warm-up, then a cosine to zero."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from study.vit.training.learning_rate import learning_rates


def test_learning_rates_by_hand() -> None:
    assert learning_rates(2.0, 6, 2) == pytest.approx([1.0, 2.0, 2.0, 1.7071068, 1.0, 0.2928932])


def test_without_warm_up_the_first_step_is_at_the_peak_and_the_middle_at_half() -> None:
    assert learning_rates(1.0, 4, 0) == pytest.approx([1.0, 0.8535534, 0.5, 0.1464466])


def test_all_steps_may_warm_up() -> None:
    assert learning_rates(1.0, 4, 4) == [0.25, 0.5, 0.75, 1.0]


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 200), st.data())
def test_rates_rise_to_the_peak_then_fall_and_stay_above_zero(steps: int, data: st.DataObject) -> None:
    warmup = data.draw(st.integers(0, steps))
    rates = learning_rates(0.1, steps, warmup)
    assert len(rates) == steps
    assert max(rates) == pytest.approx(0.1)
    assert min(rates) > 0
    assert rates[:warmup] == sorted(rates[:warmup])
    assert rates[warmup:] == sorted(rates[warmup:], reverse=True)
