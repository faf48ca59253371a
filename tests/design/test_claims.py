"""Claims as written: valid and invalid ones, and the cells that they select."""

import contextlib
import math
from decimal import Decimal

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from study.design import claims, metrics
from study.design.claim_kinds.claim_kind import Region
from study.design.claims import ClaimSpec
from study.design.comparison import ClaimError, select

FACTORS = {
    "experts by depth": ["3-4-5", "4-4-4"],
    "shared projections": ["both", "none"],
    "widths": ["narrowing", "constant"],
    "pre-training": ["none", "photos", "elsewhere"],
    "kv heads": ["6", "1"],
    "size": ["XXS", "S"],
}


def spec(**keys):
    return ClaimSpec.model_validate({"claim": "c", **keys})


def documented():
    """The claims in the module's docstring."""
    text = claims.__doc__.split("claims:\n", 1)[1].split("Each kind")[0]
    return [ClaimSpec.model_validate(claim) for claim in yaml.safe_load(text)]


def test_the_documented_claims_are_accepted_and_select_cells():
    written = documented()
    assert [claim.kind for claim in written] == [
        *("non_inferior", "greater", "equivalent", "interaction", "greater", "less")
    ]
    for claim in written:
        select(claim, FACTORS)


@pytest.mark.parametrize(
    ("keys", "region"),
    [
        ({"kind": "greater"}, Region(0.0, math.inf)),
        ({"kind": "greater", "margin": 0.125}, Region(0.125, math.inf)),
        ({"kind": "less"}, Region(-math.inf, -0.0)),
        ({"kind": "less", "margin": 0.125}, Region(-math.inf, -0.125)),
        ({"kind": "equivalent", "margin": 0.125}, Region(-0.125, 0.125)),
        ({"kind": "non_inferior", "margin": 0.125}, Region(-0.125, math.inf)),
        ({"kind": "non_inferior", "margin": 0.125, "metric": "train_seconds"}, Region(-math.inf, 0.125)),
        ({"kind": "interaction"}, Region(-0.0, 0.0, inside=False)),
        ({"kind": "interaction", "margin": 0.125}, Region(-0.125, 0.125, inside=False)),
        ({"kind": "interaction", "direction": "less"}, Region(-math.inf, -0.0)),
    ],
)
def test_region_of_each_kind(keys, region):
    cells = {"size": "S", "kv heads": 1} if keys["kind"] == "interaction" else {"size": "S"}
    assert spec(cells=cells, **keys).region == region


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"kind": "equivalent", "cells": {"size": "S"}}, "requires a margin above 0"),
        ({"kind": "non_inferior", "cells": {"size": "S"}, "margin": 0.0}, "requires a margin above 0"),
        ({"kind": "greater", "cells": {"size": "S"}, "margin": -1.0}, "must be 0 or more"),
        ({"kind": "greater", "cells": {"size": "S"}, "better": "lower"}, "'better' belongs to kind non_inferior"),
        ({"kind": "less", "cells": {"size": "S"}, "direction": "less"}, "'direction' belongs to kind interaction"),
        ({"kind": "interaction", "cells": {"size": "S"}}, "requires two factors"),
        ({"kind": "interaction", "cells": {"size": "S", "kv heads": 1}, "against": 0.9}, "not a number"),
        ({"kind": "greater"}, "'cells' names no factor"),
        ({"kind": "greater", "cells": {"size": "S"}, "where": {"size": "XXS"}}, "both name 'size'"),
        (
            {"kind": "better", "cells": {"size": "S"}},
            "invalid value .* Possible: greater, less, equivalent",
        ),
        ({"kind": "greater", "cells": {"size": "S"}, "level": "x"}, "Extra inputs"),
        ({"kind": "greater", "cells": {"size": "S"}, "against": math.inf}, "finite"),
    ],
)
def test_invalid_claims(keys, message):
    with pytest.raises(ValidationError, match=message):
        spec(**keys)


def test_against_defaults_to_the_baseline_levels():
    selection = select(spec(kind="greater", cells={"size": "S", "kv heads": 1}), FACTORS)
    assert [corner.levels for corner in selection.corners] == [
        {"size": "S", "kv heads": "1"},
        {"size": "XXS", "kv heads": "6"},
    ]


