"""`rm`: removes a study and what is its own, and nothing of others."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.mlflow_servers import Server
from mlflow import MlflowClient

from study.design.stages import stages_of
from study.design.study import expand, load
from study.planning import last_run, study_identity
from study.planning.claim_registration import register
from study.planning.state import StudyState
from study.store.heartbeats import Heartbeat
from study.store.results import Store
from study.tracking.ledger import Ledger

Command = Callable[..., tuple[int, str, str]]


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def known(finished: Path, place: Path) -> Path:
    """The tiny study was run with `.study`, and has a report."""
    study, store = load(finished), Store(".study")
    study_identity.record(study, store)
    last_run.end(study, store, last_run.begin(study, store, "0123"), 0)
    register(StudyState.look(study, store))
    Ledger(store, "tiny").path.parent.mkdir()
    Ledger(store, "tiny").path.touch()
    report = place / "reports" / "tiny"
    report.mkdir(parents=True)
    (report / "study.json").write_text(json.dumps({"question": study.grid.question, "grid": "tiny.yaml"}))
    (report / "report.html").touch()
    return finished


def record_other(place: Path, change: tuple[str, str]) -> None:
    """Record another study in the store."""
    text = (place / "tiny.yaml").read_text().replace("study: tiny", "study: other")
    assert change[0] in text
    (place / "other.yaml").write_text(text.replace(*change))
    study_identity.record(load(place / "other.yaml"), Store(".study"))


@pytest.mark.parametrize("target", ["tiny.yaml", "tiny"])
def test_a_study_leaves_nothing(known: Path, place: Path, command: Command, target: str) -> None:
    if target == "tiny":
        known.unlink()
    before = files(place)
    code, shown, _ = command("rm", target)
    assert code == 0
    assert "tiny: 6 stages, " in shown
    assert "report: reports/tiny" in shown
    assert "nothing was removed: add --yes" in shown
    assert files(place) == before
    found = json.loads(command("rm", target, "--yes", "--json")[1])
    assert (len(found["items"]), found["shared"], found["removed"]) == (6, 0, True)
    left = [path for path in files(place) if path.parent.name != "code"]
    assert left == ([known] if target == "tiny.yaml" else [])
    assert not (place / "reports" / "tiny").exists()
    assert command("list", "--json")[1] == "[]\n"
    assert command("rm", target)[0] == 2


def test_what_others_use_stays(known: Path, place: Path, command: Command) -> None:
    record_other(place, ("  mode: {path: finetune.mode, levels: [finetune, probe]}\n", ""))
    store = Store(".study")
    others = {stage.key for trial in expand(load(place / "other.yaml")) for stage in stages_of(trial)}
    stored = store.keys()
    for key in stored:
        store.write(f"failed/{key}.json", b"{}")
    kept = {path: data for path, data in files(place).items() if any(key in str(path) for key in others)}
    code, shown, _ = command("rm", "tiny", "--yes")
    assert code == 0
    assert f"{2 * len(others)} items that other studies use, too, will stay" in shown
    left = files(place)
    assert {path: data for path, data in left.items() if "finetune" in str(path) or "pretrain" in str(path)} == {
        path: data for path, data in kept.items() if "failed" not in str(path)
    }
    assert {path.name for path in left if path.parent.name == "failed"} == {f"{key}.json" for key in others}
    assert command("gc", "--json")[1] == json.dumps({"unused": [], "bytes": 0, "removed": False}, indent=1) + "\n"


def test_a_report_of_another_study_stays(known: Path, place: Path, command: Command) -> None:
    report = place / "reports" / "tiny" / "study.json"
    report.write_text(json.dumps({"question": "Another one?", "grid": "elsewhere.yaml"}))
    assert "report" not in command("rm", "tiny", "--yes")[1]
    assert report.exists()


def test_a_grid_with_the_name_of_another_study_is_an_error(known: Path, place: Path, command: Command) -> None:
    other = place / "other.yaml"
    other.write_text(known.read_text().replace("Do all parts work together?", "Another one?"))
    before = files(place)
    code, output, error = command("rm", "other.yaml", "--yes")
    assert (code, output) == (2, "")
    assert "'tiny' is the name of another study in .study" in error
    assert files(place) == before


@pytest.mark.parametrize("target", ["tny", "../tiny", "", "studies/tiny", "\x1b[31m", "reports"])
def test_an_unknown_study_is_an_error(known: Path, place: Path, command: Command, target: str) -> None:
    before = files(place)
    code, output, error = command("rm", target, "--yes")
    assert (code, output) == (2, "")
    assert "is neither a grid file nor a study in .study" in error
    assert ("did you mean tiny?" in error) == (target in ("tny", "../tiny"))
    assert files(place) == before


def test_a_study_whose_grid_cannot_be_used_loses_its_records_only(known: Path, place: Path, command: Command) -> None:
    Store(".study").write("studies/tiny.yaml", b"study: tiny\n")
    known.unlink()
    stages = files(place / ".study" / "finetune")
    assert command("gc")[0] == 2
    code, shown, _ = command("rm", "tiny", "--yes")
    assert code == 0
    assert "the grid of tiny cannot be used (" in shown
    assert files(place / ".study" / "finetune") == stages
    assert not Store(".study").list_files("studies")


def test_while_another_study_is_unknown_nothing_is_removed(known: Path, place: Path, command: Command) -> None:
    Store(".study").write("studies/broken.yaml", b"study: broken\n")
    before = files(place)
    code, _, error = command("rm", "tiny", "--yes")
    assert code == 2
    assert "what the study 'broken' uses is unknown" in error
    assert files(place) == before


def test_a_study_that_runs_stays(known: Path, place: Path, command: Command) -> None:
    with Heartbeat(Store(".study"), mirror="other 0123"):
        assert command("rm", "tiny")[0] == 0
    with Heartbeat(Store(".study"), mirror="tiny 0123"):
        before = files(place / ".study" / "finetune")
        code, _, error = command("rm", "tiny", "--yes")
        assert code == 2
        assert "'tiny' is run by process" in error
        assert files(place / ".study" / "finetune") == before


def test_the_experiment_in_the_own_database_is_removed_for_good(
    known: Path, place: Path, tiny_results: Path, command: Command
) -> None:
    assert command("sync", "tiny.yaml")[0] == 0
    client = MlflowClient(f"sqlite:///{place}/.study/mlflow.db")
    before = client.get_experiment_by_name("tiny")
    assert before is not None
    assert (place / ".study" / "mlartifacts" / "tiny").is_dir()
    kept = client.create_run(client.create_experiment("mine")).info.run_id
    assert "MLflow experiment: tiny at sqlite:" in command("rm", "tiny")[1]
    assert client.search_runs([before.experiment_id])
    assert command("rm", "tiny", "--yes")[0] == 0
    assert client.get_experiment_by_name("tiny") is None
    assert not (place / ".study" / "mlartifacts" / "tiny").exists()
    assert client.get_run(kept).info.status == "RUNNING"
    for kind in ("pretrain", "finetune"):
        shutil.copytree(tiny_results / kind, place / ".study" / kind, dirs_exist_ok=True)
    assert command("sync", "tiny.yaml")[0] == 0
    again = client.get_experiment_by_name("tiny")
    assert again is not None
    assert len(client.search_runs([again.experiment_id], "tags.stage != ''")) == 6


@pytest.mark.slow
def test_a_server_that_does_not_answer_keeps_the_study(known: Path, place: Path, command: Command) -> None:
    server = Server(place / "server")
    server.start()
    try:
        given = ("--tracking-uri", server.uri)
        assert command("sync", "tiny.yaml", *given)[0] == 0
        server.kill()
        before = files(place / ".study"), files(place / "reports")
        code, output, error = command("rm", "tiny", "--yes", *given)
        assert (code, output) == (2, "")
        assert "nothing was removed from the store" in error
        assert (files(place / ".study"), files(place / "reports")) == before
        server.start()
        assert "its trash keeps it" in command("rm", "tiny", "--yes", *given)[1]
        experiment = MlflowClient(server.uri).get_experiment_by_name("tiny")
        assert experiment is not None
        assert experiment.lifecycle_stage == "deleted"
        assert not Store(".study").keys()
    finally:
        server.kill()
