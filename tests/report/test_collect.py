"""From the store to tables: statuses and their reasons, columns, provenance."""

import subprocess
import sys
from pathlib import Path

import numpy as np
from helpers.distinct_stages import unique_stages
from helpers.looks import collect
from helpers.report_samples import (
    BASELINE,
    COMMITS,
    KV_HEADS,
    PRETRAINING,
    SCRIPT,
    fill,
    made_up,
    make_study,
    put,
    ramp,
)

from study.design.factors import RESULT_COLUMNS
from study.design.stages import stages_of
from study.design.study import Study, expand
from study.report import Results
from study.store.predictions import Predictions
from study.store.results import Store


def statuses(results: Results) -> list[str]:
    return results.trials["status"].tolist()


def test_a_row_per_trial_in_order_of_cells_with_result_columns_and_factors(study: Study, tmp_path: Path) -> None:
    trials = collect(study, fill(study, tmp_path / "store")).trials
    assert list(trials.columns) == [*RESULT_COLUMNS, "kv heads", "pre-training"]
    assert trials["cell"].tolist() == [cell.name for cell in study.cells for _ in range(3)]
    assert trials["replicate"].tolist() == [1, 2, 3] * 5
    assert trials["kv heads"].tolist() == ["2"] * 3 + ["1"] * 3 + ["4"] * 3 + ["2"] * 6
    assert set(trials["status"]) == {"done"}


def test_a_done_trial_has_its_metrics_facts_keys_and_run(study: Study, tmp_path: Path) -> None:
    store = fill(study, tmp_path / "store")
    first = expand(study)[0]
    pretraining, finetuning = stages_of(first)
    row = collect(study, store, {finetuning.key: "run-1"}).trials.iloc[0]
    assert (row["key"], row["pretrain_key"], row["run_id"]) == (finetuning.key, pretraining.key, "run-1")
    assert (row["test_accuracy"], row["val_accuracy"]) == (ramp(first), ramp(first) - 0.01)
    assert (row["params"], row["train_seconds"], row["pretrain_seconds"]) == (51_840, 12.5, 12.5)
    assert (row["seed"], row["device"], row["commit"]) == (first.seed, "a processor", COMMITS[0])


