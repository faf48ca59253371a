"""A store that does not exist is reported, and nothing is created."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from study.store.results import Store
from study.utils.errors import StudyError

Command = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize("store", ["nope", "a file", "an empty folder"])
@pytest.mark.parametrize("verb", ["verify", "sync", "report", "export", "ui"])
def test_a_mistyped_store_is_an_error(tiny: Path, place: Path, command: Command, verb: str, store: str) -> None:
    (place / "a file").touch()
    (place / "an empty folder").mkdir()
    before = sorted(place.rglob("*"))
    code, output, error = command(verb, *([] if verb == "ui" else [tiny.name]), "--store", store)
    assert (code, output) == (2, "")
    assert f"no store at {store};" in error
    assert sorted(place.rglob("*")) == before


@pytest.mark.parametrize("verb", ["verify", "sync", "report", "export"])
def test_from_a_subfolder_the_store_above_is_named(
    finished: Path, place: Path, command: Command, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    (place / "sub" / "folder").mkdir(parents=True)
    monkeypatch.chdir(place / "sub" / "folder")
    code, _, error = command(verb, "../../tiny.yaml")
    assert code == 2
    assert error.rstrip().endswith("no store at .study; did you mean --store ../../.study?")
    assert list((place / "sub").rglob("*")) == [place / "sub" / "folder"]


def test_plan_notes_a_store_that_was_given(tiny: Path, place: Path, command: Command) -> None:
    """On the error output: the other one may be JSON."""
    code, output, error = command("plan", tiny.name, "--json", "--store", "nope")
    assert code == 0
    assert json.loads(output)["trials"] == 8
    assert error == "note: no store at nope\n"
    assert sorted(place.iterdir()) == [tiny]


def test_replicate_notes_a_store_that_was_given(tiny: Path, place: Path, command: Command) -> None:
    """The number of replicates comes from it, so a mistyped one is not left unnoticed."""
    claim = "claims: [{claim: fewer heads lose, kind: less, cells: {kv heads: 2}}]\n"
    tiny.write_text(tiny.read_text() + claim)
    code, _, error = command("replicate", tiny.name, "--store", "nope")
    assert (code, error) == (0, "note: no store at nope\n")
    assert sorted(place.iterdir()) == [place / "tiny-replication.yaml", tiny]


def test_plan_of_a_new_study_is_without_notes(tiny: Path, place: Path, command: Command) -> None:
    assert command("plan", tiny.name)[2] == ""
    (place / ".study" / "finetune").mkdir(parents=True)
    assert command("plan", tiny.name, "--store", ".study")[2] == ""


def test_a_home_folder_is_expanded(
    finished: Path, place: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In options and in the environment, where the shell does not expand it."""
    home = place / "home"
    home.mkdir()
    (place / ".study").rename(home / "results")
    monkeypatch.setenv("HOME", str(home))
    assert command("verify", "tiny.yaml", "--store=~/results")[0] == 0
    monkeypatch.setenv("STUDY_STORE", "~/results")
    assert command("report", "tiny.yaml", "--reports=~/reports")[0] == 0
    assert (home / "reports" / "tiny" / "report.html").exists()
    assert not (place / "~").exists()


def test_an_unknown_user_is_an_error(tiny: Path, place: Path, command: Command) -> None:
    code, _, error = command("verify", tiny.name, "--store", "~no-such-user/store")
    assert code == 2
    assert "~no-such-user/store: no home folder for '~no-such-user'" in error


def test_a_file_url_is_decoded(tmp_path: Path) -> None:
    assert Store((tmp_path / "a b%ü").as_uri()).root == tmp_path / "a b%ü"
    with pytest.raises(StudyError):
        Store("nfs://host/x")
