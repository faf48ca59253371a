"""The baseline is the full model; each part is removed in turn."""

from study.design.kinds.design import Design, DesignRequest
from study.design.kinds.one_at_a_time import check_parts, count_single_changes, single_changes


def check(request: DesignRequest) -> None:
    """Raises StudyError for a factor that is not a part with two levels."""
    check_parts(request, "leave_one_out", "the baseline has the part and the other level removes it")


DESIGN = Design(
    written="leave_one_out",
    summary="the full model, which is the baseline, and each part removed in turn",
    count=count_single_changes,
    cells=single_changes,
    check=check,
    full=lambda request: request.baseline,
)