def test_a_list_may_be_one_level():
    selection = select(spec(kind="greater", cells={"experts by depth": [4, 4, 4]}), FACTORS)
    assert selection.corners[0].levels == {"experts by depth": "4-4-4"}


def test_a_list_in_where_is_several_levels():
    claim = spec(kind="greater", cells={"size": "S"}, where={"pre-training": ["photos", "elsewhere"]})
    assert select(claim, FACTORS).where == {"pre-training": {"photos", "elsewhere"}}


def test_against_a_number_other_factors_stay_at_the_baseline():
    selection = select(spec(kind="greater", cells={"size": "S"}, against=0.9), {"size": ["XXS", "S"], "bias": ["on"]})
    assert selection.where == {"bias": {"on"}}
    assert selection.constant == 0.9


def test_signs_of_an_interaction():
    selection = select(spec(kind="interaction", cells={"size": "S", "kv heads": 1}), FACTORS)
    assert [(corner.sign, *corner.levels.values()) for corner in selection.corners] == [
        *((1, "S", "1"), (-1, "XXS", "1"), (-1, "S", "6"), (1, "XXS", "6"))
    ]


@pytest.mark.parametrize(
    ("keys", "where", "message"),
    [
        ({"cells": {"sise": "S"}}, ("cells", "sise"), "unknown factor 'sise'; did you mean 'size'"),
        ({"cells": {"size": "M"}}, ("cells", "size"), "has no level 'M'; possible: XXS, S"),
        ({"cells": {"size": "S"}, "where": {"kv heads": [1, 2]}}, ("where", "kv heads"), "has no level '2'"),
        ({"cells": {"size": ["S", "XXS"]}}, ("cells", "size"), "has several levels"),
        ({"cells": {"size": "XXS"}}, ("cells", "size"), "compared with itself: the baseline has it too"),
        ({"cells": {"size": "S"}, "against": {"size": "S"}}, ("cells", "size"), "'against' names it too"),
        (
            {"cells": {"size": "S"}, "against": {"widths": "constant"}},
            ("against",),
            "names 'widths', but 'cells' names 'size'",
        ),
        (
            {"cells": {"size": "S"}, "against": {"sise": "XXS"}},
            ("against", "sise"),
            "unknown factor 'sise'; did",
        ),
        (
            {"cells": {"sise": "S"}, "against": {"size": "XXS"}},
            ("cells", "sise"),
            "unknown factor 'sise'; did",
        ),
    ],
)
def test_claims_that_do_not_match_the_study_name_the_key(keys, where, message):
    with pytest.raises(ClaimError, match=message) as caught:
        select(spec(kind="greater", **keys), FACTORS)
    assert caught.value.keys == where


def test_an_interaction_changes_both_factors():
    with pytest.raises(ClaimError, match="compared with itself"):
        select(spec(kind="interaction", cells={"size": "S", "kv heads": 6}), FACTORS)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            {"kind": "non_inferior", "margin": 0.5},
            "did you mean `0.5 points` or `50 points`\\?",
        ),
        ({"kind": "non_inferior", "margin": 1}, "did you mean `1 point` or `100 points`"),
        ({"kind": "greater", "margin": 0.21}, "did you mean `0.21 points` or `21 points`"),
        ({"kind": "non_inferior", "margin": 2.5, "metric": "val_accuracy"}, "did you mean `2.5 points`"),
        ({"kind": "greater", "margin": "2 %"}, "may mean points or a ratio; .* write `2 points`"),
        ({"kind": "greater", "margin": "0.5"}, "must be a number, or a number with a unit"),
        ({"kind": "greater", "margin": "3 s"}, "with a unit \\(points\\)"),
        ({"kind": "greater", "margin": "150 points"}, "differ by at most 100 points"),
        ({"kind": "greater", "margin": "-1 points"}, 'margin "-1 points": must be 0 or more'),
        ({"kind": "greater", "margin": -1.0}, "margin -1: must be 0 or more"),
        ({"kind": "greater", "margin": 500}, "shares from 0 to 1, so a margin is at most `100 points`"),
        ({"kind": "greater", "margin": math.inf}, "finite"),
        ({"kind": "greater", "margin": "1 %"}, "write `1 point`"),
        ({"kind": "greater", "margin": "2 points", "metric": "train_seconds"}, "with a unit \\(s, ms, min, h\\)"),
        ({"kind": "greater", "against": 90.0}, "shares from 0 to 1; did you mean `90 %`"),
        ({"kind": "greater", "against": "101 %"}, 'value "101 %": accuracies are shares from 0 to 1'),
        ({"kind": "greater", "against": "90 points"}, "write an accuracy as `90 %`"),
        ({"kind": "less", "against": "-3 s", "metric": "train_seconds"}, 'value "-3 s": must be 0 or more'),
        ({"kind": "less", "against": -3, "metric": "params"}, "value -3: must be 0 or more"),
        (
            {"kind": "non_inferior", "margin": 1.0, "metric": "train_seconds", "better": "higher"},
            "of train_seconds lower is better",
        ),
        ({"kind": "non_inferior", "margin": 0.1, "better": "lower"}, "of test_accuracy higher is better"),
    ],
)
def test_ambiguous_or_contradictory_numbers_are_refused_with_a_question(keys, message):
    with pytest.raises(ValidationError, match=message):
        spec(cells={"size": "S"}, **keys)


