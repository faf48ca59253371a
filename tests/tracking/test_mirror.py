"""The mirror, in a real MLflow on SQLite."""

import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from helpers.looks import undelivered
from helpers.mirrored_study import Scene
from helpers.mlflow_servers import Reader
from helpers.paths import ROOT

from study.planning.events import Outcome
from study.tracking import PARENT
from study.tracking.ledger import Ledger
from study.utils.redact import masked


@pytest.fixture
def scene(tiny: Path, place: Path) -> Scene:
    return Scene(tiny, place / "store")


def test_a_run_per_stage_under_a_run_per_invocation(scene: Scene, tmp_path: Path) -> None:
    report = tmp_path / "report"
    report.mkdir()
    (report / "report.html").write_text("<p>")
    with scene.tracker() as tracker:
        for stage in scene.stages:
            scene.train(tracker, stage)
        tracker.flush()
        tracker.finish("FINISHED", report)
    assert tracker.problem is None
    nested, parents = scene.nested(), [run for run in scene.runs() if PARENT not in run.data.tags]
    assert set(nested) == {stage.key for stage in scene.stages}
    assert {run.info.status for run in scene.runs()} == {"FINISHED"}
    assert len(parents) == 1
    client = Reader(scene.uri)
    assert [file.path for file in client.list_artifacts(parents[0].info.run_id, "report")] == ["report/report.html"]

    stage = scene.stages[1]
    run, result = nested[stage.key], scene.store.find(stage)
    assert result is not None
    assert run.data.tags[PARENT] == parents[0].info.run_id
    assert run.data.tags["cell"] == "baseline"
    assert run.data.tags["replicate"] == "1"
    assert run.data.tags["commit"] == "abc"
    assert run.data.params["encoder.num_kv_heads"] == "1"
    assert run.data.params["finetune.dataset"] == "digits"
    assert run.data.metrics["test_accuracy"] == pytest.approx(result.metrics["test_accuracy"])
    assert run.data.metrics["params"] == result.facts["params"]
    history = client.get_metric_history(run.info.run_id, "epoch/train_loss")
    assert [(point.step, point.value) for point in history] == [
        (row["epoch"], pytest.approx(row["train_loss"])) for row in result.history
    ]
    assert run.inputs.dataset_inputs[0].dataset.name == "digits"
    files = {file.path for file in client.list_artifacts(run.info.run_id, "model")}
    assert {"model/model.safetensors", "model/config.json"} <= files


def test_no_text_of_a_grid_or_an_error_controls_a_terminal(tiny: Path, place: Path) -> None:
    """Whoever lists runs sees neither ANSI sequences nor characters that reverse or hide text."""
    odd = r"[31mkv\u202e heads\u200b"
    text = tiny.read_text().replace("kv heads:", f'"{odd}":')
    tiny.write_text(text.replace("Do all parts work together?", f'"{odd}"'))
    scene = Scene(tiny, place / "store")
    with scene.tracker() as tracker:
        scene.train(tracker, scene.stages[0])
        tracker.on_done(Outcome(scene.stages[1], "failed", "RuntimeError: \x1b[31mred\u202e\nin line 2"))
        tracker.flush()
        tracker.finish("FAILED", None)
    assert tracker.problem is None
    shown = "".join(
        f"{run.info.run_name}{run.data.params}{dict(run.data.tags)!s}".replace("\\n", "") for run in scene.runs()
    )
    tags = "".join(value for run in scene.runs() for value in run.data.tags.values())
    assert "[31m" in tags
    assert not re.search(r"[\x1b\u202e\u200b]|\\x1b|\\u20", shown + tags)


def test_a_shared_pretraining_names_all_its_cells(scene: Scene) -> None:
    with scene.tracker() as tracker:
        scene.train(tracker, scene.stages[0])
        tracker.flush()
        tracker.finish("FINISHED", None)
    run = scene.nested()[scene.stages[0].key]
    assert run.data.tags["cell"] == "baseline; mode=probe"


