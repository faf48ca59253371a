"""One stage, one finished run: after suspensions, kills, races, recomputation and deletions, on real servers."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from helpers import postgres
from helpers.distinct_stages import unique_stages
from helpers.looks import requested_trials, undelivered
from helpers.mirrored_study import Scene
from helpers.mlflow_servers import Reader, Server
from helpers.paths import ROOT, TESTS
from mlflow import MlflowClient

from study.planning.state import StudyState
from study.store import heartbeats
from study.store.heartbeats import DRIVERS
from study.tracking import PARENT, Tracker, in_order, server
from study.tracking.ledger import Ledger
from study.tracking.stage_runs import StageRuns

pytestmark = pytest.mark.slow
NEEDED = pytest.mark.skipif(postgres.INITDB is None, reason="PostgreSQL is not installed (.ci/run does, as root)")


BOTH = pytest.mark.parametrize("backend", ["sqlite", pytest.param("postgresql", marks=NEEDED)], indirect=True)


@pytest.fixture(scope="module", params=["sqlite"])
def backend(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    if request.param == "sqlite":
        server = Server(folder)
        server.start()
        yield server
        server.kill()
        return
    with postgres.database() as address:
        server = Server(folder, address)
        server.start()
        yield server
        server.kill()


@pytest.fixture
def scene(tiny: Path, place: Path, backend: Server, tiny_results: Path) -> Scene:
    """Stored stages, and an experiment of the server that no other test uses."""
    tiny.write_text(tiny.read_text().replace("study: tiny", f"study: {place.name[:40]}"))
    shutil.copytree(tiny_results, place / "store")
    made = Scene(tiny, place / "store")
    made.stages = [stage for stage in unique_stages(requested_trials(made.study, made.store)) if made.store.has(stage)]
    made.uri = backend.uri
    return made


def sync(scene: Scene) -> Tracker:
    """As `study sync` does."""
    with Tracker(StudyState.look(scene.study, scene.store), scene.uri, {"commit": "abc"}, compare=True) as tracker:
        tracker.flush()
        tracker.finish("FINISHED", None)
    assert tracker.problem is None
    return tracker


def assert_one_finished_run_each(scene: Scene) -> None:
    """And nothing is open, no parent run is empty, and the ledger names the finished runs."""
    runs = scene.runs()
    assert {run.info.status for run in runs} <= {"FINISHED", "KILLED", "FAILED"}
    finished = [run for run in runs if PARENT in run.data.tags and run.info.status == "FINISHED"]
    assert Counter(run.data.tags["key"] for run in finished) == Counter(stage.key for stage in scene.stages)
    named = Ledger(scene.store, scene.study.name).runs(scene.uri)
    assert {run.data.tags["key"]: run.info.run_id for run in finished} == {s.key: named[s.key] for s in scene.stages}
    with_metrics = [run.data.tags["key"] for run in runs if "test_accuracy" in run.data.metrics]
    assert len(with_metrics) == len(set(with_metrics)), "an average over all runs would count a stage twice"
    parents = {run.info.run_id for run in runs if PARENT not in run.data.tags}
    assert parents == {run.data.tags[PARENT] for run in runs if PARENT in run.data.tags}
    for run in finished:
        points = Reader(scene.uri).get_metric_history(run.info.run_id, "epoch/train_loss")
        assert len({point.step for point in points}) == len(points) > 0
    state = StudyState.look(scene.study, scene.store)
    assert in_order(state, scene.uri)


def driver(scene: Scene, body: str, host: str = "") -> "subprocess.Popen[bytes]":
    """Another driver with a heartbeat every 0.2 s. host: its host name."""
    script = f"""
import os, platform, signal, socket, sys, time
if {host!r}:
    socket.gethostname = platform.node = lambda: {host!r}
from pathlib import Path
from helpers.mirrored_study import Scene
from study.planning.state import StudyState
from study.store import heartbeats
from study.tracking import Tracker, liverun
from study.tracking.stage_ends import StageEnds
from study.tracking.stage_runs import StageRuns
heartbeats.HEARTBEAT = 0.2
heartbeats.EXPIRY = 3.0
scene = Scene(Path({str(scene.study.path)!r}), Path({str(scene.store.root)!r}))
tracker = Tracker(StudyState.look(scene.study, scene.store), {scene.uri!r}, {{"commit": "abc"}}, compare=True)
def mark(name): (Path({str(scene.store.root)!r}) / name).touch()
{body}
"""
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{TESTS}"}
    return subprocess.Popen([sys.executable, "-c", script], env=environment)


DELIVER = """
with tracker:
    tracker.flush()
    tracker.finish("FINISHED", None)
