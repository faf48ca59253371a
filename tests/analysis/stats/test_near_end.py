"""Claims against a number near the end of the scale are not tested; by hand, and in verdicts."""

import numpy as np
import pytest

from study.analysis.stats.near_end import near_end
from study.analysis.stats.verdict_rule import judge
from study.design.claims import ClaimSpec
from tests.analysis.stats.test_verdict_rule import rows

FACTORS = {"x": ["0", "1"]}
NEAR = [0.99, 1.0, 1.0, 0.98, 1.0]  # mean 0.994, standard deviation 0.009
FAR = [0.80, 0.81, 0.79, 0.80, 0.82]


def verdict(values, **keys):
    claim = ClaimSpec.model_validate(
        {"claim": "c", "metric": "test_accuracy", "kind": "greater", "cells": {"x": "1"}, **keys}
    )
    data = rows({("0",): FAR, ("1",): values}, FACTORS).rename(columns={"value": "test_accuracy"})
    return judge([claim], data, FACTORS)[0]


@pytest.mark.parametrize(
    ("values", "near"),
    [(NEAR, True), (FAR, False), ([1 - x for x in NEAR], True), ([1.0] * 3, False), ([0.999], False)],
)
def test_a_quarter_of_the_distance(values, near):
    assert near_end(np.array([values]))[0] == near


def test_a_claim_against_a_number_is_undecided_near_the_end():
    found = verdict(NEAR, against=0.9)
    assert (found.verdict, np.isnan(found.p_adjusted)) == ("undecided", True)
    assert found.note.startswith("the mean is too close to the end of the scale")


def test_elsewhere_it_is_decided():
    assert verdict(FAR, against=0.7).verdict == "supported"


def test_a_difference_of_two_cells_is_decided():
    assert verdict(NEAR, against={"x": "0"}).verdict == "supported"
