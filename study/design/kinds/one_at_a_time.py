"""Cells that differ from the baseline in one factor: shared by several designs."""

from collections.abc import Iterator

from study.design.kinds.design import Codes, DesignRequest
from study.utils.text import plural


def count_single_changes(request: DesignRequest) -> int:
    """The baseline, and one cell per other level."""
    return 1 + sum(number - 1 for number in request.levels)


def single_changes(request: DesignRequest) -> Iterator[Codes]:
    """The baseline, and every cell that differs from it in one factor."""
    baseline = request.baseline
    yield baseline
    for i, number in enumerate(request.levels):
        for level in range(1, number):
            yield (*baseline[:i], level, *baseline[i + 1 :])


def check_parts(request: DesignRequest, design: str, meaning: str) -> None:
    """Raises StudyError for a factor that is not a part with two levels: present and absent."""
    for factor in request.factors:
        if len(factor.levels) != 2:
            labels = ", ".join(level.label for level in factor.levels)
            raise factor.at.error(
                f"has {plural(len(factor.levels), 'level')} ({labels}), but design {design} requires two: {meaning}; "
                "use one level besides the baseline level, one factor per part, or design: one_factor"
            )
