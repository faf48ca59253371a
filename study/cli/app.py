"""The command line: the only place where all parts meet.

Exit codes: 0 all done; 1 some trials failed; 2 a mistake in what was asked, nothing written; 130 interrupted.
"""

import errno
import functools
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from study.cli.launch import launch
from study.design import study as design
from study.store.results import Store
from study.utils.errors import StudyError
from study.utils.text import plural

if TYPE_CHECKING:
    from study.cli.run import Places
    from study.planning.plan import Plan

app = typer.Typer(
    help="Ablation studies of lightweight vision transformers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

GridPath = Annotated[Path, typer.Argument(metavar="GRID", help="a grid file, such as grids/quickstart.yaml")]
StorePath = Annotated[
    str,
    typer.Option(
        "--store", envvar="STUDY_STORE", help="finished stages of all studies: a folder, s3://... or gs://..."
    ),
]
ReportsPath = Annotated[Path, typer.Option("--reports", help="folder under which reports are written")]
TrackingUri = Annotated[
    str | None, typer.Option(envvar="MLFLOW_TRACKING_URI", help="MLflow server; default: a SQLite file in the store")
]
DISK_ERRORS = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM),
    *(errno.EIO, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG),
}
STORE = ".study"
REPORTS = Path("reports")


@app.command()
def plan(
    grid: GridPath,
    store: StorePath = STORE,
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
    measure: Annotated[
        bool, typer.Option("--measure", help="train a few steps of each shape: time, memory, what can be detected")
    ] = False,
) -> None:
    """Show a study's cells, trials and stages, their sizes, and what is already done."""
    from study.planning import plan as planning

    made = planning.make_plan(design.load(grid), Store(store))
    if not as_json:
        planning.show(made, _console())
        _warn_of_misfits(made)
    forecast = _measure(made, Store(store), show=not as_json) if measure else None
    if as_json:
        print(json.dumps(planning.as_json(made) | ({"forecast": forecast} if measure else {}), indent=1))


@app.command()
def run(
    grid: GridPath,
    address: Annotated[
        str | None,
        typer.Option(help="a Ray cluster (auto or HOST:PORT, from one of its machines); default: this machine alone"),
    ] = None,
    store: StorePath = STORE,
    reports: ReportsPath = REPORTS,
    tracking_uri: TrackingUri = None,
    recompute_damaged: Annotated[
        bool, typer.Option("--recompute-damaged", help="first remove stored stages that fail their checksums")
    ] = False,
) -> None:
    """Run what a study is missing, then write its report. Running again resumes."""
    from study.cli import run as sweep

    if recompute_damaged:
        from study.store import verify as verifying

        verifying.discard_damaged(design.load(grid), Store(store), _console())
    made, places = _prepare(grid, store, reports, tracking_uri, address)
    raise typer.Exit(sweep.run(made, places, _console()))


@app.command()
def report(
    grid: GridPath, store: StorePath = STORE, reports: ReportsPath = REPORTS, tracking_uri: TrackingUri = None
) -> None:
    """Rebuild a study's report from stored results alone."""
    from study.cli import run as sweep

    made, places = _prepare(grid, store, reports, tracking_uri)
    raise typer.Exit(sweep.rebuild_report(made, places, _console()))


@app.command(name="export")
def export_models(
    grid: GridPath,
    store: StorePath = STORE,
    to: Annotated[Path | None, typer.Option("--to", help="folder for the files [default: exports/STUDY]")] = None,
    tolerance: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="validation accuracy, as a share, that int8 may lose and be kept")
    ] = 0.01,
) -> None:
    """Export each finished cell's model to ONNX, float32 and int8, and measure size and latency on one core."""
    made = design.load(grid)
    from study.execution import export_models

    folder = to or Path("exports") / made.name
    count = export_models.run(made, Store(store), folder, tolerance, _console())
    _console().print(
        f"{plural(count, 'model')} exported to {escape(str(folder))}; see the next report", highlight=False
    )


