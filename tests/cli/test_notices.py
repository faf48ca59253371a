"""Notices are shown before anything else: by plan, run and verify, and in the report."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from study.planning import notices
from study.planning.state import StudyState

Command = Callable[..., tuple[int, str, str]]
SENTENCES = ["Something about <b>all</b> [bold]results[/].", "And one more."]


@pytest.fixture
def noticed(monkeypatch: pytest.MonkeyPatch, finished: Path) -> Path:
    def check(state: StudyState) -> list[str]:
        return SENTENCES

    monkeypatch.setattr(notices, "CHECKS", (check,))
    return finished


@pytest.mark.parametrize("verb", ["plan", "run", "verify"])
def test_a_command_shows_them_first(noticed: Path, command: Command, verb: str) -> None:
    code, shown, _ = command(verb, noticed.name)
    assert code == 0
    assert shown.splitlines()[:2] == [f"notice: {sentence}" for sentence in SENTENCES]


def test_a_plan_as_json_starts_with_them(noticed: Path, command: Command) -> None:
    _, shown, _ = command("plan", noticed.name, "--json")
    assert next(iter(json.loads(shown).items())) == ("notices", SENTENCES)


def test_they_are_the_first_section_of_a_report_and_the_start_of_its_table(
    noticed: Path, place: Path, command: Command
) -> None:
    code, shown, _ = command("report", noticed.name)
    assert code == 0
    assert shown.splitlines()[:2] == SENTENCES
    folder = place / "reports" / "tiny"
    assert json.loads((folder / "study.json").read_text())["notices"] == SENTENCES
    notebook = json.loads((folder / "report.ipynb").read_text())
    assert notebook["metadata"]["study"]["sections"][0] == "Notices"
    assert (folder / "table.md").read_text().startswith("Something about")
    page = (folder / "report.html").read_text()
    heading = page.index("<h2")
    assert "Notices" in page[heading : heading + 100]
    assert page.index("&lt;b&gt;all&lt;/b&gt;") > heading
