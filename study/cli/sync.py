"""The verb `sync`: delivers the results of a study that are missing in MLflow."""

from rich.console import Console

from study import tracking
from study.cli.exit_codes import ExitCode
from study.cli.name_conflict import check_experiment, to_add
from study.cli.places import Places
from study.planning.state import StudyState
from study.utils.errors import StudyError
from study.utils.escape import terminal as escape
from study.utils.provenance import commit
from study.utils.redact import masked
from study.utils.text import plural, readable


def sync(state: StudyState, places: Places, console: Console, rebuild: bool = False) -> ExitCode:
    """Deliver results, failures and early stops. Returns the exit code. Raises StudyError if the server fails.

    rebuild: first set the database file aside.
    """
    if rebuild:
        _set_aside(state, places, console)
    else:
        tracking.check_file(places.tracking_uri, state.store)
    stages, uri = tracking.undelivered(state, places.tracking_uri), masked(places.tracking_uri)
    if stages:
        check_experiment(state, places, "sync")
        with tracking.Tracker(state, places.tracking_uri, sweep_tags(state), places.replace) as tracker:
            tracker.flush()
            tracker.finish("FINISHED", None)
        if tracker.problem is not None:
            raise StudyError(f"MLflow at {uri}: {tracker.problem}", to_add() if tracker.refused else tracker.advice)
    console.print(f"{plural(len(stages), 'run')} delivered to {escape(uri)}", highlight=False)
    return ExitCode.OK


def _set_aside(state: StudyState, places: Places, console: Console) -> None:
    folder = tracking.set_aside(places.tracking_uri, state.store)
    if folder is not None:
        console.print(
            f"the former MLflow database is in {escape(readable(folder))}, which can be removed", highlight=False
        )


def sweep_tags(state: StudyState) -> dict[str, str]:
    """The tags of all runs that one invocation delivers."""
    return {"commit": commit(), "grid": readable(state.study.path)}
