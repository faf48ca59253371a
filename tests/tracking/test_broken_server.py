"""A server that is damaged, hostile, or not MLflow: one sentence, no delivery, and nothing written on this machine."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from helpers.broken_server import BROKEN, Answer, Handler, broken_server, silent, trickle, with_location
from helpers.looks import undelivered
from helpers.mirrored_study import Scene
from helpers.tiny_grid import ONE_REPLICATE

import study
from study.tracking import delivery_queue
from study.tracking.ledger import Ledger
from study.utils.errors import StudyError

USED = ["experiments/get-by-name", "runs/create", "list"]  # endpoints whose answer is used
ACCEPTED = ["runs/search", "runs/log-batch", "runs/log-inputs", "runs/update", "upload"]  # {} is their good answer
UNUSABLE = ["nonsense", "500", "hang up"]  # the kinds of BROKEN that matter where only the status of an answer is used


@pytest.fixture
def scene(tiny: Path, place: Path, tiny_results: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """A store with two finished stages that were not delivered."""
    monkeypatch.setattr(delivery_queue, "FIRST_WAIT", 0.05)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    tiny.write_text(ONE_REPLICATE.replace("  mode: {path: finetune.mode, levels: [finetune, probe]}\n", ""))
    made = Scene(tiny, place / "store")
    for stage in made.stages:
        shutil.copytree(tiny_results / stage.kind / stage.key, made.store.root / stage.kind / stage.key)
    return made


def deliver(scene: Scene, uri: str) -> str:
    """As `study sync` does. Returns the problem."""
    with scene.tracker(uri) as tracker:
        tracker.flush()
        tracker.finish("FINISHED", None)
    return tracker.problem or ""


def files(folder: Path) -> set[str]:
    """All files, except for the store's id and the heartbeats of drivers."""
    found = {str(path.relative_to(folder)) for path in folder.rglob("*")}
    return {path for path in found if not path.startswith(("store/leases", "store/store-id"))}


def assert_refused(scene: Scene, problem: str, before: set[str]) -> None:
    assert problem
    assert "\n" not in problem
    assert "<" not in problem
    assert len(problem) < 500
    assert files(scene.store.root.parent) == before  # no ledger either


def cases() -> list[tuple[str, str]]:
    return [(name, kind) for name in USED for kind in BROKEN] + [(name, kind) for name in ACCEPTED for kind in UNUSABLE]


@pytest.mark.parametrize(("endpoint", "kind"), cases())
def test_a_broken_answer_is_no_delivery(scene: Scene, endpoint: str, kind: str) -> None:
    """Each endpoint, and what is stored is delivered once the server is well."""
    before = files(scene.store.root.parent)
    with broken_server() as server:
        server.replaced[endpoint] = BROKEN[kind]
        assert_refused(scene, deliver(scene, server.uri), before)
        server.replaced.clear()
        assert deliver(scene, server.uri) == ""
        assert undelivered(scene.study, scene.store, server.uri) == []


def locations(place: Path) -> list[str]:
    """Of folders on this machine outside the store, in all forms that MLflow resolves to one."""
    outside = place / "outside"
    return [
        outside.as_uri(),
        str(outside),
        f"file:{outside}",
        f"FILE://{outside}",
        f" {outside.as_uri()}",
        f"fi\tle://{outside}",
        f"file://localhost{outside}",
        f"file://other{outside}",
        "outside",
        "./outside",
        "file:outside",
        "file:",
        "",
        " ",
        "dbfs:/outside",
        "runs:/0123/model",
        "models:/m-0123",
        "C:\\outside",
        f"{(place / 'store' / 'mlartifacts').as_uri()}/../../outside",
        f"{(place / 'store' / 'mlartifacts').as_uri()}/%2e%2e/%2e%2e/outside",
        (place / "store" / "finetune").as_uri(),
    ]


@pytest.mark.parametrize("endpoint", ["experiments/get-by-name", "runs/create"])
def test_a_local_location_outside_the_store_is_not_written(scene: Scene, place: Path, endpoint: str) -> None:
    for location in locations(place):
        before = files(place)
        with broken_server() as server:
            server.replaced[endpoint] = with_location(location)
            problem = deliver(scene, server.uri)
        assert "artifact location" in problem, (location, problem)
        assert_refused(scene, problem, before)


