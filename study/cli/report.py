"""The verb `report`, and the last step of `run`: writes a study's report from its stored results."""

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from study.cli.exit_codes import ExitCode
from study.cli.places import Places
from study.design.metrics import Source, metric_of
from study.planning.state import StudyState
from study.tracking.ledger import Ledger
from study.utils.errors import Advice, StudyError
from study.utils.escape import terminal as escape

if TYPE_CHECKING:
    from study.report import Results


def write_report(state: StudyState, places: Places, console: Console) -> Path:
    """Write the report. Returns its folder."""
    return _write(_results(state, places), state, places, console)


def update_report(state: StudyState, places: Places, console: Console) -> Path:
    """Write the report unless it is up to date. Returns its folder."""
    from study.report import is_current
    from study.report.index import INDEX, write_index

    folder, results = places.reports / state.study.name, _results(state, places)
    if not is_current(results, folder):
        return _write(results, state, places, console)
    _show_export(results, state, places, console)
    console.print(f"report up to date: {escape(str(folder / 'report.html'))}", highlight=False)
    if not (places.reports / INDEX).exists():
        write_index(places.reports)
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
    _write(results, state, places, console)
    return ExitCode.FAILED if (results.trials["status"] == "failed").any() else ExitCode.OK


def _results(state: StudyState, places: Places) -> "Results":
    from study.report import collect

    return collect(state, Ledger(state.store, state.study.name).runs(places.tracking_uri))


def _write(results: "Results", state: StudyState, places: Places, console: Console) -> Path:
    from study.report import build
    from study.report.index import INDEX, write_index

    folder = places.reports / results.facts.study
    with console.status("writing the report"):
        made = build(results, folder)
        index = write_index(places.reports)
    for sentence in made.summary:
        console.print(escape(sentence), highlight=False)
    for warning in made.warnings:
        console.print(f"[yellow]warning:[/] {escape(warning)}", highlight=False)
    _show_export(results, state, places, console)
    page, notebook = (escape(str(folder / name)) for name in ("report.html", "report.ipynb"))
    console.print(f"report: {page} and {notebook}", highlight=False)
    if index is None:
        other = escape(str(places.reports / INDEX))
        console.print(f"[yellow]warning:[/] {other} is kept: it is not a list of reports", highlight=False)
    return folder


def _show_export(results: "Results", state: StudyState, places: Places, console: Console) -> None:
    """The command that measures exported models, if claims or contrasts are about models that are not exported yet."""
    grid = state.study.grid
    metrics = [claim.metric for claim in grid.claims] + [contrast.metric for contrast in grid.compare]
    needed = any(metric_of(metric).source == Source.EXPORT for metric in metrics)
    if needed and {cell.name for cell in state.study.included} - set(results.device["cell"]):
        command = places.invocation.command("export")
        console.print(f"to measure exported models: {escape(command)}", highlight=False, soft_wrap=True)
