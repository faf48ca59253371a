"""What `sync` prints and returns: what the server confirmed, what was there, what is left, what failed."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.looks import undelivered
from helpers.mirrored_study import Scene
from helpers.paths import ROOT
from mlflow import MlflowClient

from study.store import heartbeats
from study.tracking.ledger import Ledger

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def scene(finished: Path, place: Path) -> Scene:
    """Stored stages that were not delivered, and the store's own database."""
    return Scene(finished, place / ".study")


def runs(scene: Scene) -> list[str]:
    return sorted(run.info.status for run in scene.runs())


def test_each_number_is_what_the_server_confirmed(scene: Scene, command: Command) -> None:
    count = len(undelivered(scene.study, scene.store, scene.uri))
    code, output, _ = command("sync", "tiny.yaml")
    assert (code, output) == (0, f"{count} runs delivered to {scene.uri}\n")
    for _ in range(2):
        assert command("sync", "tiny.yaml")[:2] == (0, f"0 runs delivered to {scene.uri}\n")
    assert runs(scene) == ["FINISHED"] * (count + 1)  # one parent: the others had nothing to deliver
    Ledger(scene.store, "tiny").path.unlink()
    assert command("sync", "tiny.yaml")[:2] == (0, f"0 runs delivered to {scene.uri}, {count} already there\n")
    MlflowClient(scene.uri).delete_run(next(iter(scene.finished().values())).info.run_id)
    assert command("sync", "tiny.yaml")[:2] == (0, f"1 run delivered to {scene.uri}\n")
    assert command("sync", "tiny.yaml")[:2] == (0, f"0 runs delivered to {scene.uri}\n")


HOLDER = """
import os, signal, socket, platform, sys
socket.gethostname = platform.node = lambda: "another-host"
sys.path.insert(0, {tests!r})
from pathlib import Path
from helpers.looks import undelivered
from helpers.mirrored_study import Scene
from study.store import heartbeats
from study.tracking.mirror import Mirror
heartbeats.HEARTBEAT = 0.2
Mirror.catch_up = lambda self: None
scene = Scene(Path({grid!r}), Path({store!r}))
with scene.tracker() as tracker:
    tracker.on_start(undelivered(scene.study, scene.store, scene.uri)[0])
    tracker.flush()
    print("holds", flush=True)
    sys.stdin.read()
"""


def test_a_run_is_left_to_a_live_driver_and_taken_from_a_dead_one(
    scene: Scene, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under another host name: only its heartbeat shows whether it is alive."""
    monkeypatch.setattr(heartbeats, "HEARTBEAT", 0.2)
    monkeypatch.setattr(heartbeats, "EXPIRY", 4.0)
    count = len(undelivered(scene.study, scene.store, scene.uri))
    script = HOLDER.format(tests=str(ROOT / "tests"), grid=str(scene.study.path), store=str(scene.store.root))
    holder = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"holds\n"
    code, output, _ = command("sync", "tiny.yaml")
    left = "1 run left to another driver, which is running and delivers them itself\n"
    assert (code, output) == (0, f"{count - 1} runs delivered to {scene.uri}\n{left}")
    holder.kill()
    holder.communicate()
    code, output, _ = command("sync", "tiny.yaml")
    assert (code, output) == (0, f"1 run delivered to {scene.uri}\n2 runs of dead drivers closed\n")
    assert runs(scene) == sorted(["FINISHED"] * (count + 2) + ["KILLED"] * 2)
    assert command("sync", "tiny.yaml")[:2] == (0, f"0 runs delivered to {scene.uri}\n")


def test_a_damaged_stage_is_named_and_the_others_are_delivered(scene: Scene, command: Command) -> None:
    stages = undelivered(scene.study, scene.store, scene.uri)
    (scene.store.root / stages[0].kind / stages[0].key / "model.safetensors").write_bytes(b"")
    code, output, _ = command("sync", "tiny.yaml")
    assert code == 1
    assert output.startswith(f"{len(stages) - 1} runs delivered to {scene.uri}\nnot delivered: ")
    assert "checksum mismatch in model.safetensors" in output


def test_a_server_that_is_down(scene: Scene, command: Command) -> None:
    code, output, error = command("sync", "tiny.yaml", "--tracking-uri", "http://127.0.0.1:9")
    assert (code, output) == (2, "")
    assert error.startswith("error: MLflow at http://127.0.0.1:9: ")
