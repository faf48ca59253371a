"""Claims on sizes and exported models: judged by arithmetic, outside the family that p-values are adjusted for."""

import math
from pathlib import Path
from typing import Any

import pytest
from helpers.looks import collect
from helpers.report_samples import KV_HEADS, PRETRAINING, analysed, fill, make_study
from hypothesis import given
from hypothesis import strategies as st

from study.analysis.stats.exact_rule import Measured, judge
from study.design.claims import ClaimSpec
from study.design.stages import stages_of
from study.design.study import Study, expand
from study.report import Analysis, analyse, sections
from study.report.summary import answers
from study.report.tables import TABLES
from study.store import exported_models
from study.store.exported_models import Measurement
from study.store.results import Store
from study.vit.subject import Form

SMALLER: dict[str, Any] = {"claim": "smaller", "kind": "less", "cells": {"kv heads": 1}, "metric": "params"}
FASTER: dict[str, Any] = {"claim": "faster", "kind": "less", "cells": {"kv heads": 1}, "metric": "fp32_ms"}
BETTER: dict[str, Any] = {"claim": "better", "kind": "greater", "cells": {"kv heads": 1}}
FACTORS = {"size": ["S", "M"]}
CELLS = {("S",): "baseline", ("M",): "size=M"}


def export(study: Study, store: Store, milliseconds: dict[str, float], processors: dict[str, str]) -> None:
    """Measurements of the first replicate of these cells."""
    for trial in expand(study):
        if trial.replicate == 1 and trial.cell.name in milliseconds:
            form = Form(1_000_000, milliseconds[trial.cell.name], 0.9)
            provenance = {"device": processors.get(trial.cell.name, "a processor")}
            exported_models.write(store, stages_of(trial)[-1], Measurement(form, form, 0.01, provenance))


def test_a_size_is_judged_by_its_exact_difference(tmp_path: Path) -> None:
    """One kv head less in each of 6 blocks: 48 x 30 x 6 = 8,640 parameters fewer than 51,840."""
    at_the_end = SMALLER | {"claim": "at the end", "margin": 8640}
    beyond = SMALLER | {"claim": "beyond", "margin": "8.639k"}
    claims = [BETTER, SMALLER, at_the_end, beyond]
    analysis = analysed(make_study(tmp_path, KV_HEADS, claims=claims), tmp_path / "store")
    alone = analysed(make_study(tmp_path, KV_HEADS, claims=[BETTER]), tmp_path / "store")
    rows = analysis.verdicts
    assert rows["verdict"].tolist()[1:] == ["supported", "refuted", "supported"]
    assert rows["estimate"].tolist()[1:] == [-8640.0] * 3
    assert rows["p_value"].isna().tolist()[1:] == [True] * 3
    assert rows["cells"].tolist()[1] == "kv heads=1 against baseline"
    compared = ["estimate", "low", "high", "n", "note"]
    assert rows.loc[0, compared].tolist() == alone.verdicts.loc[0, compared].tolist()  # the note has a share of alpha
    assert set(analysis.claim_runs["number"]) == {1}
    sentence = str(next(answer for answer in answers(analysis) if "smaller" in str(answer)))
    assert sentence.endswith(
        "supported; the difference is \N{MINUS SIGN}8,640 parameters (exact), and the claim holds if it is below 0 "
        "parameters."
    )
    caption = TABLES["claims"].table(analysis).caption
    assert "adjusted for all claims that have one; the others are judged by the difference itself" in caption


def test_the_method_of_exact_claims_alone_has_no_interval(tmp_path: Path) -> None:
    analysis = analysed(make_study(tmp_path, KV_HEADS, claims=[SMALLER]), tmp_path / "store")
    (text,) = sections._claims(analysis)
    for sentence in (text.source, *(TABLES[name].table(analysis).caption for name in ("claims", "claims_paper"))):
        assert "judged by the difference itself, without interval" in sentence
        assert "adjusted" not in sentence
        assert "claim_runs" not in sentence


def latencies(folder: Path, milliseconds: dict[str, float], **processors: str) -> Analysis:
    study = make_study(folder, KV_HEADS, claims=[FASTER])
    store = fill(study, folder / "store")
    export(study, store, milliseconds, processors)
    return analyse(collect(study, store))


@pytest.mark.parametrize(
    ("milliseconds", "processors", "verdict", "note"),
    [
        ({}, {}, "undecided", "not exported yet: kv heads=1; baseline"),
        ({"baseline": 2.0}, {}, "undecided", "not exported yet: kv heads=1"),
        ({"baseline": 2.0, "kv heads=1": 1.5}, {}, "supported", "one measurement per cell, on a processor"),
        ({"baseline": 2.0, "kv heads=1": 2.5}, {}, "refuted", "one measurement per cell, on a processor"),
        (
            {"baseline": 2.0, "kv heads=1": 1.5},
            {"baseline": "another"},
            "undecided",
            "measured on different processors: a processor; another",
        ),
    ],
)
def test_a_latency_is_undecided_until_both_sides_are_measured_on_one_processor(
    tmp_path: Path, milliseconds: dict[str, float], processors: dict[str, str], verdict: str, note: str
) -> None:
    row = latencies(tmp_path, milliseconds, **processors).verdicts.iloc[0]
    assert (row["verdict"], row["note"]) == (verdict, note)


def test_a_size_is_averaged_over_all_matched_sets_or_undecided(tmp_path: Path) -> None:
    claim = SMALLER | {"claim": "c", "where": {"pre-training": "digits"}}
    study = make_study(tmp_path, {**KV_HEADS, **PRETRAINING}, design="factorial", claims=[SMALLER, claim])
    assert analysed(study, tmp_path / "store").verdicts["sets"].tolist() == [3, 1]
    unfinished = analyse(collect(study, Store(tmp_path / "empty")))
    assert unfinished.verdicts["note"].str.startswith("no result yet of: kv heads=1").all()


@given(
    st.sampled_from(["greater", "less", "equivalent", "non_inferior"]),
    st.integers(1, 1000),
    st.integers(-2000, 2000),
)
def test_the_verdict_is_membership_in_the_region(kind: str, margin: int, difference: int) -> None:
    """Of parameters fewer are better. At an end of the region the claim does not hold."""
    keys = {"claim": "c", "kind": kind, "cells": {"size": "M"}, "margin": margin, "metric": "params"}
    values = {("S",): Measured(5000.0), ("M",): Measured(5000.0 + difference)}
    verdict, _ = judge(ClaimSpec.model_validate(keys), CELLS, values, FACTORS)
    holds = {
        "greater": difference > margin,
        "less": difference < -margin,
        "equivalent": abs(difference) < margin,
        "non_inferior": difference < margin,
    }[kind]
    assert verdict.verdict == ("supported" if holds else "refuted")
    assert math.isnan(verdict.p_value)
