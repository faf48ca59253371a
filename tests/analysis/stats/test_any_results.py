"""Whatever results a study has, the entry points that the report uses return tables with nan and reasons."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from study.analysis.findings import findings
from study.analysis.stats.bootstrap import bootstrap_intervals
from study.analysis.stats.effects import estimate
from study.analysis.stats.intervals import interval, paired_difference
from study.analysis.stats.sequential import looks
from study.analysis.stats.verdict_rule import judge
from study.design.claims import ClaimSpec

VALUES = st.one_of(
    st.sampled_from([0.0, 0.3, 0.1 + 0.2, 0.5, 0.5 + 1e-9, 1.0]),  # equal, equal up to rounding, and at the bounds
    st.integers(0, 360).map(lambda count: count / 360),
    st.floats(0, 1),
    st.floats(0, 1e5),  # seconds
)


@st.composite
def studies(draw):
    """Factors, and a row per trial of any subset of their cells: done, failed or missing."""
    factors = {
        name: [f"{name}{i}" for i in range(count)]
        for name, count in zip("abc", draw(st.lists(st.integers(2, 3), min_size=1, max_size=3)), strict=False)
    }
    cells = draw(st.sets(st.sampled_from(list(itertools.product(*factors.values())))))
    replicates, rows = draw(st.integers(0, 4)), []
    pool = draw(st.lists(VALUES, min_size=1, max_size=5))
    for cell, replicate in itertools.product(sorted(cells), range(1, replicates + 1)):
        status = draw(st.sampled_from(["done", "done", "done", "failed", "missing"]))
        value = draw(st.sampled_from([*pool, math.nan])) if status == "done" else math.nan
        rows.append({**dict(zip(factors, cell, strict=True)), "replicate": replicate, "status": status, "value": value})
    return factors, pd.DataFrame(rows, columns=[*factors, "replicate", "status", "value"])


def claims(factors):
    first, *others = factors
    at = {first: factors[first][1]}
    kinds = [
        {"kind": "greater", "cells": at},
        {"kind": "less", "cells": at, "against": 0.5},
        {"kind": "equivalent", "cells": at, "margin": 0.01},
        {"kind": "non_inferior", "cells": at, "margin": 1e-6},
        *({"kind": "interaction", "cells": {**at, other: factors[other][1]}} for other in others),
    ]
    return [ClaimSpec.model_validate({"claim": "c", "metric": "value", **keys}) for keys in kinds]


def by_cell(data, factors):
    finished = data.dropna(subset="value")
    return [dict(zip(own["replicate"], own["value"], strict=True)) for _, own in finished.groupby(list(factors))]


@given(studies(), st.booleans())
@settings(deadline=None, max_examples=60)
def test_effects(study, paired):
    factors, data = study
    found = estimate(data, factors, paired=paired)
    assert found.anova.empty == data["value"].isna().all()
    tested = found.anova[found.anova["kind"].isin(["main", "interaction"])]
    assert (tested.loc[tested["ss"].isna(), "note"] != "").all()
    for p_values in (found.anova["p_value"], found.effects["p_value"], found.effects["p_adjusted"]):
        assert p_values.dropna().between(0, 1).all()


@given(studies())
@settings(deadline=None, max_examples=60)
def test_verdicts(study):
    factors, data = study
    for found in (judge(claims(factors), data, factors), looks(claims(factors), data, factors, 2, 4)[-1].verdicts):
        assert len(found) == len(claims(factors))
        for verdict in found:
            assert (verdict.verdict == "undecided") == (not verdict.p_adjusted <= 0.05)
            assert verdict.note or verdict.verdict != "undecided"
            assert not verdict.p_adjusted > 1


@given(studies())
@settings(deadline=None, max_examples=60)
def test_intervals_and_findings(study):
    factors, data = study
    cells = by_cell(data, factors)
    for values, ends in zip(cells, bootstrap_intervals([[*own.values()] for own in cells], resamples=99), strict=True):
        mean = interval(values.values())
        assert mean.n == len(values)
        assert math.isnan(mean.low) == (mean.n < 2)
        assert math.isnan(ends[0]) == math.isnan(ends[1])
        assert mean.n < 3 or ends[0] <= ends[1] or math.isnan(ends[0])
    differences = [paired_difference(values, cells[0]) for values in cells[1:]]
    rows = pd.DataFrame(
        [(found.n, found.mean, found.low, found.high, found.sd, found.p_value) for found in differences],
        columns=["n", "difference", "low", "high", "sd", "p_adjusted"],
    )
    assert all(findings(rows, 0.005))


@pytest.mark.parametrize("values", [[0.0, 0.0, 1e-300], [1e150, -1e150, 3.0], [0.5, 0.5, 0.5 + 1e-8]])
def test_bootstrap_of_extreme_values_does_not_warn(values):
    low, high = bootstrap_intervals([values], resamples=99)[0]
    assert math.isnan(low) or low <= np.mean(values) <= high