def test_a_failed_stage_gives_the_first_line_of_its_error(study: Study, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    store.record_failure(stages_of(expand(study)[0])[-1], "\nValueError: wrong\n  File ...\n")
    row = collect(study, store).trials.iloc[0]
    assert (row["status"], row["reason"]) == ("failed", "ValueError: wrong")


def test_a_failed_pretraining_fails_the_trial_that_waits_for_it(study: Study, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    store.record_failure(stages_of(expand(study)[0])[0], "out of memory")
    row = collect(study, store).trials.iloc[0]
    assert (row["status"], row["reason"]) == ("failed", "pre-training failed: out of memory")


def test_a_failed_trial_has_the_time_and_place_of_its_failure(study: Study, tmp_path: Path) -> None:
    """Of its pre-training, where that failed."""
    store, (first, second, *_) = Store(tmp_path / "store"), expand(study)
    place = {"started": "2026-01-02T03:04:05+00:00", "finished": "2026-01-02T03:05:06+00:00", "host": "node-1"}
    store.record_failure(stages_of(first)[0], "out of memory", {**place, "gpu": "3 GPU-1f", "code": "0" * 64})
    store.record_failure(stages_of(first)[-1], "its pre-training failed", {"finished": place["finished"]})
    store.record_failure(stages_of(second)[-1], "its worker died")
    trials = collect(study, store).trials
    columns = ["started", "finished", "host", "gpu", "code"]
    assert trials.iloc[0][columns].tolist() == [*place.values(), "3 GPU-1f", "0" * 12]
    assert trials.iloc[1][columns].tolist() == [""] * 5


def test_a_done_trial_has_its_time_and_place(study: Study, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    put(store, expand(study)[0], 0.9, host="node-1", gpu="3 GPU-1f")
    row = collect(study, store).trials.iloc[0]
    assert (row["started"], row["finished"]) == ("2026-01-02T03:04:05+00:00", "2026-01-02T03:05:06+00:00")
    assert (row["host"], row["gpu"], row["device"]) == ("node-1", "3 GPU-1f", "a processor")


def test_missing_trials_have_a_reason(tmp_path: Path) -> None:
    study = make_study(tmp_path, {"pre-training": {"path": "pretrain", "levels": [None]}}, replicates=1)
    results = collect(study, Store(tmp_path / "store"))
    assert statuses(results) == ["missing", "missing"]
    assert results.trials["reason"].tolist() == ["its pre-training has not been run", "has not been run"]


def test_a_result_overrides_an_old_failure(study: Study, tmp_path: Path) -> None:
    store = fill(study, tmp_path / "store")
    store.record_failure(stages_of(expand(study)[0])[-1], "from before")
    assert set(statuses(collect(study, store))) == {"done"}


def test_a_finished_trial_stays_done_when_its_pretraining_is_discarded(study: Study, tmp_path: Path) -> None:
    store = fill(study, tmp_path / "store")
    store.discard(stages_of(expand(study)[0])[0])
    assert set(statuses(collect(study, store))) == {"done"}


def test_a_corrupt_result_is_a_failure_with_its_reason(study: Study, tmp_path: Path) -> None:
    store = fill(study, tmp_path / "store")
    stage = stages_of(expand(study)[0])[-1]
    (store.root / "finetune" / stage.key / "result.json").write_text("{")
    row = collect(study, store).trials.iloc[0]
    assert row["status"] == "failed"
    assert "checksum" in row["reason"]


def test_an_excluded_cell_is_one_row_with_its_reason(tmp_path: Path) -> None:
    exclude = [{"when": {"kv heads": 4}, "reason": "too wide"}]
    study = make_study(tmp_path, KV_HEADS, exclude=exclude, replicates=2)
    trials = collect(study, fill(study, tmp_path / "store")).trials
    rows = trials[trials["status"] == "excluded"]
    assert rows[["cell", "reason", "kv heads"]].values.tolist() == [["kv heads=4", "too wide", "4"]]
    assert rows["replicate"].isna().all()


def test_history_and_load_have_the_rows_of_every_distinct_stage(study: Study, tmp_path: Path) -> None:
    results = collect(study, fill(study, tmp_path / "store"))
    stages = unique_stages(expand(study))
    assert results.history.groupby("key").size().to_dict() == {stage.key: stage.epochs for stage in stages}
    assert set(results.expert_load["key"]) == {stage.key for stage in stages}
    shares = results.expert_load.groupby(["key", "block"])["share"].sum()
    assert (shares.sub(1).abs() < 1e-12).all()


def test_predictions_of_finished_trials_are_collected_by_test_split(tmp_path: Path) -> None:
    """One trial was stored without; the predictions of another are damaged; a third has other test images."""
    study = make_study(tmp_path, KV_HEADS)
    store, labels = Store(tmp_path / "store"), np.array([0, 1, 2])
    stages = [stages_of(trial)[-1] for trial in expand(study)]
    for i, (trial, stage) in enumerate(zip(expand(study), stages, strict=True)):
        for parent in stages_of(trial)[:-1]:
            store.save(parent, made_up(parent, 0.9), b"", {})
        own = Predictions(np.array([0, 1, i % 3]), labels, "other" if i == 4 else "same", ("a", "b", "c"))
        store.save(stage, made_up(stage, 0.9), b"", {}, None if i == 0 else own)
    (store.root / "finetune" / stages[1].key / "predictions.npz").write_bytes(b"damaged")
    first, second = collect(study, store).predictions
    assert first.keys == tuple(stage.key for i, stage in enumerate(stages) if i not in (0, 1, 4))
    assert first.predicted_TN[:, 2].tolist() == [2, 0, 2, 0, 1, 2]
    assert (first.labels_N.tolist(), first.class_names) == ([0, 1, 2], ("a", "b", "c"))
    assert second.keys == (stages[4].key,)


def test_predictions_with_other_labels_than_the_first_trial_of_their_test_split_are_left_out(tmp_path: Path) -> None:
    study = make_study(tmp_path, KV_HEADS)
    store = Store(tmp_path / "store")
    stages = [stages_of(trial)[-1] for trial in expand(study)]
    for i, (trial, stage) in enumerate(zip(expand(study), stages, strict=True)):
        put(store, trial, 0.9)
        store.discard(stage)
        labels = np.array([0, 1] if i == 2 else [0, 1, 2])
        store.save(stage, made_up(stage, 0.9), b"", {}, Predictions(labels, labels, "same"))
    (found,) = collect(study, store).predictions
    assert found.keys == tuple(stage.key for i, stage in enumerate(stages) if i != 2)


def test_origins_group_stages_by_provenance_and_list_their_cells(tmp_path: Path) -> None:
    study = make_study(tmp_path, KV_HEADS, replicates=1)
    store = Store(tmp_path / "store")
    for i, trial in enumerate(expand(study)):
        put(store, trial, 0.9, commit=COMMITS[i == 2], started=f"2026-01-0{3 - i}T00:00:00+00:00")
    early, late = collect(study, store).facts.origins
    assert (early.commit, early.stages, early.cells) == (COMMITS[1], 2, ("kv heads=4",))
    assert (late.commit, late.stages, late.cells) == (COMMITS[0], 4, ("baseline", "kv heads=1"))
    assert (late.first, late.seconds) == ("2026-01-02T00:00:00+00:00", 4 * 12.5)


def test_a_result_without_provenance_has_unknown_origin(tmp_path: Path) -> None:
    study = make_study(tmp_path, KV_HEADS, baseline={**BASELINE, "pretrain": None}, replicates=1)
    store = Store(tmp_path / "store")
    stage = stages_of(expand(study)[0])[0]
    plain = made_up(stage, 0.9)
    store.save(stage, type(plain)(plain.metrics, plain.facts, plain.history, plain.expert_load), b"", {})
    (origin,) = collect(study, store).facts.origins
    assert (origin.commit, origin.threads, origin.stages) == ("unknown", None, 1)


def test_facts_recognise_pretraining_from_the_settings(tmp_path: Path) -> None:
    study = make_study(tmp_path, {**KV_HEADS, **PRETRAINING})
    facts = collect(study, Store(tmp_path / "store")).facts
    assert [cell.pretrain_dataset for cell in facts.cells] == ["digits", "digits", "digits", None, "photos"]
    assert facts.cells[0].besides_pretraining == facts.cells[3].besides_pretraining
    assert facts.cells[0].besides_pretraining != facts.cells[1].besides_pretraining


def test_a_grid_outside_the_working_directory_is_shown_by_file_name(study: Study, tmp_path: Path) -> None:
    assert collect(study, Store(tmp_path / "store")).facts.grid == "grid.yaml"


def test_names_are_kept_as_written(tmp_path: Path) -> None:
    study = make_study(
        tmp_path, {SCRIPT: {"path": "encoder.num_kv_heads", "levels": [2, {"label": "none", "value": 1}]}}
    )
    trials = collect(study, Store(tmp_path / "store")).trials
    assert trials[SCRIPT].unique().tolist() == ["2", "none"]


def test_reporting_imports_no_torch_and_no_mlflow() -> None:
    code = "import sys, study.report; print([m for m in ('torch', 'mlflow', 'ray', 'matplotlib') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