assert tracker.problem is None, tracker.problem
"""
# stops (SIGSTOP) or kills itself at one point of its second delivery
AT = """
from unittest.mock import patch
calls = []
real = {place}
def here(*arguments, **options):
    calls.append(1)
    if len(calls) == {number}:
        mark("reached")
        os.kill(os.getpid(), signal.{signal})
    return real(*arguments, **options)
with patch.object({owner}, {name!r}, here):
"""
POINTS = {
    "created": ("liverun.LiveRun", "log_result"),
    "delivered": ("StageRuns", "finish"),
    "before the decision": ("StageRuns", "_decide"),
    "decided": ("__import__('mlflow').MlflowClient", "set_terminated"),
    "before the ledger": ("StageEnds", "_record"),
}

CASES = [
    *(pytest.param("sqlite", point, marks=[pytest.mark.nightly] if point != "decided" else []) for point in POINTS),
    pytest.param("postgresql", "decided", marks=NEEDED),
]


def at(point: str, sign: str) -> str:
    owner, name = POINTS[point]
    indented = "".join(f"    {line}\n" for line in DELIVER.strip().splitlines())
    return AT.format(place=f"{owner}.{name}", owner=owner, name=name, number=2, signal=sign) + indented


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 120
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drivers are dead after three seconds."""
    monkeypatch.setattr(heartbeats, "HEARTBEAT", 0.2)
    monkeypatch.setattr(heartbeats, "EXPIRY", 3.0)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(("backend", "point"), CASES, indirect=["backend"])
def test_a_suspended_driver_that_comes_back(scene: Scene, point: str) -> None:
    """Suspended beyond its heartbeat; another driver under another host name delivers; then it continues."""
    suspended = driver(scene, at(point, "SIGSTOP"), host="first-host")
    try:
        wait_for(scene.store.root / "reached")
        deadline = time.monotonic() + 60
        while undelivered(scene.study, scene.store, scene.uri):
            assert time.monotonic() < deadline
            time.sleep(0.5)
            sync(scene)
        sync(scene)
        assert_one_finished_run_each(scene)
    finally:
        os.kill(suspended.pid, signal.SIGCONT)
    suspended.wait(120)
    assert sync(scene).deliveries.delivered == 0
    assert_one_finished_run_each(scene)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(("backend", "point"), CASES, indirect=["backend"])
def test_a_driver_killed_at_any_point(scene: Scene, point: str) -> None:
    """The next one has another host name: until the heartbeat has expired, what the killed one holds is left to it."""
    killed = driver(scene, at(point, "SIGKILL"), "first-host")
    assert killed.wait(120) == -signal.SIGKILL
    assert not in_order(StudyState.look(scene.study, scene.store), scene.uri)
    time.sleep(3.5)
    sync(scene)
    assert_one_finished_run_each(scene)


@BOTH
def test_deliveries_at_once(scene: Scene) -> None:
    """Drivers on several host names deliver the same stages at the same time."""
    drivers = [driver(scene, DELIVER, host) for host in ("", "one", "two")]
    for one in drivers:
        assert one.wait(300) == 0
    sync(scene)
    assert_one_finished_run_each(scene)


