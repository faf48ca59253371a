"""The verb `verify`: verifies all stored stages of a study and shows damaged and outdated ones."""

from rich.console import Console
from rich.markup import escape

from study.cli.exit_codes import ExitCode
from study.cli.notices import show_notices
from study.design.stages import Stage
from study.planning import outdated
from study.planning.state import StudyState
from study.store.verify import Verified
from study.store.verify import verify as verify_stages
from study.utils.command_line import UNKNOWN, Invocation
from study.utils.errors import StudyError
from study.utils.text import plural
from study.vit import subject


def verify(state: StudyState, weights: bool = True) -> Verified:
    """All stored stages of a study, those of tuning trials included. Raises StoreError."""
    return verify_stages(state.all_stages.values(), state.store, data_digest, weights)


def show(state: StudyState, console: Console, invocation: Invocation = UNKNOWN) -> ExitCode:
    """Verify a study and show the result. Returns FAILED if a stage is damaged or outdated."""
    show_notices(state, console)
    with console.status("verifying stored stages"):
        found = verify(state)
    show_problems(found, state, console, invocation)
    missing = f", {found.missing} not run yet" if found.missing else ""
    console.print(f"{found.ok}/{plural(found.checked, 'stage')} passed verification{missing}", highlight=False)
    return ExitCode.FAILED if found.ok < found.checked else ExitCode.OK


def show_problems(found: Verified, state: StudyState, console: Console, invocation: Invocation) -> None:
    """One line per stage that is damaged, of a newer version, or outdated, and how to fix them."""
    for stage, reason in found.damaged:
        console.print(f"[red]damaged[/]  {escape(state.names[stage.key])}: {escape(reason)}", highlight=False)
    if found.damaged:
        console.print(
            "damaged stages are not used, and their trials count as failed; to recompute them: "
            + escape(invocation.command("run", "--recompute-damaged")),
            highlight=False,
            soft_wrap=True,
        )
    for stage, reason in found.newer:
        console.print(f"[yellow]newer[/]  {escape(state.names[stage.key])}: {escape(reason)}", highlight=False)
    if found.newer:
        console.print(
            "results of newer versions are intact, but not read here, and their trials count as failed",
            highlight=False,
        )
    for stage, reason in found.outdated:
        console.print(f"[yellow]outdated[/]  {escape(state.names[stage.key])}: {escape(reason)}", highlight=False)
    if found.outdated:
        console.print(
            "outdated results are still used and not recomputed: restore the data, or move the new data to "
            "another path (results are stored by path)",
            highlight=False,
        )


def discard_damaged(state: StudyState, console: Console) -> bool:
    """Remove damaged stages, so that the next run recomputes them. Returns whether any was found. Raises StoreError."""
    damaged = verify(state).damaged
    for stage, reason in damaged:
        state.store.discard(stage)
        console.print(f"[yellow]removed[/]  {escape(reason)}", highlight=False)
    return bool(damaged)


def discard_outdated(state: StudyState, console: Console) -> bool:
    """Remove results of other code, so that the next run recomputes them. Returns whether any was found.

    Raises StoreError.
    """
    stages = outdated.discard(state)
    if stages:
        console.print(f"[yellow]removed[/]  {plural(len(stages), 'result')} of other code", highlight=False)
    return bool(stages)


def data_digest(stage: Stage) -> str | None:
    """The current digest of user data; None if it is not found, and for built-in data sets, which cannot change."""
    if not subject.is_own_data(stage.dataset):
        return None
    try:
        return subject.data_digest(stage.settings)
    except StudyError:
        return None
