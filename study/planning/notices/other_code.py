"""The notice on results that other code computed."""

from collections.abc import Iterator

from study.planning.outdated import outdated
from study.planning.state import StudyState
from study.utils.text import plural

MOST = 5  # files that are named


def other_code(state: StudyState) -> Iterator[str]:
    """One sentence, if there are any. Raises StoreError."""
    found = outdated(state)
    if not found.stages:
        return
    verb = "was" if len(found.stages) == 1 else "were"
    yield (
        f"{len(found.stages)} of {plural(found.stored, 'result')} {verb} computed by other code "
        f"({_files(found.files)}); to compute them again, add --recompute-outdated to `run`."
    )


def _files(names: list[str]) -> str:
    if not names:
        return "its files are not recorded"
    more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
    return f"files: {', '.join(names[:MOST])}{more}"
