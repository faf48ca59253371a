"""The verb `report`, and the last step of `run`: writes a study's report from its stored results."""

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from study.cli.exit_codes import ExitCode
from study.cli.places import Places
from study.planning.state import StudyState
from study.tracking.ledger import Ledger
from study.utils.errors import Advice, StudyError

if TYPE_CHECKING:
    from study.report import Results


def write_report(state: StudyState, places: Places, console: Console) -> Path:
    """Write the report. Returns its folder."""
    return _write(_results(state, places), places, console)


def update_report(state: StudyState, places: Places, console: Console) -> Path:
    """Write the report unless it is up to date. Returns its folder."""
    from study.report import is_current

    folder, results = places.reports / state.study.name, _results(state, places)
    if not is_current(results, folder):
        return _write(results, places, console)
    console.print(f"report up to date: {folder / 'report.html'}", highlight=False)
    return folder


def rebuild_report(state: StudyState, places: Places, console: Console) -> ExitCode:
    """Write the report from stored results. Returns FAILED if a trial failed.

    Raises StudyError if there is no result: an empty report would replace one that was made elsewhere.
    """
    if not any(state.observed.is_done(trial) for trial in state.trials):
        raise StudyError(
            f"no results of {state.study.name!r} in {state.store}; give the store with its results with --store",
            Advice("to run it", "run"),
        )
    results = _results(state, places)
    _write(results, places, console)
    return ExitCode.FAILED if (results.trials["status"] == "failed").any() else ExitCode.OK


def _results(state: StudyState, places: Places) -> "Results":
    from study.report import collect

    return collect(state, Ledger(state.store, state.study.name).runs(places.tracking_uri))


def _write(results: "Results", places: Places, console: Console) -> Path:
    from study.report import build

    folder = places.reports / results.facts.study
    with console.status("writing the report"):
        made = build(results, folder)
    for sentence in made.summary:
        console.print(escape(sentence), highlight=False)
    for warning in made.warnings:
        console.print(f"[yellow]warning:[/] {escape(warning)}", highlight=False)
    console.print(f"report: {folder / 'report.html'} and {folder / 'report.ipynb'}", highlight=False)
    return folder
