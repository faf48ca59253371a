"""Replicates are added only where claims are undecided: in real runs, interrupted runs, and any order of results."""

import json
import multiprocessing
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from helpers.looks import collect, make_plan, requested_trials
from helpers.store_writers import record_looks

from study.cli.plan import as_json, summary
from study.design.stages import Stage, stages_of
from study.design.study import Study, Trial, expand, load
from study.execution.run_stage import run_stage
from study.planning.record_looks import record_failures
from study.planning.state import StudyState
from study.report import analyse, build, read
from study.report.summary import answers
from study.store.results import Result, Store
from study.utils.errors import StudyError

GRID = """\
study: until-decided
question: Which claims need how many replicates?
baseline:
  encoder: {image_size: 8, patch_size: 4, channels: 1, width: 16, depth: 1, num_heads: 2, num_kv_heads: 2,
            experts_by_depth: [1], top_k: 1, ffn_width_first: 16, ffn_width_last: 16}
  finetune: {dataset: digits, epochs: 3, train_images: 200, batch_size: 20, learning_rate: 1e-2}
factors:
  training: {path: finetune.learning_rate, levels: [{label: none, value: 1e-9}], baseline: usual}
  kv heads: {path: encoder.num_kv_heads, levels: [1]}
  bias: {path: encoder.bias, levels: [false]}
claims:
  - {claim: training helps, kind: greater, cells: {training: usual}, against: {training: none}}
  - {claim: one head is exactly as good, kind: equivalent, cells: {kv heads: 1}, margin: 1e-5}
replicates: {min: 3, max: 6, until: claims}
"""
CLEAR, UNDECIDED, UNCLAIMED = "training=none", "kv heads=1", "bias=off"


@pytest.fixture
def study(tmp_path: Path) -> Study:
    (tmp_path / "grid.yaml").write_text(GRID)
    return load(tmp_path / "grid.yaml")


def replicates(trials: list[Trial]) -> Counter[str]:
    return Counter(trial.cell.name for trial in trials)


def trained(study: Study, store: Store, most: int | None = None) -> Iterator[Stage]:
    """Run missing stages until none is left, or `most` of them. Yields the stages that were run."""
    while missing := make_plan(study, store).missing:
        for stage in missing:
            if most == 0:
                return
            run_stage(stage, store, "cpu", lambda row: None)
            yield stage
            most = None if most is None else most - 1


