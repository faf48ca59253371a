"""Leave one out and add one: each part is removed from the full model and added to the bare one."""

from collections.abc import Iterator

from study.design.kinds import leave_one_out
from study.design.kinds.design import Codes, Design, DesignRequest
from study.design.kinds.one_at_a_time import single_changes


def count(request: DesignRequest) -> int:
    return len(list(cells(request)))


def cells(request: DesignRequest) -> Iterator[Codes]:
    """The full model, each part removed, the bare model, each part added to it; a cell of both ends comes once."""
    removed = list(single_changes(request))
    added = [tuple(1 - code for code in codes) for codes in removed]
    yield from dict.fromkeys([*removed, *added])


def bare(request: DesignRequest) -> Codes:
    return (1,) * len(request.factors)


DESIGN = Design(
    written=("leave_one_out", "add_one"),
    summary="the full model, which is the baseline, and each part removed in turn; the bare model, and each part added "
    "in turn",
    count=count,
    cells=cells,
    check=leave_one_out.check,
    full=lambda request: request.baseline,
    bare=bare,
)
