"""The command line: `study` or `python -m study`. Commands import what they need, so that `--help` is fast.

Exit codes: see `study.cli.exit_codes`.
"""

import errno
import functools
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console

from study import __version__
from study.cli import home, streams
from study.cli.data import data
from study.cli.exit_codes import EPILOG, ExitCode
from study.cli.invocation import Verb, invocation
from study.cli.launch import launch
from study.cli.missing_store import missing, open_existing, store_above
from study.cli.name_conflict import check_name, name_warning
from study.cli.options import (
    REPORTS,
    STORE,
    AcceptMixedData,
    AsJson,
    GridPath,
    Replace,
    ReportsPath,
    StorePath,
    TrackingUri,
    Yes,
)
from study.design.study import load
from study.planning.state import StudyState
from study.store.results import Store
from study.utils.errors import RayLostError, StudyError
from study.utils.escape import terminal as escape
from study.utils.paths import expanded, expanded_option
from study.utils.redact import masked
from study.utils.text import plural

if TYPE_CHECKING:
    from study.cli.places import Places
    from study.planning.plan import Plan

app = typer.Typer(
    help="Ablation studies of lightweight vision transformers.",
    epilog=EPILOG,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
STUDY, RESULTS, SETUP = "Run a study", "Use its results", "Set up"  # headings in `study --help`


DISK_ERRORS = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM),
    *(errno.EIO, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG),
}


