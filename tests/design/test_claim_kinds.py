"""Every claim kind in the one table: region, sentence, validation, comparison and round trips."""

import json
import math

import jsonschema
import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from study.analysis.stats.verdict_rule import judge
from study.design import json_schema
from study.design.claim_kinds import CLAIM_KINDS
from study.design.claim_kinds.claim_kind import ClaimKind, Region
from study.design.claims import ClaimSpec
from study.design.comparison import select

FACTORS = {"size": ["S", "M"], "bias": ["on", "off"]}
MARGIN = 0.5


@pytest.fixture(params=CLAIM_KINDS.values(), ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> ClaimKind:
    return request.param


def spec(kind: ClaimKind, **keys: object) -> ClaimSpec:
    """A claim about both factors, which is valid for every kind."""
    levels = {"size": "M", "bias": "off"}
    return ClaimSpec.model_validate(
        {"claim": "c", "kind": kind.name, "cells": levels, "margin": MARGIN, "metric": "value"} | keys
    )


def verdict(claim: ClaimSpec, difference: float) -> str:
    """The verdict on 20 replicates of all cells, whose difference has this mean and a small spread."""
    noise = np.random.default_rng(0).normal(0, 0.01, 20)
    corners = select(claim, FACTORS).corners
    rows = [
        {**corner.levels, "replicate": replicate, "value": difference + float(noise[replicate - 1]) if i == 0 else 0.0}
        for i, corner in enumerate(corners)
        for replicate in range(1, 21)
    ]
    return judge([claim], pd.DataFrame(rows), FACTORS)[0].verdict


def differences() -> list[float]:
    """Differences on either side of 0 and of the margin."""
    return [-2 * MARGIN, -MARGIN / 2, MARGIN / 2, 2 * MARGIN]


def contains(region: Region, difference: float) -> bool:
    return (region.low < difference < region.high) is region.inside


def test_it_is_registered_by_its_name(kind: ClaimKind) -> None:
    assert CLAIM_KINDS[kind.name] is kind


def test_its_sentence_is_one_line_of_the_schema(kind: ClaimKind) -> None:
    description = json_schema.grid_schema()["$defs"]["ClaimSpec"]["properties"]["kind"]["description"]
    assert kind.holds
    assert kind.holds == " ".join(kind.holds.split())
    assert f"{kind.name}: {kind.holds}" in description


def test_its_region_separates_some_differences_from_others(kind: ClaimKind) -> None:
    region = spec(kind).region
    assert region.low < region.high
    assert math.isfinite(region.low) or math.isfinite(region.high)
    assert {contains(region, difference) for difference in differences()} == {True, False}


@pytest.mark.parametrize("difference", differences())
def test_a_clear_difference_is_supported_within_its_region_and_refuted_outside(
    kind: ClaimKind, difference: float
) -> None:
    claim = spec(kind)
    assert verdict(claim, difference) == ("supported" if contains(claim.region, difference) else "refuted")


def test_its_signs_cancel(kind: ClaimKind) -> None:
    """A shift of all cells changes no difference; the first corner is the cell that the claim is about."""
    corners = select(spec(kind), FACTORS).corners
    assert sum(corner.sign for corner in corners) == 0
    assert (corners[0].sign, corners[0].levels) == (1, {"size": "M", "bias": "off"})
    assert len({tuple(corner.levels.items()) for corner in corners}) == len(corners)


def test_a_required_margin_is_enforced(kind: ClaimKind) -> None:
    if not kind.needs_margin:
        assert spec(kind, margin=None).region == spec(kind, margin=0.0).region
        return
    for margin in (None, 0.0):
        with pytest.raises(ValidationError, match=f"kind {kind.name} requires a margin above 0"):
            spec(kind, margin=margin)


@pytest.mark.parametrize(("key", "value"), [("better", "lower"), ("direction", "less")])
def test_it_accepts_its_own_keys_only(kind: ClaimKind, key: str, value: str) -> None:
    if key in kind.keys:
        assert spec(kind, **{key: value}).region != spec(kind).region
        return
    with pytest.raises(ValidationError, match=f"'{key}' belongs to kind "):
        spec(kind, **{key: value})


def test_it_survives_json(kind: ClaimKind) -> None:
    claim = spec(kind)
    assert ClaimSpec.model_validate_json(claim.model_dump_json()) == claim


def test_the_schema_accepts_it(kind: ClaimKind) -> None:
    schema = json_schema.grid_schema()
    check = jsonschema.Draft202012Validator({**schema["$defs"]["ClaimSpec"], "$defs": schema["$defs"]})
    check.validate(json.loads(spec(kind).model_dump_json(exclude_none=True)))
    with pytest.raises(jsonschema.ValidationError, match="is not one of"):
        check.validate({"claim": "c", "kind": f"{kind.name}?"})


def test_a_new_kind_is_one_object_and_one_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is validated, judged and listed in the schema and in error messages, without any other change."""
    new = ClaimKind("much_greater", "d > 10 * margin", lambda claim: Region(10 * (claim.margin or 0.0), math.inf))
    with pytest.raises(ValidationError, match="invalid value"):
        spec(new)
    monkeypatch.setitem(CLAIM_KINDS, new.name, new)
    claim = spec(new)
    assert [verdict(claim, difference) for difference in (4.0, 6.0)] == ["refuted", "supported"]
    assert new.name in json_schema.grid_schema()["$defs"]["ClaimSpec"]["properties"]["kind"]["enum"]
    with pytest.raises(ValidationError, match=f"possible: .*, {new.name}"):
        ClaimSpec.model_validate({"claim": "c", "kind": "zzz", "cells": {"size": "M"}})