def test_a_clear_claim_stops_at_min_and_an_undecided_one_continues_to_max(study: Study, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    assert replicates(requested_trials(study, store)) == {"baseline": 3, CLEAR: 3, UNDECIDED: 3, UNCLAIMED: 3}
    stages = list(trained(study, store))
    assert replicates(requested_trials(study, store)) == {"baseline": 6, CLEAR: 3, UNDECIDED: 6, UNCLAIMED: 3}
    assert len(stages) == len({stage.key for stage in stages}) == 18
    results = analyse(collect(study, store))
    assert results.verdicts["verdict"].tolist() == ["supported", "undecided"]
    assert results.verdicts["looked"].tolist() == [3, 6]
    assert results.verdicts["n"].tolist() == [3, 6]
    assert results.verdicts["level"].tolist() == pytest.approx([1 - 0.05 / 4, 1 - 0.05 * 3 / 4])
    answer = next(given.text for given in answers(results) if given.about == "Replicates")
    assert answer.startswith(
        "added until claims are decided; 2 looks, after 3 and 6 replicates; 2 cells with 3 replicates; 2 cells with 6 "
        "replicates."
    )


def test_a_sweep_interrupted_anywhere_runs_the_same_trials(study: Study, tmp_path: Path) -> None:
    """Each invocation reads the store again, as after a crash."""
    straight, broken = Store(tmp_path / "straight"), Store(tmp_path / "broken")
    at_once = {stage.key for stage in trained(study, straight)}
    in_parts: set[str] = set()
    while parts := [stage.key for stage in trained(study, broken, most=5)]:
        in_parts |= set(parts)
    assert in_parts == at_once


# --- synthetic results: any order, failures, growth ---


def put(store: Store, trial: Trial, accuracy: float) -> None:
    store.save(stages_of(trial)[-1], Result({"test_accuracy": accuracy, "train_seconds": 1.0}, {}, [], []), b"", {})


def synthetic(trial: Trial) -> float:
    """Training adds 70 points; the difference of the kv heads alternates between 1 and -1 points."""
    base = 0.8 + 0.01 * (trial.replicate % 3)
    gains = {CLEAR: -0.7 + 0.001 * trial.replicate, UNDECIDED: 0.01 * (-1) ** trial.replicate}
    return base + gains.get(trial.cell.name, 0.0)


def run_all(study: Study, store: Store, run: Callable[[Trial], None], order: random.Random | None = None) -> None:
    while missing := [trial for trial in requested_trials(study, store) if not _was_tried(store, trial)]:
        run((order or random.Random(0)).choice(missing))


def _was_tried(store: Store, trial: Trial) -> bool:
    last = stages_of(trial)[-1]
    return store.has(last) or store.failure(last) is not None


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_results_does_not_matter(study: Study, tmp_path: Path, seed: int) -> None:
    store, ended = Store(tmp_path / "store"), []

    def run(trial: Trial) -> None:
        put(store, trial, synthetic(trial))
        ended.append((trial.cell.name, trial.replicate))

    run_all(study, store, run, random.Random(seed))
    assert len(ended) == 18
    assert replicates(requested_trials(study, store)) == {"baseline": 6, CLEAR: 3, UNDECIDED: 6, UNCLAIMED: 3}


def test_no_trial_is_added_before_all_trials_of_an_interim_analysis_ended(study: Study, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    first = [trial for trial in expand(study) if trial.replicate <= 3]
    for trial in first[:-1]:
        put(store, trial, synthetic(trial))
        assert len(requested_trials(study, store)) == 12
    put(store, first[-1], synthetic(first[-1]))
    assert len(requested_trials(study, store)) == 18


def test_a_trial_that_always_fails_delays_no_other(study: Study, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")

    def run(trial: Trial) -> None:
        if trial.cell.name == UNDECIDED and trial.replicate == 2:
            store.record_failure(stages_of(trial)[-1], "diverged")
        else:
            put(store, trial, synthetic(trial))

    run_all(study, store, run)
    assert replicates(requested_trials(study, store)) == {"baseline": 6, CLEAR: 3, UNDECIDED: 6, UNCLAIMED: 3}
    found = analyse(collect(study, store)).verdicts
    assert (found["n"].tolist(), found["verdict"].tolist()) == ([3, 5], ["supported", "undecided"])
    assert found["note"].tolist()[1].startswith("1 of 6 replicates of kv heads=1 failed")


def test_results_of_replicates_that_are_not_requested_change_nothing(study: Study, tmp_path: Path) -> None:
    """As when an earlier grid had six replicates of every cell."""
    store = Store(tmp_path / "store")
    for trial in expand(study):
        put(store, trial, synthetic(trial))
    assert replicates(requested_trials(study, store)) == {"baseline": 6, CLEAR: 3, UNDECIDED: 6, UNCLAIMED: 3}


def test_the_plan_shows_the_range_of_replicates(study: Study, tmp_path: Path) -> None:
    plan = make_plan(study, Store(tmp_path / "store"))
    assert summary(plan).startswith("4 cells x 3 to 6 replicates, now 12 trials; 12 stages")
    found = as_json(plan)
    assert found["replicates"] == {"min": 3, "max": 6, "until": "claims"}
    assert {cell["trials"] for cell in found["cells"]} == {3}


# --- failures: a trial that is retried later does not change the look at which it had failed ---


def until_decided(study: Study, store: Store, failing: set[tuple[str, int]]) -> None:
    """Rounds as `run` has them: failures of looks are recorded after each, and these trials fail."""
    while True:
        state = StudyState.look(study, store)
        record_failures(state)
        untried = [trial for trial in state.trials if not _was_tried(store, trial)]
        if not untried:
            return
        for trial in untried:
            if (trial.cell.name, trial.replicate) in failing:
                store.record_failure(stages_of(trial)[-1], "OutOfMemoryError")
            else:
                put(store, trial, synthetic(trial))


def retry(study: Study, store: Store) -> None:
    """What `run` does first: record the failures of looks, then retry all failed trials, now with success."""
    state = StudyState.look(study, store)
    record_failures(state)
    for trial in state.trials:
        if state.observed.has_failed(trial):
            put(store, trial, synthetic(trial))


def shown(study: Study, store: Store) -> list[tuple[object, ...]]:
    verdicts = analyse(collect(study, store)).verdicts
    return list(verdicts[["verdict", "looked", "n", "estimate"]].itertuples(index=False, name=None))


def test_a_retried_trial_does_not_change_the_look_at_which_it_had_failed(study: Study, tmp_path: Path) -> None:
    """The claim on training would be supported after 3 replicates, had none failed; it is after 6, by the second look,
    whose four more replicates were run because of the first."""
    store = Store(tmp_path / "store")
    until_decided(study, store, {(CLEAR, 2)})
    assert replicates(requested_trials(study, store)) == {"baseline": 6, CLEAR: 6, UNDECIDED: 6, UNCLAIMED: 3}
    assert shown(study, store)[0][:2] == ("undecided", 6)
    retry(study, store)
    until_decided(study, store, set())
    assert replicates(requested_trials(study, store)) == {"baseline": 6, CLEAR: 6, UNDECIDED: 6, UNCLAIMED: 3}
    results = collect(study, store)
    assert results.facts.failed_at[3] == {(("none", "2", "on"), 2)}
    looks = analyse(results).looks
    assert [look.verdicts[0].verdict for look in looks] == ["undecided", "undecided", "undecided"]
    assert "1 of 3 replicates of training=none failed" in looks[1].verdicts[0].note
    answer = next(given.text for given in answers(analyse(results)) if given.about == "Failed replicates")
    assert answer.startswith("At the look after 3 replicates these had failed, and their later results do not ")


def test_a_retry_between_looks_counts_at_the_next_one(study: Study, tmp_path: Path) -> None:
    """The driver is killed after the first look was recorded, and the retry succeeds before the second."""
    store = Store(tmp_path / "store")
    first = [trial for trial in expand(study) if trial.replicate <= 3]
    for trial in first:
        if (trial.cell.name, trial.replicate) == (CLEAR, 2):
            store.record_failure(stages_of(trial)[-1], "diverged")
        else:
            put(store, trial, synthetic(trial))
    retry(study, store)
    until_decided(study, store, set())
    assert shown(study, store)[0][:3] == ("supported", 6, 6)


def test_without_a_record_of_the_look_the_present_results_count(study: Study, tmp_path: Path) -> None:
    """Stores of earlier versions."""
    store = Store(tmp_path / "store")
    run_all(study, store, lambda trial: put(store, trial, synthetic(trial)))
    assert collect(study, store).facts.failed_looks == ()
    assert shown(study, store)[0][:2] == ("supported", 3)


def test_two_drivers_and_a_moved_store_replay_the_same_looks(study: Study, tmp_path: Path) -> None:
    """Both record the same look; a record names no path."""
    one = Store(tmp_path / "store")
    until_decided(study, one, {(CLEAR, 2), ("baseline", 1)})
    two = Store(tmp_path / "store")
    for store in (one, two, one):
        record_failures(StudyState.look(study, store))
    assert sorted(path.name for path in (tmp_path / "store" / "claims" / study.name / "looks").iterdir()) == [
        "1.json",
        "2.json",
    ]
    retry(study, two)
    before = shown(study, one)
    (tmp_path / "store").rename(tmp_path / "moved")
    assert shown(study, Store(tmp_path / "moved")) == before


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("kind", ["folder", "s3"])
@pytest.mark.parametrize("same", [True, False], ids=["the same failures", "others"])
def test_drivers_that_record_at_the_same_time_lose_and_repeat_nothing(
    place: Path, kind: str, same: bool, request: pytest.FixtureRequest
) -> None:
    """Three processes record five looks each. Each failure is in one entry of each look, and no entry is missing."""
    address = str(place / "store") if kind == "folder" else f"{request.getfixturevalue('bucket')}/store"
    failures = [["common"] if same else sorted(["common", f"of {i}"]) for i in range(3)]
    context = multiprocessing.get_context("spawn")
    start = context.Event()
    writers = [context.Process(target=record_looks, args=(address, keys, start)) for keys in failures]
    for writer in writers:
        writer.start()
    time.sleep(1)
    start.set()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * 3
    store, number, found = Store(address), 1, Counter[tuple[int, str]]()
    while data := store.read(f"claims/tiny/looks/{number}.json"):
        entry, number = json.loads(data), number + 1
        found.update((entry["replicates"], key) for key in entry["failed"])
    distinct = {key for keys in failures for key in keys}
    assert found == {(look, key): 1 for look in range(1, 6) for key in distinct}
    assert len(store.list_files("claims/tiny/looks")) == number - 1
    assert number - 1 == 5 if same else 5 <= number - 1 <= 15


def test_a_report_replays_looks_without_the_store(study: Study, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    until_decided(study, store, {(CLEAR, 2)})
    retry(study, store)
    results = collect(study, store)
    build(results, tmp_path / "report")
    again = analyse(read(tmp_path / "report"))
    assert again.verdicts["note"].tolist() == analyse(results).verdicts["note"].tolist()
    assert [look.verdicts[0].verdict for look in again.looks] == ["undecided"] * 3


def test_a_damaged_record_of_a_look_is_reported(study: Study, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    until_decided(study, store, {(CLEAR, 2)})
    (tmp_path / "store" / "claims" / study.name / "looks" / "1.json").write_text("{")
    with pytest.raises(StudyError, match=r"1\.json, the record of a look, cannot be read"):
        requested_trials(study, store)
