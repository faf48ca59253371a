"""The verb `failures`: what failed, when, where, and with which error."""

from typing import Any

from rich.console import Console

from study.cli.when_and_where import when_and_where
from study.planning.failures import FailedStage, failed_stages
from study.planning.recorded_grids import recorded_studies
from study.planning.state import StudyState
from study.store.results import Store
from study.utils.escape import terminal as escape
from study.utils.text import plural

Found = list[tuple[str, FailedStage]]  # with the name of the study


def of_study(state: StudyState) -> Found:
    """The failures of one study. Raises StoreError."""
    return [(state.study.name, failed) for failed in failed_stages(state)]


def of_store(store: Store) -> Found:
    """The failures of all studies that were run with a store. Raises StoreError."""
    studies = [recorded.study for recorded in recorded_studies(store) if recorded.study]
    return [found for study in studies for found in of_study(StudyState.look(study, store))]


def as_json(found: Found) -> list[dict[str, Any]]:
    return [
        {"study": study, "stage": one.name, "key": one.stage.key, "error": one.failure.error,
         "certain": one.failure.certain, "provenance": dict(one.failure.provenance)}
        for study, one in found
    ]  # fmt: skip


def show(found: Found, console: Console) -> None:
    """Print each failure with its whole error."""
    for study, one in found:
        console.print(f"[bold]{escape(study)}  {escape(one.name)}[/]  {one.stage.key[:12]}", highlight=False)
        console.print(f"  {escape(when_and_where(one.failure.provenance))}", highlight=False, soft_wrap=True)
        for line in one.failure.error.strip().splitlines() or ["no message"]:
            console.print(f"  {escape(line)}", highlight=False, soft_wrap=True)
    console.print(f"{plural(len(found), 'stage')} failed, without a result since" if found else "no stage has failed")
