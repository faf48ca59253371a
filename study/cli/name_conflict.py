"""A grid that has the name of another study: its report and its MLflow experiment are not replaced unasked."""

from pathlib import Path

from study import tracking
from study.analysis.results import FACTS_FILE
from study.cli.places import Places
from study.planning.state import StudyState
from study.planning.study_identity import Identity, conflict, known
from study.utils.errors import Advice, StudyError
from study.utils.redact import masked


def check_name(state: StudyState, places: Places, verb: str) -> None:
    """Raise StudyError if the store or the reports folder has another study of this name."""
    folder = places.reports / state.study.name
    in_report = Identity.of_report(_content(folder / FACTS_FILE))
    for before, where in ((known(state.study, state.store), f"in {state.store}"), (in_report, f"in {folder}")):
        if before is not None and (difference := conflict(before, Identity.of(state.study), state.contents.same)):
            raise StudyError(
                f"{state.study.path}: study: {state.study.name!r} is the name of another study {where}, of the grid "
                f"{before.grid}: {difference}. Choose another name, which gets its own report and MLflow experiment",
                Advice("to replace the other report and add to its experiment", verb, ("--replace",)),
            )


def check_experiment(state: StudyState, places: Places, verb: str) -> None:
    """Raise StudyError if an MLflow server has an experiment of another study of this name, as far as it answers."""
    if places.replace or tracking.is_own(places.tracking_uri, state.store):
        return
    try:
        tracking.check_early(places.tracking_uri, state)
    except tracking.AnotherStudyError as error:
        raise StudyError(f"MLflow at {masked(places.tracking_uri)}: {error.message}", to_add(verb)) from None


def to_add(verb: str = "sync") -> Advice:
    """The command that adds to the experiment of another study."""
    return Advice("to add to its experiment", verb, ("--replace",))


def name_warning(state: StudyState) -> str:
    """A sentence on another study of this name in the store; empty if there is none. Raises StoreError."""
    before = known(state.study, state.store)
    difference = conflict(before, Identity.of(state.study), state.contents.same) if before else ""
    if before is None or not difference:
        return ""
    return f"{state.study.name!r} is the name of another study in the store, of the grid {before.grid}: {difference}"


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
