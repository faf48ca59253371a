"""Which combinations of levels a design takes. One kind of design per file; a new one is a line in DESIGNS.

Designs know levels by their positions, 0 the baseline's; what they mean is study/design.py's business.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from study.design.grid import Grid
from study.design.kinds import factorial, fractional, one_at_a_time
from study.design.kinds.ask import Ask, Codes
from study.design.yaml_file import Place


@dataclass(frozen=True)
class Design:
    """A kind of design. `check` raises StudyError where a grid asks for what cannot be."""

    check: Callable[[Ask], None]
    count: Callable[[Ask], int]  # of cells, before any is made
    cells: Callable[[Ask], Iterator[Codes]]  # all different, the baseline first


DESIGNS: Mapping[str, Design] = {
    "one_factor": Design(one_at_a_time.check_nothing, one_at_a_time.count, one_at_a_time.cells),
    "leave_one_out": Design(one_at_a_time.check_removes, one_at_a_time.count, one_at_a_time.cells),
    "add_one": Design(one_at_a_time.check_adds, one_at_a_time.count, one_at_a_time.cells),
    "leave_one_out and add_one": Design(one_at_a_time.check_removes, one_at_a_time.count_both, one_at_a_time.both),
    "fractional": Design(fractional.check, fractional.count, fractional.cells),
    "search": Design(one_at_a_time.check_nothing, one_at_a_time.count_one, one_at_a_time.only_baseline),
    "factorial": Design(factorial.check, factorial.count, factorial.cells),
}
OWNERS = {"resolution": "fractional", "sample": "factorial"}  # keys that belong to one design


def design_name(grid: Grid) -> str:
    """What a design is called where people read."""
    return grid.design if isinstance(grid.design, str) else " and ".join(grid.design)


def checked(ask: Ask, max_trials: int) -> Design:
    """The design that a grid asks for. Raises StudyError where it cannot be, or would be too large."""
    name = design_name(ask.grid)
    _check_keys(ask.grid, name, ask.top)
    design = DESIGNS[name]
    design.check(ask)
    cells, replicates = design.count(ask), ask.grid.most_replicates
    if cells * replicates > max_trials:
        message = f"{cells:,} cells x {replicates:,} replicates are more than {max_trials:,} trials"
        ways = "replicates, a 'sample' of the product," if name == "factorial" else "replicates"
        raise (ask.top / "design").error(f"{message}; take fewer levels or {ways} or design: one_factor")
    return design


def _check_keys(grid: Grid, name: str, top: Place) -> None:
    for key, owner in OWNERS.items():
        if key in grid.model_fields_set and getattr(grid, key) is not None and name != owner:
            raise (top / key).error(f"belongs to design: {owner}, but this one is {name}; leave it out, or change that")
