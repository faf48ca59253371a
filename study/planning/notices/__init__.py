"""Notices: what a reader must know before any number of a study, because results may not be what they are taken for.

`plan`, `run`, `verify` and the report show them before anything else. Each check is a function of the state, in its own
file, that yields sentences: plain text with a full stop, without markup.
"""

from collections.abc import Callable, Iterable

from study.planning.notices.earlier_content import earlier_content
from study.planning.notices.mixed_data import mixed_data
from study.planning.notices.other_code import other_code
from study.planning.notices.shared_images import shared_images
from study.planning.notices.small_space import small_space
from study.planning.notices.uniform_images import uniform_images
from study.planning.state import StudyState

CHECKS: tuple[Callable[[StudyState], Iterable[str]], ...] = (
    mixed_data,
    earlier_content,
    other_code,
    shared_images,
    uniform_images,
    small_space,
)


def notices(state: StudyState) -> list[str]:
    """The sentences of all checks, in their order. Raises StoreError."""
    return [sentence for check in CHECKS for sentence in check(state)]
