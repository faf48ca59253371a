"""A tuning or a search with more trials than its space has distinct settings."""

from collections.abc import Iterator

from study.planning.state import StudyState
from study.utils.text import plural


def small_space(state: StudyState) -> Iterator[str]:
    """A sentence if fewer trials run than the grid requests."""
    space = state.study.space
    if space is None or space.budget == space.requested:
        return
    key = "search.trials" if space.searches else "tune.budget"
    each = "" if space.searches else " of a cell"
    yield (
        f"{key} is {space.requested:,}, but the space has {plural(space.budget, 'distinct setting')}{each}: only "
        f"{plural(space.budget, 'trial')}{each} will run, as a repeated setting gives the same result."
    )