@BOTH
def test_decisions_at_once(scene: Scene) -> None:
    """Several threads finish a run of the same stage at once: at most one is finished, the others know it."""
    client, stage = server.connect(scene.uri, scene.store), scene.stages[0]
    experiment = client.create_experiment(scene.study.name)
    with heartbeats.Heartbeat(scene.store) as heartbeat:
        runs = StageRuns(client, experiment, heartbeat, None)
        for _ in range(5):
            barrier, ended = threading.Barrier(4), list[str | None]()

            def race() -> None:
                run = client.create_run(experiment, tags={"key": stage.key}).info.run_id
                barrier.wait()  # noqa: B023 - joined below
                ended.append(runs.finish(run, stage.key, "finished", lambda run: True, lambda run: True))  # noqa: B023

            threads = [threading.Thread(target=race) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            finished = [run.info.run_id for run in runs.of(stage.key) if run.info.status == "FINISHED"]
            assert set(ended) - {None} == set(finished)
            assert len(finished) <= 1
            assert len(ended) == 4
            for run in runs.of(stage.key):
                client.delete_run(run.info.run_id)


def recompute(scene: Scene) -> None:
    """As after damage, or a change of the code: the result of the last stage differs in its provenance."""
    stage = scene.stages[-1]
    result, weights = scene.store.find(stage), scene.store.weights(stage)
    with scene.store.folder(stage) as folder:
        config = json.loads((folder / "config.json").read_text())
    predictions = scene.store.predictions(stage)
    assert result is not None
    scene.store.discard(stage)
    metrics = {**result.metrics, "test_accuracy": 0.125}
    scene.store.save(stage, replace(result, metrics=metrics), weights, config, predictions)


def test_a_recomputed_stage_replaces_its_run(scene: Scene) -> None:
    sync(scene)
    recompute(scene)
    assert undelivered(scene.study, scene.store, scene.uri) == scene.stages[-1:]
    assert sync(scene).deliveries.delivered == 1
    assert_one_finished_run_each(scene)
    assert scene.finished()[scene.stages[-1].key].data.metrics["test_accuracy"] == 0.125
    assert sync(scene).deliveries.delivered == 0


def test_a_stage_trained_again_while_it_is_followed(scene: Scene) -> None:
    sync(scene)
    stage = scene.stages[-1]
    scene.store.discard(stage)
    with scene.tracker(scene.uri) as tracker:
        scene.train(tracker, stage)
        tracker.flush()
        tracker.finish("FINISHED", None)
    assert tracker.problem is None
    assert_one_finished_run_each(scene)


def test_runs_deleted_on_the_server_are_delivered_again(scene: Scene) -> None:
    sync(scene)
    runs = scene.finished()
    for stage in scene.stages[:2]:
        MlflowClient(scene.uri).delete_run(runs[stage.key].info.run_id)
    assert sync(scene).deliveries.delivered == 2
    assert_one_finished_run_each(scene)


def test_without_the_ledger_nothing_is_delivered_twice(scene: Scene) -> None:
    sync(scene)
    before = {run.info.run_id for run in scene.runs()}
    Ledger(scene.store, scene.study.name).path.unlink()
    done = sync(scene).deliveries
    assert (done.delivered, done.found) == (0, len(scene.stages))
    assert {run.info.run_id for run in scene.runs()} == before
    assert_one_finished_run_each(scene)


def test_the_first_result_of_two_stores_is_kept(scene: Scene, tmp_path: Path) -> None:
    """Both computed the stages; only the server is shared."""
    sync(scene)
    other = Scene(Path(scene.study.path), tmp_path / "other")
    shutil.copytree(scene.store.root, other.store.root, ignore=shutil.ignore_patterns("store-id", "tracking", "leases"))
    other.uri, other.stages = scene.uri, scene.stages
    recompute(other)
    for one in (other, scene):
        assert sync(one).deliveries.delivered == 0
        assert_one_finished_run_each(one)
    assert scene.finished()[scene.stages[-1].key].data.metrics["test_accuracy"] != 0.125


def test_finished_twice_by_an_earlier_version(scene: Scene) -> None:
    sync(scene)
    run = scene.finished()[scene.stages[0].key]
    client = MlflowClient(scene.uri)
    again = client.create_run(run.info.experiment_id, tags={PARENT: run.data.tags[PARENT], "key": scene.stages[0].key})
    client.set_terminated(again.info.run_id, "FINISHED")
    sync(scene)
    assert_one_finished_run_each(scene)


def test_a_live_driver_keeps_its_runs(scene: Scene) -> None:
    """It holds the run of a stage that is stored: the stage is left to it, and nothing is closed."""
    with scene.tracker(scene.uri) as busy:
        busy.flush()
        MlflowClient(scene.uri).delete_run(scene.finished()[scene.stages[0].key].info.run_id)
        Ledger(scene.store, scene.study.name).path.unlink()
        busy.on_start(scene.stages[0])
        deadline = time.monotonic() + 60
        while sum(run.info.status == "RUNNING" for run in scene.runs()) < 2:  # and its parent
            assert time.monotonic() < deadline
            time.sleep(0.1)
        with scene.tracker(scene.uri) as tracker:
            tracker.flush()
            assert tracker.deliveries.left == {scene.stages[0].key}
            assert tracker.others
            tracker.wait_for_others()
            tracker.finish("FINISHED", None)
        assert tracker.problem is None
        assert (tracker.deliveries.delivered, tracker.deliveries.closed) == (0, 0)
        assert {run.info.status for run in scene.runs()} == {"RUNNING", "FINISHED"}
    assert scene.store.list_files(DRIVERS)  # of the first, which did not finish
    sync(scene)
    assert_one_finished_run_each(scene)
    assert not scene.store.list_files(DRIVERS)
