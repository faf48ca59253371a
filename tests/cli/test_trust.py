"""Grids and stored stages are data, never code, and no output or file contains a secret."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.distinct_stages import unique_stages

from study.design.study import expand, load
from study.store.results import WEIGHTS, Store
from study.tracking.trained_models import load as load_model
from study.utils.errors import StudyError

Command = Callable[..., tuple[int, str, str]]
SECRET = "hunter2"


def study(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "study", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)


def test_a_password_appears_in_no_file_and_no_output(finished: Path, place: Path, command: Command) -> None:
    """The URL of a tracking server that does not answer contains a password."""
    store = Store(".study")
    store.record_failure(unique_stages(expand(load(finished)))[0], f"cannot reach postgresql://me:{SECRET}@db/mlflow")
    uri = ("--tracking-uri", f"http://me:{SECRET}@127.0.0.1:9")
    ran = study("run", finished.name, *uri)
    assert "is incomplete" in ran.stdout, ran.stderr
    for ended in (ran, study("sync", finished.name, *uri), study("doctor", *uri)):
        assert SECRET not in ended.stdout + ended.stderr, ended.args
    code, shown, message = command("run", finished.name, "--store", f"s3://me:{SECRET}@bucket/store")
    assert code == 2
    assert SECRET not in shown + message
    code, shown, message = command("launch", "slurm", finished.name, "--nodes", "2", "--gpus", "1", *uri)
    assert code == 2  # a password would end up in the files
    assert SECRET not in shown + message
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
def test_a_grid_cannot_run_code(tiny: Path, place: Path, command: Command, value: str) -> None:
    text = tiny.read_text().replace("question: Do all parts work together?", f"question: {value}")
    tiny.write_text(text)
    if value.startswith("!!"):
        with pytest.raises(StudyError, match="not valid YAML"):
            load(tiny)
    else:
        code, _, message = command("plan", tiny.name)
        assert code in (0, 2), message
    assert not (place / "ran").exists()


@pytest.mark.parametrize("name", ["../outside", "a/b", "/tmp/outside", "..", ".", "a\\b", "x\0y"])
def test_study_names_cannot_leave_their_folder(tiny: Path, name: str) -> None:
    tiny.write_text(tiny.read_text().replace("study: tiny", f"study: {name!r}".replace("'", '"')))
    with pytest.raises(StudyError):
        load(tiny)


def test_a_pickle_in_place_of_weights_is_not_loaded(finished: Path, place: Path) -> None:
    stage = next(
        stage for stage in unique_stages(expand(load(finished))) if stage.kind == "finetune" and not stage.parent
    )
    store = Store(".study")
    with store.folder(stage) as folder:
        (folder / WEIGHTS).write_bytes(b"cos\nsystem\n(S'touch ran'\ntR.")  # a pickle that calls os.system
        with pytest.raises(StudyError):
            load_model(folder)
        with pytest.raises(StudyError, match="checksum"):
            store.weights(stage)
    assert not (place / "ran").exists()


def test_the_mlflow_ui_listens_on_localhost_by_default(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from rich.console import Console

    from study.cli.ui import open_ui

    calls: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda program, arguments: calls.append(arguments))
    for name in ("MLFLOW_BACKEND_STORE_URI", "MLFLOW_DISABLE_TELEMETRY", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION"):
        monkeypatch.setenv(name, "")
    uri = f"postgresql://me:{SECRET}@db/mlflow"
    open_ui(uri, "127.0.0.1", 5000, Console(width=500))
    assert "open to" not in capsys.readouterr().out
    open_ui(uri, "0.0.0.0", 5000, Console(width=500))
    assert "open to everyone who can reach 0.0.0.0:5000" in capsys.readouterr().out
    assert [call[call.index("--host") + 1] for call in calls] == ["127.0.0.1", "0.0.0.0"]
    assert SECRET not in str(calls)  # other users can read process arguments
    assert os.environ["MLFLOW_BACKEND_STORE_URI"] == uri
