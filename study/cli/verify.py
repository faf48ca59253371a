"""The verb `verify`: verifies all stored stages of a study, shows damaged ones and those trained on other data."""

from rich.console import Console

from study.cli.exit_codes import ExitCode
from study.cli.notices import show_notices
from study.planning import outdated
from study.planning.state import StudyState
from study.store.verify import Verified
from study.store.verify import verify as verify_stages
from study.utils.command_line import UNKNOWN, Invocation
from study.utils.escape import terminal as escape
from study.utils.text import plural


def verify(state: StudyState, weights: bool = True) -> Verified:
    """All stored stages of a study, those of tuning trials included. Raises StoreError."""
    return verify_stages(state.all_stages.values(), state.store, weights)


def show(state: StudyState, console: Console, invocation: Invocation = UNKNOWN) -> ExitCode:
    """Verify a study and show the result. Returns FAILED if a stage is damaged or was trained on other data."""
    show_notices(state, console)
    with console.status("verifying stored stages"):
        found, other = verify(state), state.other_data.reasons
    show_problems(found, state, console, invocation)
    for key, reason in other.items():
        console.print(f"[yellow]other data[/]  {escape(state.names[key])}: {escape(reason)}", highlight=False)
    passed, missing = found.ok - len(other), f", {found.missing} not run yet" if found.missing else ""
    console.print(f"{passed}/{plural(found.checked, 'stage')} passed verification{missing}", highlight=False)
    return ExitCode.FAILED if passed < found.checked else ExitCode.OK


def show_problems(found: Verified, state: StudyState, console: Console, invocation: Invocation) -> None:
    """One line per stage that is damaged or of a newer version, and how to fix them."""
    for stage, reason in found.damaged:
        console.print(f"[red]damaged[/]  {escape(state.names[stage.key])}: {escape(reason)}", highlight=False)
    if found.damaged:
        console.print(
            "damaged files are not used, and a trial whose result is damaged counts as failed; to recompute stages: "
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


def discard_damaged(state: StudyState, console: Console) -> bool:
    """Remove damaged stages, so that the next run recomputes them. Returns whether any was found. Raises StoreError."""
    damaged = verify(state).damaged
    for stage, reason in damaged:
        state.store.discard(stage)
        console.print(f"[yellow]removed[/]  {escape(reason)}", highlight=False)
    return bool(damaged)


def discard_outdated(state: StudyState, console: Console) -> bool:
    """Remove results of other code or data, so that the next run recomputes them. Returns whether any was found.

    Raises StoreError.
    """
    stages = outdated.discard(state)
    if stages:
        console.print(f"[yellow]removed[/]  {plural(len(stages), 'result')} of other code or data", highlight=False)
    return bool(stages)