def _print_version(requested: bool) -> None:
    if requested:
        print(f"study {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Options of `study` itself."""


@app.command(cls=Verb, rich_help_panel=STUDY)
def plan(
    context: typer.Context,
    grid: GridPath,
    store: StorePath = STORE,
    as_json: AsJson = False,
    measure: Annotated[
        bool,
        typer.Option("--measure", help="Train a few steps of each model to estimate time, memory and power."),
    ] = False,
) -> None:
    """Show the cells, trials and stages of a study, and which of them are finished. Writes nothing."""
    from study.cli import plan as view
    from study.planning.plan import make_plan

    _note_missing(context, store)
    made = make_plan(_look(grid, Store(store)))
    if not as_json:
        view.show(made, _console())
        _warn_of_misfits(made)
        if warning := name_warning(made.state):
            _console().print(f"[yellow]warning:[/] {escape(warning)}", highlight=False)
    forecast = _measure(made, show=not as_json) if measure else None
    if as_json:
        print(json.dumps(view.as_json(made) | ({"forecast": forecast} if measure else {}), indent=1))


@app.command(cls=Verb, rich_help_panel=STUDY)
def run(
    context: typer.Context,
    grid: GridPath,
    address: Annotated[
        str | None,
        typer.Option(help="Ray cluster to join: auto or HOST:PORT.", show_default="this machine only"),
    ] = None,
    store: StorePath = STORE,
    reports: ReportsPath = REPORTS,
    tracking_uri: TrackingUri = None,
    recompute_damaged: Annotated[
        bool, typer.Option("--recompute-damaged", help="First remove stored stages that fail verification.")
    ] = False,
    recompute_outdated: Annotated[
        bool, typer.Option("--recompute-outdated", help="First remove results of other code or data.")
    ] = False,
    accept_mixed_data: AcceptMixedData = False,
    replace: Replace = False,
) -> None:
    """Run the missing stages of a study, then write its report. Run it again to resume."""
    from study.cli import run as sweep
    from study.cli.verify import discard_damaged, discard_outdated

    _note_missing(context, store)
    places = _places(context, Store(store), reports, tracking_uri, address, replace)
    state = _look(grid, Store(store), accept_mixed_data)
    if not replace:
        check_name(state, places, "run")
    if recompute_damaged and discard_damaged(state, _console()):
        state = state.look_again()
    if recompute_outdated:
        sweep.check_data(state, _console())  # before results are removed that could not be computed again
        if discard_outdated(state, _console()):
            # with a new store, which has not read the removed results
            state = _look(grid, Store(store), accept_mixed_data)
    raise typer.Exit(sweep.run(state, places, _console()))


@app.command(name="list", cls=Verb, rich_help_panel=RESULTS)
def list_studies(store: StorePath = STORE, reports: ReportsPath = REPORTS, as_json: AsJson = False) -> None:
    """List the studies that were run with a store, and how far."""
    from study.cli import studies as view

    found = view.listed(open_existing(store), reports)
    if as_json:
        print(json.dumps([one.as_json() for one in found], indent=1))
    else:
        view.show(found, Store(store), _console())


@app.command(cls=Verb, rich_help_panel=RESULTS)
def status(
    context: typer.Context,
    grid: GridPath,
    store: StorePath = STORE,
    reports: ReportsPath = REPORTS,
    as_json: AsJson = False,
) -> None:
    """Show how far a study has been run, cell by cell, and what runs now. Writes nothing."""
    from study.cli import status as view

    found = view.Status.of(_look(grid, open_existing(store)), reports)
    if as_json:
        print(json.dumps(view.as_json(found), indent=1))
    else:
        view.show(found, _console(), invocation(context))


@app.command(cls=Verb, rich_help_panel=RESULTS)
def failures(
    grid: Annotated[
        Path | None,
        typer.Argument(metavar="GRID", callback=expanded_option, help="Only the failures of this grid's study."),
    ] = None,
    store: StorePath = STORE,
    as_json: AsJson = False,
) -> None:
    """Show what failed, when, where, and with which error: of one study, or of all in a store."""
    from study.cli import failures as view

    found = view.of_study(_look(grid, open_existing(store))) if grid else view.of_store(open_existing(store))
    if as_json:
        print(json.dumps(view.as_json(found), indent=1))
    else:
        view.show(found, _console())


@app.command(cls=Verb, rich_help_panel=RESULTS)
def show(
    target: Annotated[
        str,
        typer.Argument(
            metavar="KEY|RUN|CELL", help="The first digits of a stage's key, an MLflow run id, CELL or STUDY/CELL."
        ),
    ],
    store: StorePath = STORE,
    tracking_uri: TrackingUri = None,
    as_json: AsJson = False,
) -> None:
    """Show a stage or a cell: settings, relations, time and place, metrics, learning curve, files."""
    from study.cli import show as view

    stored = open_existing(store)
    found = view.find(target, stored, _tracking_uri(tracking_uri, stored))
    if as_json:
        print(json.dumps(found.as_json(), indent=1))
    else:
        found.show(_console())


@app.command(name="gc", cls=Verb, rich_help_panel=RESULTS)
def collect_garbage(
    grids: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[GRID]...", help="Grids that are used, in addition to those that were run."),
    ] = None,
    store: StorePath = STORE,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """List what no known study uses, and how large it is; remove it with --yes."""
    from study.cli import gc as view

    found = view.unused(open_existing(store), [load(expanded(grid)) for grid in grids or ()])
    if yes:
        found.remove()
    if as_json:
        print(json.dumps(found.as_json(yes), indent=1))
    else:
        view.show(found, yes, _console())


@app.command(cls=Verb, rich_help_panel=RESULTS)
def rm(
    target: Annotated[
        str, typer.Argument(metavar="GRID|STUDY", help="Grid file, or the name of a study in the store.")
    ],
    store: StorePath = STORE,
    reports: ReportsPath = REPORTS,
    tracking_uri: TrackingUri = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Show a study's own stages, records, report and MLflow experiment; remove them with --yes. Shared stages stay."""
    from study.cli.rm import Removal, Target

    stored = open_existing(store)
    removal = Removal.of(Target.find(target, stored), stored, reports, _tracking_uri(tracking_uri, stored))
    if yes:
        removal.remove()
    if as_json:
        print(json.dumps(removal.as_json(yes), indent=1))
    else:
        removal.show(yes, _console())


@app.command(cls=Verb, rich_help_panel=RESULTS)
def report(
    context: typer.Context,
    grid: GridPath,
    store: StorePath = STORE,
    reports: ReportsPath = REPORTS,
    tracking_uri: TrackingUri = None,
    accept_mixed_data: AcceptMixedData = False,
    replace: Replace = False,
) -> None:
    """Rebuild the report of a study from stored results."""
    from study.cli.report import rebuild_report

    found = open_existing(store)
    places = _places(context, found, reports, tracking_uri)
    state = _look(grid, found, accept_mixed_data)
    if not replace:
        check_name(state, places, "report")
    raise typer.Exit(rebuild_report(state, places, _console()))


@app.command(cls=Verb, rich_help_panel=RESULTS)
def replicate(
    context: typer.Context,
    grid: GridPath,
    replicates: Annotated[
        int | None,
        typer.Option(help="Replicates of the new study.", show_default="those of GRID, or as many as its claims need"),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the new study.", show_default="STUDY-replication")] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", callback=expanded_option, help="New grid file.", show_default="NAME.yaml beside GRID"),
    ] = None,
    store: StorePath = STORE,
) -> None:
    """Write the grid of a new study that tests the claims of this one again, with seeds of its own."""
    from study.cli.replicate import replicate as write

    _note_missing(context, store)
    write(_look(grid, Store(store)), replicates, name, out, invocation(context), _console())


@app.command(name="export", cls=Verb, rich_help_panel=RESULTS)
def export_models(
    grid: GridPath,
    store: StorePath = STORE,
    to: Annotated[
        Path | None, typer.Option("--to", callback=expanded_option, help="Output folder.", show_default="exports/STUDY")
    ] = None,
    tolerance: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Largest loss of validation accuracy with which int8 is kept.")
    ] = 0.01,
) -> None:
    """Export the model of each finished cell to ONNX, float32 and int8; measure size and one-core latency."""
    state = _look(grid, open_existing(store))
    from study.execution import export_models

    folder = to or Path("exports") / state.study.name
    count = export_models.run(state, folder, tolerance, _console())
    _console().print(
        f"{plural(count, 'model')} exported to {escape(str(folder))}; the next report shows them",
        highlight=False,
    )


