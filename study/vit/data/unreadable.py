"""Files of a data set that cannot be read, all in one message."""

from collections.abc import Sequence

from study.utils.errors import StudyError
from study.utils.text import plural

MOST = 20  # listed by name


def unreadable(what: str, problems: Sequence[str]) -> StudyError:
    """The error that lists them. `what`: what is read, for the first line; each problem names its file and reason."""
    more = [f"and {len(problems) - MOST:,} more"] if len(problems) > MOST else []
    lines = "".join(f"\n  {line}" for line in [*problems[:MOST], *more])
    return StudyError(f"{what}: {plural(len(problems), 'image')} cannot be read; replace or remove them:{lines}")
