"""One factor at a time: the baseline, and every other level of every factor alone."""

from study.design.kinds.design import Design
from study.design.kinds.one_at_a_time import count_single_changes, single_changes

DESIGN = Design(
    written="one_factor",
    summary="the baseline, and one change at a time",
    count=count_single_changes,
    cells=single_changes,
    if_too_large="use fewer levels or replicates",
)