@app.command()
def verify(grid: GridPath, store: StorePath = STORE) -> None:
    """Check every file of a study's stored stages against the checksum it was written with."""
    from study.store import verify as verifying

    raise typer.Exit(verifying.show(design.load(grid), Store(store), _console()))


@app.command()
def sync(grid: GridPath, store: StorePath = STORE, tracking_uri: TrackingUri = None) -> None:
    """Deliver to MLflow what it lacks of a study's stages: results, failures and early stops."""
    from study.cli import run as sweep

    made, places = _prepare(grid, store, REPORTS, tracking_uri)
    raise typer.Exit(sweep.sync(made, places, _console()))


@app.command()
def doctor(
    grid: Annotated[Path | None, typer.Argument(metavar="GRID", help="also look at its data sets")] = None,
    address: Annotated[str | None, typer.Option(help="look at every node of this Ray cluster")] = None,
    store: StorePath = STORE,
    tracking_uri: TrackingUri = None,
) -> None:
    """Look for what trips sweeps, on this machine or on every node of a cluster, and say each thing's cure."""
    from study import tracking
    from study.launch import preflight as checks

    each = None
    if address:
        from study import execution

        each = functools.partial(execution.on_every_node, address)
    found = checks.examine(store, tracking_uri or tracking.default_uri(Store(store)), address, grid, each)
    checks.show(found, _console())
    raise typer.Exit(checks.exit_code(found))


app.add_typer(launch, name="launch")


@app.command()
def schema() -> None:
    """Print the JSON Schema of a grid file, with which editors complete and check it."""
    from study.design import json_schema as grids

    print(grids.text(), end="")


@app.command()
def ui(
    store: StorePath = STORE,
    tracking_uri: TrackingUri = None,
    host: Annotated[
        str, typer.Option(help="who may look: this machine alone, or whoever reaches this address")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="of that address")] = 5000,
) -> None:
    """Open MLflow's pages, on localhost unless told otherwise."""
    from study import tracking
    from study.cli import run as sweep

    sweep.open_ui(tracking_uri or tracking.default_uri(Store(store)), host, port, _console())


def main() -> None:
    """Entry point: a StudyError, or a disk that is full or read-only, is one message and exit code 2."""
    try:
        app()
    except StudyError as error:
        _complain(str(error))
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        _complain(
            f"{error.filename or 'disk'}: {error.strerror}; finished stages are kept, run again once it is put right"
        )


def _complain(message: str) -> None:
    Console(stderr=True).print(f"[red]error:[/] {escape(message)}", highlight=False, soft_wrap=True)
    sys.exit(2)


def _measure(made: "Plan", store: Store, show: bool) -> dict[str, object]:
    from study.planning import cost as forecast
    from study.report import collect

    console = _console() if show else Console(stderr=True)
    with console.status("measuring") as status:
        told = forecast.make_forecast(made, lambda done, of: status.update(f"measuring shape {done + 1} of {of}"))
    trials = collect(made.study, store).trials
    spread = forecast.spread_of(trials[trials["status"] == "done"], made.study.baseline.name)
    if show:
        forecast.show(told, spread, console)
    return forecast.as_json(told, spread)


def _prepare(
    grid: Path, store: str, reports: Path, tracking_uri: str | None, address: str | None = None
) -> "tuple[Plan, Places]":
    from study import tracking
    from study.cli import run as sweep
    from study.planning import plan as planning

    place = Store(store)
    uri = tracking_uri or tracking.default_uri(place)
    tracking.check_uri(uri)
    return planning.make_plan(design.load(grid), place), sweep.Places(place, reports, uri, address)


def _warn_of_misfits(made: "Plan") -> None:
    """Say it where a trial asks for more than this machine has; a cluster may have it."""
    from study.launch import preflight

    for finding in preflight.fits(made.study.grid.resources):
        _console().print(f"[yellow]not on this machine:[/] {escape(finding.message)}; {escape(finding.suggestion)}")


def _console() -> Console:
    return Console(soft_wrap=not sys.stdout.isatty())