def test_the_mirror_is_rebuilt_from_the_store(scene: Scene) -> None:
    for stage in scene.stages:
        scene.train(None, stage)
    assert undelivered(scene.study, scene.store, scene.uri) == scene.stages
    for _ in range(2):  # the second time delivers nothing
        with scene.tracker() as tracker:
            tracker.flush()
            tracker.flush()
        tracker.finish("FINISHED", None)
    assert undelivered(scene.study, scene.store, scene.uri) == []
    assert len([run for run in scene.runs() if PARENT in run.data.tags]) == 2
    ledger = Ledger(scene.store, "tiny").runs(scene.uri)
    assert ledger == {key: run.info.run_id for key, run in scene.nested().items()}


def test_a_failed_stage_is_a_failed_run(scene: Scene) -> None:
    with scene.tracker() as tracker:
        tracker.on_start(scene.stages[0])
        tracker.on_done(Outcome(scene.stages[0], "failed", "loss is NaN in epoch 3"))
        tracker.flush()
        tracker.finish("FAILED", None)
    run = scene.nested()[scene.stages[0].key]
    assert run.info.status == "FAILED"
    assert run.data.tags["error"] == "loss is NaN in epoch 3"


def test_stages_that_ended_before_their_start_was_delivered(scene: Scene) -> None:
    """The events of two stages are queued until both have ended: one run each, every epoch and parameter once."""
    released = threading.Event()
    with scene.tracker() as tracker:
        tracker._queue.send(lambda: released.wait() and None)
        for stage in scene.stages:
            scene.train(tracker, stage)
        released.set()
        tracker.flush()
        tracker.finish("FINISHED", None)
    assert tracker.problem is None
    nested = scene.nested()
    assert set(nested) == {stage.key for stage in scene.stages}
    run = nested[scene.stages[1].key]
    assert run.info.status == "FINISHED"
    assert run.data.params["finetune.dataset"] == "digits"
    history = Reader(scene.uri).get_metric_history(run.info.run_id, "epoch/train_loss")
    assert [point.step for point in history] == [1, 2]


def test_a_retried_stage_has_a_run_per_attempt(scene: Scene) -> None:
    with scene.tracker() as tracker:
        tracker.on_start(scene.stages[0])
        tracker.flush()
        tracker.on_lost(scene.stages[0], "its worker process died")
        scene.train(tracker, scene.stages[0])
        tracker.flush()
        tracker.finish("FINISHED", None)
    runs = [run for run in scene.runs() if PARENT in run.data.tags]
    assert sorted((run.info.status, run.data.tags.get("error", "")) for run in runs) == [
        ("FAILED", "its worker process died"),
        ("FINISHED", ""),
    ]


def test_runs_of_a_killed_driver_are_closed(scene: Scene, tiny: Path) -> None:
    """A driver is killed (SIGKILL) during a run; the next driver closes its runs."""
    script = f"""
import os, signal, sys
sys.path.insert(0, {str(ROOT / "tests")!r})
from pathlib import Path
from helpers.mirrored_study import Scene
scene = Scene(Path({str(tiny)!r}), Path({str(scene.store.root)!r}))
with scene.tracker() as tracker:
    tracker.on_start(scene.stages[0])
    tracker.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert done.returncode == -9, done.stderr.decode()
    assert [run.info.status for run in scene.runs()] == ["RUNNING", "RUNNING"]
    with scene.tracker() as tracker:
        tracker.flush()
        tracker.finish("FINISHED", None)
    assert sorted(run.info.status for run in scene.runs()) == ["KILLED", "KILLED"]


def test_a_server_that_is_down_loses_nothing(scene: Scene) -> None:
    with scene.tracker("http://user:secret@127.0.0.1:9") as tracker:  # port 9: nothing listens
        for stage in scene.stages:
            scene.train(tracker, stage)
        tracker.flush()
        tracker.finish("FINISHED", None)
    assert tracker.problem is not None
    assert "secret" not in tracker.problem
    with scene.tracker() as tracker:
        tracker.flush()
        tracker.finish("FINISHED", None)
    assert set(scene.nested()) == {stage.key for stage in scene.stages}


def test_passwords_are_masked() -> None:
    assert masked("https://me:pass@host:5000/x") == "https://***@host:5000/x"
    assert masked("postgresql://me:p@ss@host/db") == "postgresql://***@host/db"
    assert masked("sqlite:////tmp/mlflow.db") == "sqlite:////tmp/mlflow.db"
