"""Two stores with one MLflow server: an experiment is of one study, and another one of the same name is refused."""

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.mirrored_study import Scene
from helpers.mlflow_servers import Reader, Server
from helpers.tiny_grid import ONE_REPLICATE, TINY

from study.cli.app import main
from study.design.study import load
from study.planning.state import StudyState
from study.planning.study_identity import Identity
from study.store.results import Store
from study.tracking import delivery_queue, experiment
from study.tracking.ledger import Ledger

Command = Callable[..., tuple[int, str]]
QUESTION = "Do all parts work together?"

pytestmark = pytest.mark.slow


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """`study` in the folder of a grid, with its exit code and error output."""

    def run(grid: Path, *arguments: str) -> tuple[int, str]:
        monkeypatch.chdir(grid.parent)
        monkeypatch.setattr("sys.argv", ["study", arguments[0], grid.name, *arguments[1:]])
        with pytest.raises(SystemExit) as caught:
            main()
        return int(caught.value.code or 0), " ".join(capfd.readouterr().err.split())

    return run


@pytest.fixture
def name(place: Path) -> str:
    """Of a study, and of an experiment that no other test uses."""
    return place.name[:40]


def project(folder: Path, name: str, results: Path, text: str = ONE_REPLICATE) -> Path:
    """The grid of a project with its own store, in which all stages are finished."""
    shutil.copytree(results, folder / ".study")
    grid = folder / "grid.yaml"
    grid.write_text(text.replace("study: tiny", f"study: {name}"))
    return grid


def stages_in(server: Server, name: str) -> Counter[str]:
    """How many runs each stage has."""
    client = Reader(server.uri)
    found = client.get_experiment_by_name(name)
    runs = client.search_runs([found.experiment_id], "attributes.status = 'FINISHED'")
    return Counter(run.data.tags["key"] for run in runs if "key" in run.data.tags)


OTHERS = {
    "its question is": ONE_REPLICATE.replace(QUESTION, "Is a probe enough?"),
    "its 1 factor mode is not varied here": ONE_REPLICATE.replace(
        "  mode: {path: finetune.mode, levels: [finetune, probe]}\n", ""
    ),
}


@pytest.mark.parametrize("difference", OTHERS)
def test_another_study_does_not_share_the_experiment(
    place: Path, name: str, tiny_results: Path, server: Server, command: Command, difference: str
) -> None:
    first = project(place / "a", name, tiny_results)
    other = project(place / "b", name, tiny_results, OTHERS[difference])
    to_server = ("--tracking-uri", server.uri)
    assert command(first, "sync", *to_server)[0] == 0
    before = stages_in(server, name)
    assert set(before.values()) == {1}
    for verb in ("sync", "run"):
        code, error = command(other, verb, *to_server)
        assert code == 2
        assert f"the experiment '{name}' there is of another study, of the grid {first}: {difference}" in error
        assert "choose another name ('study:'), which gets its own experiment" in error
        assert f"python -m study {verb} grid.yaml --tracking-uri {server.uri} --replace" in error
    assert stages_in(server, name) == before
    assert not Ledger(Store(other.parent / ".study"), name).path.exists()
    assert command(other, "sync", *to_server, "--replace")[0] == 0
    assert stages_in(server, name) == before  # its stages are the same, so the runs are shared
    assert Ledger(Store(other.parent / ".study"), name).path.exists()
    code, error = command(first, "sync", *to_server)
    assert code == 0, error  # nothing to deliver


def test_the_same_study_of_two_stores_shares_the_experiment(
    place: Path, name: str, tiny_results: Path, server: Server, command: Command
) -> None:
    """With one more replicate in the second."""
    for folder, text in (("a", ONE_REPLICATE), ("b", TINY)):
        assert command(project(place / folder, name, tiny_results, text), "sync", "--tracking-uri", server.uri)[0] == 0
    assert set(stages_in(server, name).values()) == {1}  # a stage that the server has is not delivered again


def test_an_experiment_of_an_earlier_version_is_accepted_and_tagged(
    place: Path, name: str, tiny_results: Path, server: Server, command: Command
) -> None:
    Reader(server.uri).create_experiment(name)
    grid = project(place / "a", name, tiny_results)
    assert command(grid, "sync", "--tracking-uri", server.uri)[0] == 0
    tag = Reader(server.uri).get_experiment_by_name(name).tags[experiment.TAG]
    assert Identity.recorded(tag.encode()) == Identity.of(load(grid))


def test_a_server_that_was_down_refuses_another_study_and_nothing_is_lost(
    place: Path, name: str, tiny_results: Path, server: Server, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run is not blocked. The results are delivered under another name."""
    monkeypatch.setattr(delivery_queue, "FIRST_WAIT", 0.1)
    assert command(project(place / "a", name, tiny_results), "sync", "--tracking-uri", server.uri)[0] == 0
    before = stages_in(server, name)
    (place / "b").mkdir()
    grid = place / "b" / "grid.yaml"
    grid.write_text(OTHERS["its question is"].replace("study: tiny", f"study: {name}"))
    scene = Scene(grid, place / "b" / ".study")
    server.kill()
    experiment.check_early(server.uri, StudyState.look(scene.study, scene.store))  # does not answer
    with scene.tracker(server.uri) as tracker:
        scene.train(tracker, scene.stages[0])
        assert not tracker.refused
        server.start()
        tracker.flush()
        assert tracker.refused
        assert f"of another study, of the grid {place / 'a' / 'grid.yaml'}: its question is" in str(tracker.problem)
    assert stages_in(server, name) == before
    assert scene.store.has(scene.stages[0])
    grid.write_text(grid.read_text().replace(f"study: {name}", f"study: {name}-b"))
    assert command(grid, "sync", "--tracking-uri", server.uri)[0] == 0
    assert [*stages_in(server, f"{name}-b")] == [scene.stages[0].key]


def test_the_identity_fits_into_a_tag(tiny: Path) -> None:
    """The longest question, with characters that JSON escapes."""
    tiny.write_text(TINY.replace(QUESTION, "'" + "ü" * 1998 + "?'"))
    identity = Identity.of(load(tiny))
    (text,) = experiment.tags(identity).values()
    assert len(text) <= experiment.MAX_TAG
    found = Identity.recorded(text.encode())
    assert found is not None
    assert (found.grid, found.varied) == (identity.grid, identity.varied)
