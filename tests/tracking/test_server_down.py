"""MLflow down, slow, or killed during a sweep: no run is lost or duplicated, and the sweep does not hang."""

import time
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from helpers.distinct_stages import unique_stages
from helpers.looks import requested_trials, undelivered
from helpers.mirrored_study import Scene
from helpers.mlflow_servers import Reader, Server, slow_line
from helpers.ports import free_port

from study.design.stages import Stage
from study.execution.run_stage import run_stage
from study.planning.events import Outcome
from study.tracking import PARENT, Tracker, delivery_queue
from study.tracking.delivery_queue import DeliveryQueue
from study.tracking.ledger import Ledger

pytestmark = pytest.mark.slow


@pytest.fixture
def scene(tiny: Path, place: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """Five stages, and an experiment of the server that no other test uses."""
    monkeypatch.setattr(delivery_queue, "FIRST_WAIT", 0.1)
    monkeypatch.setattr(delivery_queue, "LONGEST_WAIT", 0.5)
    tiny.write_text(tiny.read_text().replace("study: tiny", f"study: {place.name[:40]}"))
    made = Scene(tiny, place / "store")
    made.stages = unique_stages(requested_trials(made.study, made.store))[:5]
    made.uri = server.uri
    return made


def statuses(scene: Scene) -> dict[str, Counter[str]]:
    """How the runs of each stage ended, by its key."""
    found: dict[str, Counter[str]] = {stage.key: Counter() for stage in scene.stages}
    for run in scene.runs():
        if PARENT in run.data.tags:
            found[run.data.tags["key"]][run.info.status] += 1
    return found


def assert_mirrored(scene: Scene, uri: str | None = None) -> None:
    """Every stage has one finished run, the one in the ledger, with every epoch once; no run is open."""
    client, named = Reader(scene.uri), Ledger(scene.store, scene.study.name).runs(uri or scene.uri)
    assert {run.info.status for run in scene.runs()} <= {"FINISHED", "KILLED", "FAILED"}
    finished = [run for run in scene.runs() if PARENT in run.data.tags and run.info.status == "FINISHED"]
    assert {run.data.tags["key"]: run.info.run_id for run in finished} == {s.key: named[s.key] for s in scene.stages}
    assert len(finished) == len(scene.stages)
    for stage in scene.stages:
        points = client.get_metric_history(named[stage.key], "epoch/train_loss")
        assert [point.step for point in points] == list(range(1, stage.epochs + 1))


def test_a_server_restarted_during_a_sweep(scene: Scene, server: Server) -> None:
    with scene.tracker() as tracker:
        scene.train(tracker, scene.stages[0])
        tracker.flush()
        tracker.on_start(scene.stages[1])
        server.kill()
        run_stage(scene.stages[1], scene.store, "cpu", lambda row: tracker.on_epochs(scene.stages[1], [row]), "abc")
        tracker.on_done(Outcome(scene.stages[1], "done"))
        tracker.on_done(Outcome(scene.stages[4], "failed", "its worker died"))
        scene.train(tracker, scene.stages[2])
        tracker.flush()
        assert tracker.problem is not None
        server.start()
        scene.train(tracker, scene.stages[3])
        tracker.flush()
        assert tracker.problem is None
        assert statuses(scene)[scene.stages[4].key] == Counter(FAILED=1)
        scene.train(tracker, scene.stages[4])
        tracker.flush()
        tracker.finish("FINISHED", None)
    assert_mirrored(scene)


def test_deliveries_resume_when_the_server_is_back(scene: Scene, server: Server) -> None:
    """The server is down until the last stage has ended, then up."""
    port = free_port()
    uri = f"http://127.0.0.1:{port}"
    with scene.tracker(uri) as tracker:
        for stage in scene.stages:
            scene.train(tracker, stage)
        assert undelivered(scene.study, scene.store, uri) == scene.stages
        with slow_line(server.port, 0.0, port):
            deadline = time.monotonic() + 60
            while undelivered(scene.study, scene.store, uri) and time.monotonic() < deadline:
                time.sleep(0.1)
            tracker.finish("FINISHED", None)
    assert_mirrored(scene, uri)


def deliver(scene: Scene, uri: str) -> None:
    """As `study sync` does."""
    with scene.tracker(uri) as tracker:
        tracker.flush()
        tracker.finish("FINISHED", None)
    assert tracker.problem is None
    assert undelivered(scene.study, scene.store, uri) == []


def test_failures_while_the_server_was_down_are_delivered_once_by_a_later_sweep(scene: Scene, server: Server) -> None:
    stored, failed = scene.stages[:2]
    port = free_port()
    uri = f"http://127.0.0.1:{port}"
    with scene.tracker(uri) as tracker:
        scene.train(tracker, stored)
        fail(scene, tracker, failed, "loss is NaN in epoch 3")
    assert undelivered(scene.study, scene.store, uri) == [stored, failed]
    with slow_line(server.port, 0.0, port):
        deliver(scene, uri)
        (run,) = (run for run in scene.runs() if run.data.tags.get("key") == failed.key)
        assert (run.info.status, run.data.tags["error"]) == ("FAILED", "loss is NaN in epoch 3")
        Ledger(scene.store, scene.study.name).path.unlink()  # as if killed before writing it
        deliver(scene, uri)
        assert statuses(scene)[failed.key] == Counter(FAILED=1)
        with scene.tracker(uri) as tracker:
            fail(scene, tracker, failed, "loss is NaN in epoch 3")  # retried, failed again
            tracker.flush()
            tracker.finish("FAILED", None)
        assert undelivered(scene.study, scene.store, uri) == []
        deliver(scene, uri)
        assert statuses(scene)[failed.key] == Counter(FAILED=2)
        with scene.tracker(uri) as tracker:
            scene.train(tracker, failed)
            tracker.flush()
            tracker.finish("FINISHED", None)
        assert statuses(scene)[failed.key] == Counter(FAILED=2, FINISHED=1)
    scene.stages = [stored, failed]
    assert_mirrored(scene, uri)


def fail(scene: Scene, tracker: Tracker, stage: Stage, error: str) -> None:
    """As the fan-out does: recorded in the store first."""
    tracker.on_start(stage)
    tracker.on_done(Outcome(stage, "failed", error, note=scene.store.record_failure(stage, error)))


def test_a_failure_recorded_without_a_name_counts_as_delivered(scene: Scene) -> None:
    stage = scene.stages[0]
    scene.store.write(f"failed/{stage.key}.json", b'{"error": "out of memory"}')
    assert scene.store.failure(stage) == "out of memory"
    assert undelivered(scene.study, scene.store, scene.uri) == []


def test_a_slow_server_does_not_block_and_gets_the_rest_later(scene: Scene, server: Server) -> None:
    """Every response takes 0.2 s and the final flush has a timeout of 0.5 s: the rest is delivered later."""
    scene.stages = scene.stages[:2]
    with slow_line(server.port, 0.2) as port:
        slow = f"http://127.0.0.1:{port}"
        with scene.tracker(slow) as tracker:
            for stage in scene.stages:
                scene.train(tracker, stage)
            began = time.monotonic()
            tracker.flush(0.5)
            assert time.monotonic() - began < 2.0
            tracker.finish("FINISHED", None)
        assert tracker.problem == "not everything was delivered in time"
        assert undelivered(scene.study, scene.store, slow)
        with scene.tracker(slow) as tracker:
            tracker.flush()
            tracker.finish("FINISHED", None)
        assert tracker.problem is None
        assert_mirrored(scene, slow)


def test_responses_after_the_timeout_duplicate_no_run(
    scene: Scene, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server handles every request, but its responses take longer than the client's timeout; later it is fast."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    for stage in scene.stages:
        run_stage(stage, scene.store, "cpu", lambda row: None, "abc")
    with slow_line(server.port, 2.0) as port, scene.tracker(f"http://127.0.0.1:{port}") as tracker:
        for _ in range(3):
            tracker.flush()
        assert tracker.problem is not None
    with scene.tracker() as tracker:
        tracker.flush()
        tracker.finish("FINISHED", None)
    assert_mirrored(scene)


def test_a_kill_between_the_last_request_and_the_ledger_duplicates_no_run(scene: Scene) -> None:
    """The run is finished but not in the ledger: the server is queried before anything is delivered again."""
    with scene.tracker() as tracker:
        for stage in scene.stages:
            scene.train(tracker, stage)
        tracker.flush()
        tracker.finish("FINISHED", None)
    ledger = Ledger(scene.store, scene.study.name)
    before = ledger.runs(scene.uri)
    ledger.path.unlink()
    with scene.tracker() as tracker:
        tracker.flush()
        tracker.finish("FINISHED", None)
    assert ledger.runs(scene.uri) == before
    assert_mirrored(scene)


def test_a_damaged_stage_does_not_block_the_others(scene: Scene) -> None:
    for stage in scene.stages:
        run_stage(stage, scene.store, "cpu", lambda row: None, "abc")
    damaged = scene.stages[0]
    weights = scene.store.root / damaged.kind / damaged.key / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with scene.tracker() as tracker:
        tracker.flush()
        tracker.finish("FINISHED", None)
    assert "checksum" in (tracker.problem or "")
    assert undelivered(scene.study, scene.store, scene.uri) == [damaged]
    scene.stages = scene.stages[1:]


def test_a_flush_without_a_server_does_not_wait(scene: Scene) -> None:
    with scene.tracker(f"http://127.0.0.1:{free_port()}") as tracker:
        scene.train(tracker, scene.stages[0])
        tracker.flush(60.0)
        tracker.finish("FINISHED", None)
    assert tracker.problem == "the server cannot be reached: Connection refused"  # not a timeout


class Receiver:
    """Down until `down` is set to False."""

    def __init__(self) -> None:
        self.down, self.attempts, self.received = True, list[float](), list[str]()

    def connect(self) -> None:
        self.attempts.append(time.monotonic())
        if self.down:
            raise ConnectionError("connection refused")


def test_retries_back_off_exponentially(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits may be longer on a busy machine, never shorter; one that did not double would allow more attempts."""
    monkeypatch.setattr(delivery_queue, "FIRST_WAIT", 0.05)
    monkeypatch.setattr(delivery_queue, "LONGEST_WAIT", 0.3)
    receiver = Receiver()
    made = DeliveryQueue(receiver.connect, lambda: None)
    made.start()
    wait_until(lambda: len(receiver.attempts) >= 6)
    waits = [later - earlier for earlier, later in pairwise(receiver.attempts)]
    assert all(wait >= least for wait, least in zip(waits, (0.05, 0.1, 0.2, 0.3, 0.3), strict=False))
    made.send(lambda: receiver.received.append("dropped"))
    wait_until(made._queue.empty)
    receiver.down = False
    assert made.flush(None)
    made.send(lambda: receiver.received.append("first"))
    assert made.stop(lambda: receiver.received.append("last"), 60.0)
    assert receiver.received == ["first", "last"]


def wait_until(met: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_one_broken_connection_loses_nothing() -> None:
    """A server may close an idle connection at the moment of a request: flush and the last delivery try once more."""
    received: list[str] = []

    def breaks_once(name: str) -> Callable[[], None]:
        attempts = iter([ConnectionError("closed without response")])

        def deliver() -> None:
            for error in attempts:
                raise error
            received.append(name)

        return deliver

    made = DeliveryQueue(lambda: received.append("connected"), lambda: catch_up[-1]())
    catch_up = [lambda: None]
    made.start()
    assert made.flush(None)
    catch_up.append(breaks_once("rest"))
    assert made.flush(None)
    assert made.problem is None
    assert made.stop(breaks_once("last"), 60.0)
    assert received == ["connected", "connected", "rest", "connected", "rest", "last"]
