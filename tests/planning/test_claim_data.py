"""Claims that compare a test accuracy with a number: plan, looks and report use the stored predictions alike."""

import math
from pathlib import Path

import numpy as np
import pytest
from helpers.looks import collect, make_plan, requested_trials

from study.analysis.stats.items import Crossed
from study.cli.look_lines import lines
from study.cli.plan import as_json, claim_line
from study.design.stages import stages_of
from study.design.study import Study, Trial, expand, load
from study.execution.run_stage import run_stage
from study.planning.claim_power import claim_powers
from study.planning.record_looks import record_failures
from study.planning.state import StudyState
from study.report import analyse, build
from study.store.predictions import Predictions
from study.store.results import Result, Store

GRID = """\
study: ceiling
question: Is it above a published number?
baseline:
  encoder: {image_size: 8, patch_size: 4, channels: 1, width: 16, depth: 1, num_heads: 2, num_kv_heads: 2,
            experts_by_depth: [1], top_k: 1, ffn_width_first: 16, ffn_width_last: 16}
  finetune: {dataset: digits, epochs: 1, train_images: 100, batch_size: 20}
factors:
  kv heads: {path: encoder.num_kv_heads, levels: [1]}
claims:
  - {claim: above, kind: greater, cells: {kv heads: 1}, against: NUMBER}
  - {claim: as good, kind: equivalent, cells: {kv heads: 1}, margin: 1e-5}
replicates: {min: 3, max: 6, until: claims}
"""


def study(folder: Path, number: float = 0.9, text: str = GRID) -> Study:
    (folder / "grid.yaml").write_text(text.replace("NUMBER", f"{number}"))
    return load(folder / "grid.yaml")


def put(store: Store, trial: Trial, images: int = 451, digest: str = "ab", predicted: bool = True) -> None:
    """Two images are always wrong, and 0, 3 or 1 others by replicate."""
    right = np.ones(images, dtype=bool)
    right[: 2 + (0, 3, 1)[trial.replicate % 3]] = False
    made = Predictions((~right).astype(np.uint8), np.zeros(images, np.uint8), digest) if predicted else None
    metrics = {"test_accuracy": float(right.mean()), "train_seconds": 1.0}
    store.save(stages_of(trial)[-1], Result(metrics, {}, [], []), b"", {}, made)


def test_a_claim_near_100_percent_is_decided_at_the_first_look(tmp_path: Path) -> None:
    """The other claim goes on to six replicates. Plan and report agree, also about a report that is read again."""
    made, store = study(tmp_path), Store(tmp_path / "store")
    while missing := [one for one in requested_trials(made, store) if not store.has(stages_of(one)[-1])]:
        put(store, missing[0])
    analysis = analyse(collect(made, store))
    assert analysis.verdicts["verdict"].tolist() == ["supported", "undecided"]
    assert analysis.verdicts["looked"].tolist() == [3, 6]
    assert analysis.verdicts["error"].iloc[0] == "replicates and images"
    powers = claim_powers(StudyState.look(made, store))
    assert [power.verdict for power in powers] == ["supported", "undecided"]
    build(collect(made, store), tmp_path / "report")
    row = (tmp_path / "report" / "claims.csv").read_text().splitlines()[1]
    assert ",supported," in row
    assert ",replicates and images," in row


def test_without_predictions_it_goes_on_to_the_last_look(tmp_path: Path) -> None:
    made, store = study(tmp_path), Store(tmp_path / "store")
    while missing := [one for one in requested_trials(made, store) if not store.has(stages_of(one)[-1])]:
        put(store, missing[0], predicted=missing[0].replicate != 2)
    row = analyse(collect(made, store)).verdicts.iloc[0]
    assert (row["verdict"], row["looked"], row["error"]) == ("undecided", 6, "replicates")
    assert row["note"].startswith("the mean is too close")
    assert claim_powers(StudyState.look(made, store))[0].verdict == "undecided"


