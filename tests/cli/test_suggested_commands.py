"""Every command that a message suggests reaches the same study, store, server and cluster."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from mlflow import MlflowClient

from study.analysis.results import REBUILD
from study.cli.app import app
from study.utils.command_line import OPTIONS, Invocation
from study.utils.errors import StudyError

Command = Callable[..., tuple[int, str, str]]
VERBS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
SUGGESTED = re.compile(r"python -m study (.*)")
ODD = "my 'store' 100% ü"
words = st.text(st.characters(codec="utf-8", exclude_characters="\0\n\r", exclude_categories=["C", "Z"]), min_size=1)


def parsed(line: str) -> tuple[str, dict[str, object]]:
    """The verb of a command, and its parameters as the command line reads them."""
    verb, *arguments = shlex.split(line)
    return verb, VERBS[verb].make_context(verb, arguments).params


def suggested(output: str) -> str:
    """The only suggested command in an output."""
    found = SUGGESTED.findall(output)
    assert len(found) == 1, output
    return str(found[0])


def test_the_options_of_each_verb_are_repeated() -> None:
    places = {"store", "reports", "tracking_uri", "address"}
    for verb, options in OPTIONS.items():
        assert set(options) == places & {parameter.name for parameter in VERBS[verb].params}


@given(grid=words, store=words, address=words)
def test_any_text_survives_the_shell(grid: str, store: str, address: str) -> None:
    if grid.startswith("~"):
        return  # quoted: the shell leaves it, and the command line expands it
    given = Invocation(grid, {"store": store, "address": address})
    verb, arguments = parsed(given.command("run").removeprefix("python -m study "))
    if "***" not in given.command("run"):  # a secret is masked
        assert verb == "run"
        assert Path(str(arguments["grid"])) == Path(grid)
        assert (arguments["store"], arguments["address"]) == (store, address)


def test_a_password_is_masked() -> None:
    shown = Invocation("g.yaml", {"tracking_uri": "http://me:hunter2@host:5000"}).command("sync")
    assert shown == "python -m study sync g.yaml --tracking-uri 'http://***@host:5000'"


def test_an_error_without_a_command_line_names_the_grid_as_a_placeholder() -> None:
    assert str(StudyError("no results", REBUILD)) == "no results; to rebuild the report: python -m study report GRID"


@pytest.fixture
def moved(finished: Path, place: Path) -> Path:
    """The finished study with its store elsewhere, under a name that needs quoting."""
    (place / ".study").rename(place / ODD)
    return finished


def test_following_the_sync_hint_delivers_to_the_same_database(moved: Path, place: Path, command: Command) -> None:
    """The folder of the database cannot be created at first."""
    (place / "data bases").write_text("a file")
    uri = "sqlite:///data bases/runs.db"
    code, output, _ = command("run", moved.name, "--store", ODD, "--tracking-uri", uri)
    assert code == 0
    line = suggested(output)
    (place / "data bases").unlink()
    (place / "reports").rename(place / "old reports")
    code, output, _ = command(*shlex.split(line))
    assert code == 0
    assert "6 runs delivered to sqlite:///data bases/runs.db" in output
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("tiny")
    assert experiment is not None
    assert len(client.search_runs([experiment.experiment_id], "tags.stage = 'finetune'")) == 4
    assert not (place / ".study").exists()


@pytest.mark.parametrize("from_environment", [False, True])
def test_damage_is_repaired_in_the_same_store(
    moved: Path, place: Path, command: Command, monkeypatch: pytest.MonkeyPatch, from_environment: bool
) -> None:
    """Another shell may lack the environment variable, so the command has its value."""
    next((place / ODD / "finetune").glob("*/result.json")).write_text("{}")
    if from_environment:
        monkeypatch.setenv("STUDY_STORE", ODD)
        code, output, _ = command("verify", moved.name)
    else:
        code, output, _ = command("verify", moved.name, "--store", ODD)
    assert code == 1
    verb, arguments = parsed(suggested(output))
    assert verb == "run"
    assert (arguments["store"], arguments["recompute_damaged"]) == (ODD, True)


def test_a_server_in_the_environment_is_repeated_by_verbs_without_that_option(
    moved: Path, place: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    next((place / ODD / "finetune").glob("*/result.json")).write_text("{}")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///my runs.db")
    _, output, _ = command("verify", moved.name, "--store", ODD)
    verb, arguments = parsed(suggested(output).replace("my runs", "my other runs"))
    assert (verb, arguments["store"], arguments["tracking_uri"]) == ("run", ODD, "sqlite:///my other runs.db")


def test_a_study_without_results_names_its_own_run(moved: Path, place: Path, command: Command) -> None:
    moved.write_text(moved.read_text().replace("ffn_width_last: 4", "ffn_width_last: 6"))
    for verb, more in (("report", ["--reports", "my reports"]), ("export", [])):
        code, _, error = command(verb, moved.name, "--store", ODD, *more)
        assert code == 2
        verb, arguments = parsed(suggested(error))
        assert (verb, arguments["store"]) == ("run", ODD)
        assert str(arguments["reports"]) == (more[1] if more else "reports")


def test_only_what_was_given_is_repeated(finished: Path, place: Path, command: Command) -> None:
    next((place / ".study" / "finetune").glob("*/result.json")).write_text("{}")
    _, output, _ = command("verify", finished.name)
    assert suggested(output) == "run tiny.yaml --recompute-damaged"


def test_a_report_has_no_path_of_this_machine(moved: Path, place: Path, command: Command) -> None:
    """Not even if a stored result is damaged; and its commands are for a clone of the project."""
    next((place / ODD / "finetune").glob("*/result.json")).write_text("{}")
    command("report", moved.name, "--store", str(place / ODD))
    report = place / "reports" / "tiny"
    for path in report.rglob("*.*"):
        assert str(place).encode() not in path.read_bytes(), path
    text = "\n".join(cell.source for cell in nbformat.read(report / "report.ipynb", 4).cells)
    assert "checksum mismatch in result.json" in (report / "results.csv").read_text(encoding="utf-8")
    assert {parsed(line)[1]["grid"] for line in SUGGESTED.findall(text)} == {Path("again.yaml")}


def test_claims_on_exported_models_name_the_command_that_measures_them(
    moved: Path, place: Path, command: Command
) -> None:
    """Places with brackets are shown as they are: rich reads them as markup."""
    claim = "\nclaims:\n  - {claim: fast, kind: less, cells: {kv heads: 2}, metric: fp32_ms}\n"
    moved.write_text(moved.read_text() + claim)
    (place / ODD).rename(place / "a [red]store")
    code, output, _ = command("report", moved.name, "--store", "a [red]store", "--reports", "a [b]report")
    assert code == 0
    verb, arguments = parsed(suggested(output))
    assert (verb, arguments["store"]) == ("export", "a [red]store")
    assert "report: a [b]report/tiny/report.html and a [b]report/tiny/report.ipynb" in output