def test_a_local_location_outside_the_store_is_not_read(scene: Scene, place: Path) -> None:
    """`study.load` of a run of a hostile server, with a model in the folder that it names."""
    shutil.copytree(scene.store.root / "finetune" / scene.stages[1].key, place / "outside" / "model")
    with broken_server() as server:
        assert deliver(scene, server.uri) == ""
        run_id = Ledger(scene.store, "tiny").runs(server.uri)[scene.stages[1].key]
        assert study.load(run_id, store=str(scene.store), tracking_uri=server.uri) is not None
        before = files(place)
        for location in locations(place):
            server.replaced["runs/get"] = with_location(location)
            with pytest.raises(StudyError, match="artifact location"):
                study.load(run_id, store=str(scene.store), tracking_uri=server.uri)
        assert files(place) == before


def test_a_location_in_the_store_is_used(scene: Scene) -> None:
    """Of a server that was started on the store's own database."""
    with broken_server() as server:
        server.replaced["runs/create"] = with_location((scene.store.root / "mlartifacts" / "a").as_uri())
        assert deliver(scene, server.uri) == ""
    assert (scene.store.root / "mlartifacts" / "a" / "model" / "model.safetensors").is_file()


@pytest.mark.parametrize(
    ("endpoint", "kind"),
    [(name, kind) for name in ("runs/get", "list") for kind in BROKEN] + [("download", kind) for kind in UNUSABLE],
)
def test_a_broken_download_is_one_sentence(scene: Scene, place: Path, endpoint: str, kind: str) -> None:
    with broken_server() as server:
        assert deliver(scene, server.uri) == ""
        run_id = Ledger(scene.store, "tiny").runs(server.uri)[scene.stages[1].key]
        before = files(place)
        server.replaced[endpoint] = download_of(BROKEN[kind]) if endpoint == "download" else BROKEN[kind]
        with pytest.raises(StudyError) as caught:
            study.load(run_id, store=str(scene.store), tracking_uri=server.uri)
        assert "\n" not in str(caught.value)
        assert files(place) == before


def download_of(answer: Answer) -> Answer:
    """Of a file instead of JSON."""
    return lambda handler, _: answer(handler, {"file": "text"})


def test_names_of_files_that_lead_elsewhere(scene: Scene, place: Path) -> None:
    """A listing with names outside the folder; nothing is written outside the temporary one."""

    def listing(handler: Handler, good: Any) -> None:
        names = ["../../escaped", "/escaped", "a/../../escaped", "..", "", "%2e%2e/escaped", "model/../escaped"]
        rows = [f'{{"path": "{name}", "is_dir": false, "file_size": 1}}' for name in names]
        handler.reply(f'{{"files": [{rows[names_asked.pop()]}]}}'.encode())

    with broken_server(list=listing) as server:
        del server.replaced["list"]
        assert deliver(scene, server.uri) == ""
        run_id = Ledger(scene.store, "tiny").runs(server.uri)[scene.stages[1].key]
        server.replaced |= {"list": listing, "download": lambda handler, _: handler.reply(b"x")}
        before = files(place)
        names_asked = list(range(7))
        for _ in range(7):
            with pytest.raises(StudyError):
                study.load(run_id, store=str(scene.store), tracking_uri=server.uri)
        assert files(place) == before
        assert not Path("/escaped").exists()


@pytest.mark.parametrize(
    ("endpoint", "slow"), [*((name, trickle) for name in [*USED, *ACCEPTED]), ("runs/create", silent), ("list", silent)]
)
def test_an_answer_without_end_ends_in_one_sentence(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, endpoint: str, slow: Answer
) -> None:
    """The limits are shortened: a second for a read, two for a request."""
    monkeypatch.setattr("study.tracking.client.GRACE", 1.0)
    before = files(scene.store.root.parent)
    with broken_server() as server:
        server.replaced[endpoint] = slow
        problem = deliver(scene, server.uri)
    assert_refused(scene, problem, before)
    assert "answer" in problem or "timeout" in problem.lower() or "timed out" in problem