@pytest.mark.parametrize(
    ("keys", "margin"),
    [
        ({"margin": 0.2}, 0.2),
        ({"margin": "0.5 points"}, 0.005),
        ({"margin": "1 point"}, 0.01),
        ({"margin": "50 points"}, 0.5),
        ({"margin": 30.0, "metric": "train_seconds"}, 30.0),
        ({"margin": "3 s", "metric": "train_seconds"}, 3.0),
        ({"margin": "1.5 min", "metric": "pretrain_seconds"}, 90.0),
        ({"margin": "0.25ms", "metric": "fp32_ms"}, 0.25),
        ({"margin": "10k", "metric": "params"}, 10_000.0),
        ({"margin": "1.5 MB", "metric": "int8_bytes"}, 1_500_000.0),
        ({"margin": "1 Percentage  Point"}, 0.01),
        ({"margin": "2 pp"}, 0.02),
        ({"margin": "3 Seconds", "metric": "train_seconds"}, 3.0),
        ({"margin": "1 hour", "metric": "train_seconds"}, 3600.0),
        ({"margin": "10 K", "metric": "params"}, 10_000.0),
        ({"margin": "1 M", "metric": "macs"}, 1e6),
        ({"margin": "3 MACs", "metric": "macs"}, 3.0),
        ({"margin": "2 KB", "metric": "int8_bytes"}, 2000.0),
    ],
)
def test_a_margin_has_the_unit_of_its_metric(keys, margin):
    assert spec(kind="greater", cells={"size": "S"}, **keys).margin == margin


def test_against_may_be_a_percentage():
    assert spec(kind="greater", cells={"size": "S"}, against="70.88 %").against == 0.7088


@given(st.floats(1e-9, 1.0), st.sampled_from(["greater", "equivalent", "interaction"]))
def test_every_margin_survives_json(margin, kind):
    claim = spec(kind=kind, cells={"size": "S", "kv heads": 1}, margin=metrics.margin_in_points(margin))
    assert claim.margin == margin
    assert ClaimSpec.model_validate_json(claim.model_dump_json()) == claim


@given(st.decimals("0.0001", "9999", places=4), st.sampled_from(["s", "ms", "min", "h"]))
def test_amounts_are_exact(number, unit):
    factor = {"s": 1, "ms": Decimal("0.001"), "min": 60, "h": 3600}[unit]
    assert metrics.amount(f" {number}  {unit} ", metrics.SECONDS.factors) == float(number * factor)


@given(st.text(max_size=12))
def test_any_text_is_an_amount_or_refused(text):
    with contextlib.suppress(ValueError):
        assert math.isfinite(metrics.amount(text, metrics.SECONDS.factors))


@given(st.sampled_from(list(metrics.METRICS)), st.floats(1e-6, 0.2))
def test_not_worse_follows_from_the_metric(metric, margin):
    """Slower, larger or less accurate by more than the margin is outside the region; any improvement is inside."""
    region = spec(kind="non_inferior", cells={"size": "S"}, metric=metric, margin=margin).region
    worse = -1 if metric.endswith("accuracy") else 1
    inside = [region.low < d < region.high for d in (2 * worse * margin, worse * margin / 2, -100.0 * worse)]
    assert inside == [False, True, True]
