"""Resources of one trial: positive numbers of cores, any share of a GPU."""

import math

import pytest
from pydantic import ValidationError

from study.design.resources import Resources


def test_defaults_and_shares() -> None:
    assert (Resources().cpu, Resources().gpu) == (1.0, None)
    assert Resources(cpu=0.5, gpu=0).gpu == 0


def test_gpus_are_a_fraction_or_whole() -> None:
    assert [Resources(gpu=gpus).gpu for gpus in (0.25, 1, 2.0)] == [0.25, 1, 2]


@pytest.mark.parametrize(
    ("field", "invalid"),
    [("gpu", 1.5), ("cpu", 0), ("cpu", math.nan), ("gpu", -1), ("gpu", True), ("cpu", None), ("cpus", 1)],
)
def test_invalid_values_name_their_field(field: str, invalid: object) -> None:
    with pytest.raises(ValidationError) as caught:
        Resources.model_validate({field: invalid})
    assert caught.value.errors()[0]["loc"] == (field,)
