"""Shows the notices on a study, before the other output of a command."""

from rich.console import Console

from study.planning.notices import notices
from study.planning.state import StudyState
from study.utils.escape import terminal as escape


def show_notices(state: StudyState, console: Console) -> None:
    """One line per notice. Raises StoreError."""
    for sentence in notices(state):
        console.print(f"[yellow]notice:[/] {escape(sentence)}", highlight=False)