@app.command(cls=Verb, rich_help_panel=RESULTS)
def verify(context: typer.Context, grid: GridPath, store: StorePath = STORE) -> None:
    """Verify the checksums of all stored stages of a study."""
    from study.cli.verify import show

    raise typer.Exit(show(_look(grid, open_existing(store)), _console(), invocation(context)))


@app.command(cls=Verb, rich_help_panel=RESULTS)
def sync(
    context: typer.Context,
    grid: GridPath,
    store: StorePath = STORE,
    tracking_uri: TrackingUri = None,
    replace: Replace = False,
    rebuild: Annotated[
        bool,
        typer.Option("--rebuild", help="First set a database file aside, for example a damaged one; write a new one."),
    ] = False,
) -> None:
    """Deliver stored results, failures and early stops to MLflow, as far as they are missing there."""
    from study.cli.sync import sync as deliver

    found = open_existing(store)
    places = _places(context, found, REPORTS, tracking_uri, replace=replace)
    state = _look(grid, found)
    if not replace:
        check_name(state, places, "sync")
    raise typer.Exit(deliver(state, places, _console(), rebuild))


@app.command(cls=Verb, rich_help_panel=SETUP)
def doctor(
    context: typer.Context,
    grid: Annotated[
        Path | None,
        typer.Argument(metavar="GRID", callback=expanded_option, help="Grid file whose data sets to check."),
    ] = None,
    address: Annotated[str | None, typer.Option(help="Check every node of this Ray cluster.")] = None,
    store: StorePath = STORE,
    tracking_uri: TrackingUri = None,
) -> None:
    """Check the environment and suggest fixes: on this machine, or on every node of a cluster."""
    from study.launch import preflight as checks

    each = None
    if address:
        from study import execution

        each = functools.partial(execution.on_every_node, address)
    uri = _tracking_uri(tracking_uri, Store(store))
    found = checks.examine(store, uri, address, grid, each, invocation(context))
    checks.show(found, _console())
    raise typer.Exit(checks.exit_code(found))


