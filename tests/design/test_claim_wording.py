"""Claims as they are announced: the sentence, and the verdict that follows from it."""

import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.report_samples import KV_HEADS, PRETRAINING, make_study
from hypothesis import given
from hypothesis import strategies as st

from study.analysis.stats.verdict_rule import judge
from study.design import claim_wording
from study.design.claim_kinds import CLAIM_KINDS
from study.design.claim_kinds.claim_kind import Region
from study.design.claims import Adaptive, ClaimSpec
from study.design.metrics import METRICS, POINTS, metric_of

FACTORS = {"size": ["S", "M"], "bias": ["on", "off"]}
CELLS = {(size, bias): f"size={size}, bias={bias}" for size in ("S", "M") for bias in ("on", "off")}
NUMBER = r"[+\N{MINUS SIGN}]?[\d,.]+"


def spec(**keys: object) -> ClaimSpec:
    return ClaimSpec.model_validate({"claim": "c", "cells": {"size": "M"}} | keys)


def echoed(claim: ClaimSpec) -> str:
    return claim_wording.echo(claim, FACTORS, CELLS, None)


def holds(sentence: str, difference: float) -> bool:
    """Whether the echoed condition is true of a difference in the echoed unit; read from the sentence alone."""
    condition = sentence.split("holds if the difference is ")[1].split(" (")[0]
    ends = [float(found.replace(",", "").replace("\N{MINUS SIGN}", "-")) for found in re.findall(NUMBER, condition)]
    if condition.startswith("between"):
        return ends[0] < difference < ends[1]
    if condition.startswith("not 0"):
        return difference != 0
    if " or above " in condition:
        return difference < ends[0] or difference > ends[1]
    return difference > ends[0] if condition.startswith("above") else difference < ends[0]


@given(
    st.sampled_from(list(CLAIM_KINDS)),
    st.sampled_from([name for name, metric in METRICS.items() if metric.by_replicate]),
    st.floats(1e-3, 0.2),
    st.sampled_from(["either", "greater", "less"]),
    st.floats(-0.5, 0.5),
)
def test_the_sentence_and_the_verdict_agree(
    kind: str, metric: str, margin: float, sign: str, difference: float
) -> None:
    """A difference of known size, with almost no spread, is supported exactly where the echoed sentence holds."""
    keys = {"direction": sign, "cells": {"size": "M", "bias": "off"}} if kind == "interaction" else {}
    claim = spec(kind=kind, metric=metric, margin=margin, **keys)
    cells = [(*labels, replicate) for labels in CELLS for replicate in range(1, 9)]
    data = pd.DataFrame(cells, columns=["size", "bias", "replicate"])
    compared = (data["size"] == "M") & ((data["bias"] == "off") | (kind != "interaction"))
    noise = np.tile(np.linspace(-1e-6, 1e-6, 8), 4)
    data[metric] = 0.5 + np.where(compared, difference + noise, 0.0)
    if min(abs(abs(difference) - margin), abs(difference)) < 1e-4:
        return  # at an end of the region
    expected = "supported" if holds(echoed(claim), difference * metric_of(metric).unit.scale) else "refuted"
    assert judge([claim], data, FACTORS)[0].verdict == expected


@given(st.floats(1e-12, 1.0))
def test_ends_of_a_region_are_never_rounded(margin: float) -> None:
    written = claim_wording.region(Region(-margin, math.inf), POINTS)
    number = re.search(NUMBER, written)
    assert number
    assert float(number[0].replace("\N{MINUS SIGN}", "-")) == pytest.approx(-100 * margin, rel=1e-14)


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        (
            {"kind": "non_inferior", "margin": 0.01},
            "holds if the difference is above \N{MINUS SIGN}1.00 points (two-sided 95 % interval, within replicates)",
        ),
        ({"kind": "equivalent", "margin": "0.5 points"}, "is between \N{MINUS SIGN}0.50 and +0.50 points ("),
        (
            {"kind": "greater", "against": "90 %", "margin": 0.02},
            "against 90.00 %; holds if the difference is above",
        ),
        ({"kind": "non_inferior", "margin": "3 s", "metric": "train_seconds"}, "is below +3.00 s ("),
        (
            {"kind": "less", "margin": "10k", "metric": "params"},
            "below \N{MINUS SIGN}10,000 parameters (exact, no",
        ),
        ({"kind": "less", "metric": "int8_ms"}, "below 0.00 ms (one measurement per cell, no interval)"),
        ({"kind": "greater", "margin": "0.001 points"}, "above +0.001 points"),
        ({"kind": "less", "metric": "macs", "against": "1 M"}, "against 1,000,000 multiply-adds; holds"),
    ],
)
def test_sentences(keys: dict[str, object], sentence: str) -> None:
    assert sentence in echoed(spec(**keys))


def test_the_sentence_names_levels_and_cells() -> None:
    assert echoed(spec(kind="greater", where={"bias": "off"})).startswith(
        "test_accuracy of size=M (size=M, bias=off) against size=S (size=S, bias=off);"
    )
    assert "size=M (size=M, bias=on; size=M, bias=off) against" in echoed(spec(kind="greater"))


def test_looks_are_announced() -> None:
    rule = Adaptive(min=3, max=10, until="claims")
    assert "intervals that spend 5 % over all looks" in claim_wording.echo(spec(kind="greater"), FACTORS, CELLS, rule)


def test_the_baseline_is_named_with_its_level(tmp_path: Path) -> None:
    claim = {"claim": "two are enough", "kind": "non_inferior", "cells": {"kv heads": 2}, "against": {"kv heads": 4},
             "margin": 0.01}  # fmt: skip
    study = make_study(tmp_path, {**KV_HEADS, **PRETRAINING}, claims=[claim])
    cells = {tuple(cell.labels.values()): cell.name for cell in study.included}
    factors = {factor.name: [level.label for level in factor.levels] for factor in study.factors}
    sentence = claim_wording.echo(study.grid.claims[0], factors, cells, None)
    assert sentence.startswith("test_accuracy of kv heads=2 (baseline) against kv heads=4;")
