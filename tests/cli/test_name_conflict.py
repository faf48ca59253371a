"""A grid of another question, or with other factors, does not take over the name of a study unasked."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.tiny_grid import ONE_REPLICATE, TINY
from mlflow import MlflowClient

from study.design.study import load
from study.planning.study_identity import Identity, conflict, known
from study.store.results import Store

Command = Callable[..., tuple[int, str, str]]
OTHER = ONE_REPLICATE.replace("Do all parts work together?", "Is a probe enough?")


@pytest.fixture
def ran(finished: Path, place: Path, command: Command) -> Path:
    """The finished study after `run`, which had no stage to run."""
    assert command("run", finished.name)[0] == 0
    return finished


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("source", ["the store", "the report"])
@pytest.mark.parametrize("verb", ["run", "report", "sync"])
@pytest.mark.slow
def test_another_question_is_refused(ran: Path, place: Path, command: Command, verb: str, source: str) -> None:
    """Known from the store, and from the report of a store of an earlier version, or of another one."""
    (place / "other.yaml").write_text(OTHER)
    if source == "the report":
        shutil.rmtree(place / ".study" / "studies")
    before = contents(place / "reports"), contents(place / ".study" / "tracking")
    code, _, error = command(verb, "other.yaml")
    assert code == 2
    assert "study: 'tiny' is the name of another study" in error
    assert "its question is 'Do all parts work together?', here 'Is a probe enough?'" in error
    assert f"python -m study {verb} other.yaml --replace" in error
    assert (contents(place / "reports"), contents(place / ".study" / "tracking")) == before


@pytest.mark.slow
def test_another_name_gets_its_own_report_and_experiment(ran: Path, place: Path, command: Command) -> None:
    (place / "other.yaml").write_text(OTHER.replace("study: tiny", "study: probe"))
    assert command("run", "other.yaml")[0] == 0
    client = MlflowClient("sqlite:///.study/mlflow.db")
    for name, question in (("tiny", "Do all parts work together?"), ("probe", "Is a probe enough?")):
        facts = json.loads((place / "reports" / name / "study.json").read_text(encoding="utf-8"))
        assert facts["question"] == question
        experiment = client.get_experiment_by_name(name)
        assert experiment is not None
        assert len(client.search_runs([experiment.experiment_id], "tags.stage = 'finetune'")) == 4


@pytest.mark.slow
def test_replace_takes_the_name_over(ran: Path, place: Path, command: Command) -> None:
    """Afterwards it is the name of the new study: no flag is needed again, and the old grid is refused."""
    (place / "other.yaml").write_text(OTHER)
    assert "warning: 'tiny' is the name of another study" in command("plan", "other.yaml")[1]
    assert command("run", "other.yaml", "--replace")[0] == 0
    assert json.loads((place / "reports" / "tiny" / "study.json").read_text())["question"] == "Is a probe enough?"
    assert "warning" not in command("plan", "other.yaml")[1]
    assert command("run", "other.yaml")[0] == 0
    assert command("report", ran.name)[0] == 2


@pytest.mark.slow
def test_a_study_grows_in_its_own_file(ran: Path, place: Path, command: Command) -> None:
    """Another replicate, and a clearer question."""
    ran.write_text(TINY.replace("Do all parts work together?", "Do all parts of the model work together?"))
    assert command("report", ran.name)[0] == 0


@pytest.mark.slow
def test_the_grid_of_a_report_is_the_same_study(ran: Path, place: Path, command: Command) -> None:
    """As the report's section on reproduction describes."""
    shutil.copy(place / "reports" / "tiny" / "grid.yaml", place / "again.yaml")
    assert command("run", "again.yaml")[0] == 0
    assert command("report", "again.yaml")[0] == 0


WIDTHS = {"encoder": {"width": 16}, "finetune": {"epochs": 2}}
FIRST = Identity("/p/grids/a.yaml", "Which parts?", ("heads", "depth"), WIDTHS)
OTHER_FILE = replace(FIRST, grid="/p/grids/b.yaml")
MORE = ("depth", "heads", "experts")
LONGER = {"encoder": {"width": 16, "new": 1}, "finetune": {"epochs": 9}}


@pytest.mark.parametrize(
    ("now", "parts"),
    [
        (FIRST, []),
        (replace(FIRST, question="Which  parts?"), []),
        (replace(FIRST, varied=MORE), []),
        (replace(FIRST, baseline=LONGER), []),  # edited in its own file
        (replace(FIRST, question="Why?"), []),
        (replace(FIRST, varied=("width",)), []),
        (replace(FIRST, question="Why?", varied=("width",)), ["question", "2 factors heads, depth are"]),
        (OTHER_FILE, []),  # a copy, for example on a cluster
        (replace(OTHER_FILE, varied=MORE, baseline={"encoder": {"width": 16, "new": 1}}), []),
        (replace(OTHER_FILE, question="Why?"), ["'Which parts?', here 'Why?'"]),
        (replace(OTHER_FILE, varied=("heads",)), ["1 factor depth is"]),
        (replace(OTHER_FILE, baseline=LONGER), ["finetune.epochs is 2, here 9"]),
        (replace(FIRST, grid="/q/grids/a.yaml", question="Why?"), []),  # the project was moved
    ],
)
def test_what_another_study_is(now: Identity, parts: list[str]) -> None:
    found = conflict(FIRST, now, lambda _one, _other: False)
    assert bool(found) == bool(parts)
    assert all(part in found for part in parts)


def test_the_same_data_elsewhere_are_the_same_study() -> None:
    before = replace(FIRST, baseline={"finetune": {"dataset": "imagefolder:here", "mode": "probe"}})
    moved = replace(OTHER_FILE, baseline={"finetune": {"dataset": "imagefolder:there", "mode": "probe"}})
    same = {"imagefolder:here", "imagefolder:there"}
    assert conflict(before, moved, lambda *names: set(names) == same) == ""
    assert "finetune.dataset is" in conflict(before, moved, lambda _one, _other: False)


def test_a_report_names_its_grid_relative_to_the_working_folder(tiny: Path) -> None:
    now = Identity.of(load(tiny))
    in_report = replace(now, grid="tiny.yaml", question="Another?")
    assert now.is_same_file(in_report)
    assert not now.is_same_file(replace(in_report, grid="iny.yaml"))


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"grid": 1}', b'{"varied": [], "unknown": 1}'])
def test_a_damaged_record_is_no_record(tiny: Path, tmp_path: Path, damage: bytes) -> None:
    store = Store(tmp_path / "store")
    store.write("studies/tiny.json", damage)
    assert known(load(tiny), store) is None