app.add_typer(launch, name="launch", rich_help_panel=STUDY)
app.add_typer(data, name="data", rich_help_panel=SETUP)


@app.command(rich_help_panel=SETUP)
def schema() -> None:
    """Print the JSON Schema of grid files, for completion and checks in editors."""
    from study.design import json_schema as grids

    print(grids.text(), end="")


@app.command(cls=Verb, rich_help_panel=RESULTS)
def ui(
    store: StorePath = STORE,
    tracking_uri: TrackingUri = None,
    host: Annotated[str, typer.Option(help="Address to listen on; the default is local.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 5000,
) -> None:
    """Start the MLflow UI, by default on localhost."""
    from study import tracking
    from study.cli.ui import open_ui

    found = Store(store) if tracking_uri else open_existing(store)
    uri = _tracking_uri(tracking_uri, found)
    tracking.check_file(uri, found)
    open_ui(uri, host, port, _console())


def main() -> None:
    """Entry point. A StudyError, or a disk that is full or read-only, becomes one message and ExitCode.INVALID."""
    streams.accept_any_text()
    home.replace_unwritable()
    try:
        app()
    except RayLostError as error:
        _show_error(str(error))
        sys.stdout.flush()
        os._exit(ExitCode.RAY_LOST)  # Ray's own clean-up at exit would call what has died, and end with another code
    except StudyError as error:
        _exit_with(str(error))
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        _exit_with(f"{error.filename or 'disk'}: {error.strerror}; fix this and run again (finished stages are kept)")


def _exit_with(message: str) -> NoReturn:
    _show_error(message)
    sys.exit(ExitCode.INVALID)


def _show_error(message: str) -> None:
    Console(stderr=True).print(f"[red]error:[/] {escape(masked(message))}", highlight=False, soft_wrap=True)


def _measure(made: "Plan", show: bool) -> dict[str, object]:
    from study.cli import cost as view
    from study.planning import cost
    from study.report import collect

    console = _console() if show else Console(stderr=True)
    with console.status("measuring models") as status:
        forecast = cost.make_forecast(made, lambda done, of: status.update(f"measuring model {done + 1}/{of}"))
    trials = collect(made.state).trials
    spread = cost.difference_spread(trials[trials["status"] == "done"], made.study.baseline.name)
    if show:
        view.show(forecast, spread, console)
    return view.as_json(forecast, spread)


def _look(grid: Path, store: Store, accept_mixed_data: bool = False) -> StudyState:
    return StudyState.look(load(grid), store, accept_mixed_data=accept_mixed_data)


def _tracking_uri(given: str | None, store: Store) -> str:
    """The given server, or the store's own database. Raises StudyError if it is not an MLflow server or database."""
    from study import tracking

    uri = tracking.normalised(given) if given else tracking.default_uri(store)
    tracking.check_uri(uri)
    return uri


def _note_missing(context: typer.Context, store: str) -> None:
    """Report a store that does not exist, if it was given or a folder above has one. On the error output, since `plan`
    may print JSON."""
    if ("store" in invocation(context).places or store_above(store)) and not Store(store).exists:
        Console(stderr=True).print(f"[yellow]note:[/] {escape(missing(store))}", highlight=False, soft_wrap=True)


def _places(
    context: typer.Context,
    store: Store,
    reports: Path,
    tracking_uri: str | None,
    address: str | None = None,
    replace: bool = False,
) -> "Places":
    from study.cli.places import Places

    uri = _tracking_uri(tracking_uri, store)
    return Places(reports, uri, address, replace, invocation(context))


def _warn_of_misfits(made: "Plan") -> None:
    """Warn if a trial requires more resources than this machine has. A cluster may have them."""
    from study.launch import preflight

    for finding in preflight.fits(made.study.grid.resources):
        _console().print(f"[yellow]warning:[/] {escape(finding.message)}; {escape(finding.suggestion)}")


def _console() -> Console:
    return Console(soft_wrap=not sys.stdout.isatty())
