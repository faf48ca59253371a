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
    """Deliver results, failures and early stops, also those whose run was deleted on the server, and close the runs of
    dead drivers. Shows what the server confirmed.

    Returns FAILED if a stored stage cannot be read. Raises StudyError if the server fails; what was delivered before is
    shown. rebuild: first set the database file aside.
    """
    if rebuild:
        _set_aside(state, places, console)
    else:
        tracking.check_file(places.tracking_uri, state.store)
    missing, uri, done = tracking.undelivered(state, places.tracking_uri), places.tracking_uri, tracking.Deliveries()
    if missing:
        check_experiment(state, places, "sync")
    if missing or tracking.exists(uri):
        with tracking.Tracker(state, uri, sweep_tags(state), places.replace, compare=True) as tracker:
            _flush(tracker, console)
            tracker.finish("FINISHED", None)
        done = tracker.deliveries
        if tracker.problem is not None and not done.unreadable and (missing or not tracker.refused):
            if done != tracking.Deliveries():
                _show(done, places, console)
            raise StudyError(
                f"MLflow at {masked(uri)}: {tracker.problem}", to_add() if tracker.refused else tracker.advice
            )
    _show(done, places, console)
    for problem in done.unreadable.values():
        console.print(f"[red]not delivered:[/] {escape(problem)}", highlight=False, soft_wrap=True)
    return ExitCode.FAILED if done.unreadable else ExitCode.OK


def _set_aside(state: StudyState, places: Places, console: Console) -> None:
    folder = tracking.set_aside(places.tracking_uri, state.store)
    if folder is not None:
        console.print(
            f"the former MLflow database is in {escape(readable(folder))}, which can be removed", highlight=False
        )


def left_to_others(done: tracking.Deliveries) -> str:
    """A sentence on the stages that are left to other drivers; empty if there are none."""
    if not done.left:
        return ""
    return f"{plural(len(done.left), 'run')} left to another driver, which is running and delivers them itself"


def sweep_tags(state: StudyState) -> dict[str, str]:
    """The tags of all runs that one invocation delivers."""
    return {"commit": commit(), "grid": readable(state.study.path)}


def _flush(tracker: tracking.Tracker, console: Console) -> None:
    """Deliver everything. Other drivers that seem to be alive have to prove it: one may have been killed just now."""
    tracker.flush()
    if tracker.others and tracker.problem is None:
        with console.status("waiting for a sign of life of another driver, up to 2 minutes"):
            tracker.wait_for_others()
        tracker.flush()


def _show(done: tracking.Deliveries, places: Places, console: Console) -> None:
    uri = escape(masked(places.tracking_uri))
    found = f", {done.found} already there" if done.found else ""
    console.print(f"{plural(done.delivered, 'run')} delivered to {uri}{found}", highlight=False, soft_wrap=True)
    if done.closed:
        console.print(f"{plural(done.closed, 'run')} of dead drivers closed", highlight=False)
    if line := left_to_others(done):
        console.print(line, highlight=False)
