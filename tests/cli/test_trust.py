"""Grids and stored stages are data, and no secret shows in what a run writes or prints."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from study.design.stages import unique_stages
from study.design.study import expand, load
from study.execution.run_stage import run_stage
from study.store.results import WEIGHTS, Store
from study.tracking.trained_models import load as load_model
from study.utils.errors import StudyError

SECRET = "hunter2"


def study(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "study", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)


def test_a_password_shows_nowhere(tiny: Path, place: Path) -> None:
    """A tracking server with a password in its address, which does not answer: every file and every line is read."""
    text = tiny.read_text().replace("replicates: 2", "replicates: 1")
    tiny.write_text("".join(line for line in text.splitlines(True) if not line.startswith(("  kv heads:", "  mode:"))))
    store = Store(".study")
    stages = unique_stages(expand(load(tiny)))
    for stage in stages:
        run_stage(stage, store, "cpu", lambda row: None)
    store.record_failure(stages[0], f"Traceback: cannot reach postgresql://me:{SECRET}@db/mlflow")
    uri = ("--tracking-uri", f"http://me:{SECRET}@127.0.0.1:9")
    ran = [
        study("run", tiny.name, *uri),
        study("sync", tiny.name, *uri),
        study("doctor", *uri),
        study("run", tiny.name, "--store", f"s3://me:{SECRET}@bucket/store"),
        study("launch", "slurm", tiny.name, "--nodes", "2", "--gpus", "1", *uri),
    ]
    assert "did not take everything" in ran[0].stdout, ran[0].stderr
    assert ran[3].returncode == 2
    for ended in ran:
        assert SECRET not in ended.stdout + ended.stderr, ended.args
    written = [path for path in place.rglob("*") if path.is_file()]
    assert len(written) > 20
    for path in written:
        assert SECRET.encode() not in path.read_bytes(), path


@pytest.mark.parametrize(
    "value",
    [
        "!!python/object/apply:os.system ['touch ran']",
        "!!python/name:os.system",
        "{{ cycler.__init__.__globals__.os.system('touch ran') }}",
        "'{0.__class__.__init__.__globals__}'",
        "'%(x)s {self} ${HOME} $(touch ran) `touch ran`'",
    ],
)
def test_nothing_in_a_grid_is_run(tiny: Path, place: Path, value: str) -> None:
    text = tiny.read_text().replace("question: Do all parts work together?", f"question: {value}")
    tiny.write_text(text)
    if value.startswith("!!"):
        with pytest.raises(StudyError, match="not valid YAML"):
            load(tiny)
    else:
        planned = study("plan", tiny.name)
        assert planned.returncode in (0, 2), planned.stderr
        assert "Traceback" not in planned.stderr
    assert not (place / "ran").exists()


@pytest.mark.parametrize("name", ["../outside", "a/b", "/tmp/outside", "..", ".", "a\\b", "x\0y"])
def test_names_cannot_leave_the_folders_they_are_for(tiny: Path, name: str) -> None:
    tiny.write_text(tiny.read_text().replace("study: tiny", f"study: {name!r}".replace("'", '"')))
    with pytest.raises(StudyError):
        load(tiny)


def test_a_pickle_in_place_of_weights_is_not_opened(tiny: Path, place: Path) -> None:
    stage = next(stage for stage in unique_stages(expand(load(tiny))) if stage.kind == "finetune" and not stage.parent)
    store = Store(".study")
    run_stage(stage, store, "cpu", lambda row: None)
    with store.folder(stage) as folder:
        (folder / WEIGHTS).write_bytes(b"cos\nsystem\n(S'touch ran'\ntR.")  # pickle's way to call os.system
        with pytest.raises(StudyError):
            load_model(folder)
        with pytest.raises(StudyError, match="checksum"):
            store.weights(stage)
    assert not (place / "ran").exists()


def test_pages_are_this_machines_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from rich.console import Console

    from study.cli import run as sweep

    calls: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda program, arguments: calls.append(arguments))
    for name in ("MLFLOW_BACKEND_STORE_URI", "MLFLOW_DISABLE_TELEMETRY", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION"):
        monkeypatch.setenv(name, "")
    uri = f"postgresql://me:{SECRET}@db/mlflow"
    sweep.open_ui(uri, "127.0.0.1", 5000, Console(width=500))
    assert "open to" not in capsys.readouterr().out
    sweep.open_ui(uri, "0.0.0.0", 5000, Console(width=500))
    assert "open to whoever reaches 0.0.0.0:5000" in capsys.readouterr().out
    assert [call[call.index("--host") + 1] for call in calls] == ["127.0.0.1", "0.0.0.0"]
    assert SECRET not in str(calls)  # arguments can be read by others
    assert os.environ["MLFLOW_BACKEND_STORE_URI"] == uri