def test_damaged_predictions_count_as_missing_in_both(tmp_path: Path) -> None:
    made, store = study(tmp_path), Store(tmp_path / "store")
    for trial in expand(made):
        put(store, trial)
    last = stages_of(expand(made)[1])[-1]
    (damaged,) = (one for one in (tmp_path / "store").rglob("predictions.npz") if last.key in str(one))
    damaged.write_bytes(b"")
    store = Store(tmp_path / "store")
    errors = analyse(collect(made, store)).verdicts["error"]
    assert "replicates and images" not in set(errors)
    data = claim_powers(StudyState.look(made, store))
    assert data[0].freedom is not None
    assert data[0].freedom.crossed is None


def test_a_look_is_the_same_after_a_failed_trial_was_retried(tmp_path: Path) -> None:
    made, store = study(tmp_path, text=GRID.replace("question", "failures: worst\nquestion")), Store(tmp_path / "store")
    first = [one for one in requested_trials(made, store) if one.replicate <= 3]
    retried = next(one for one in first if one.cell.changed and one.replicate == 2)
    for trial in first:
        if trial is not retried:
            put(store, trial)
    store.record_failure(stages_of(retried)[-1], "NonFiniteLoss: the loss became NaN")
    record_failures(StudyState.look(made, store))
    put(store, retried)
    look = analyse(collect(made, store)).looks[1]
    assert (look.replicates, look.verdicts[0].error, look.verdicts[0].verdict) == (3, "replicates", "undecided")


def test_plan_states_what_replicates_and_images_can_decide(tmp_path: Path) -> None:
    """At six replicates: the images' part of the error stays, that of the replicates shrinks."""
    made, store = study(tmp_path, 0.985), Store(tmp_path / "store")
    for trial in expand(made)[:6]:
        put(store, trial)
    plan = make_plan(made, store)
    power = plan.claims[0]
    assert power.freedom is not None
    assert power.spread is not None
    crossed = power.freedom.crossed
    assert isinstance(crossed, Crossed)
    error = crossed.at(6, 451).error
    line = claim_line(power)
    assert f"error over replicates and 451 test images, standard error {100 * error:.2f} points" in line or (
        "80% power with 6 replicates (error over replicates and 451 test images)" in line
        and f"the standard error is {100 * error:.2f} points" in line
    )
    assert crossed.error > error > crossed.at(10_000, 451).error > crossed.at(10_000, 4_510).error
    shown = next(one for one in lines(plan) if one.startswith("claim 1: distance from the margin"))
    assert "error over replicates and 451 test images" in shown
    assert as_json(plan)["claims"][0]["sd"] == power.spread.sd


def test_the_components_of_the_error_by_hand() -> None:
    """A = e + N r, B = e + R i: R = 4, N = 100, e = 1, r = 0.02 and i = 0.5, then 8 replicates and 300 images."""
    found = Crossed(4, 100, 1 + 100 * 0.02, 1 + 4 * 0.5, 1.0)
    assert found.error == pytest.approx(math.sqrt(0.02 / 4 + 0.5 / 100 + 1 / 400))
    assert found.at(8, 300).error == pytest.approx(math.sqrt(0.02 / 8 + 0.5 / 300 + 1 / 2400))
    assert found.at(4, 100) == found


def test_a_real_run_has_what_the_looks_need(tmp_path: Path) -> None:
    """Training on digits: an untrained model is below 50 %, by the predictions of three real replicates."""
    text = GRID.replace("greater", "less").replace("  - {claim: as good, kind: equivalent, cells: {kv heads: 1}, ", "#")
    made, store = study(tmp_path, 0.9, text), Store(tmp_path / "store")
    while missing := make_plan(made, store).missing:
        for stage in missing:
            run_stage(stage, store, "cpu", lambda row: None)
    row = analyse(collect(made, store)).verdicts.iloc[0]
    assert (row["verdict"], row["looked"], row["error"]) == ("supported", 3, "replicates and images")
