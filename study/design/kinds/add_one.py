"""The baseline is the bare model; each part is added in turn."""

from study.design.kinds.design import Design, DesignRequest
from study.design.kinds.one_at_a_time import check_parts, count_single_changes, single_changes


def check(request: DesignRequest) -> None:
    """Raises StudyError for a factor that is not a part with two levels."""
    check_parts(request, "add_one", "the baseline lacks the part and the other level adds it")


DESIGN = Design(
    written="add_one",
    summary="the bare model, which is the baseline, and each part added in turn",
    count=count_single_changes,
    cells=single_changes,
    check=check,
    bare=lambda request: request.baseline,
)
