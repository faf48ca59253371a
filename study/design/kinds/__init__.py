"""The designs of a study, one per file. To add one: a file here with a DESIGN, and its name in `_FILES`.

A design chooses cells by the positions of levels, 0 for the baseline level (see design.py). `aliases`, `generators`,
`one_at_a_time` and `sample` hold the computations that designs share.
"""

from collections.abc import Sequence
from importlib import import_module

from study.design.grid import Grid
from study.design.kinds.design import Design, DesignRequest
from study.design.yaml_file import Place, did_you_mean, shown
from study.utils.text import plural

_FILES = (
    "one_factor",
    "leave_one_out",
    "add_one",
    "both_ends",
    "factorial",
    "fractional",
    "search",
)

_designs: list[Design] = [import_module(f"{__name__}.{name}").DESIGN for name in _FILES]
DESIGNS: dict[str | tuple[str, ...], Design] = {design.written: design for design in _designs}
MAX_TRIALS = 1_000_000


def design_of(written: str | Sequence[str], at: Place) -> Design:
    """The design by its value in a grid. Raises StudyError for an unknown one."""
    design = DESIGNS.get(written if isinstance(written, str) else tuple(written))
    if design is None:
        text = written if isinstance(written, str) else f"[{', '.join(written)}]"
        names = [known.in_grid for known in DESIGNS.values()]
        raise at.error(f"invalid value {shown(written)}; {did_you_mean(text, names)}")
    return design


def check_keys(design: Design, grid: Grid, at: Place) -> None:
    """Raises StudyError for a grid key that belongs to another design."""
    for other in DESIGNS.values():
        for key in other.keys:
            if key not in design.keys and getattr(grid, key) is not None:
                message = f"belongs to design: {other.name}, but the design is {design.name}"
                raise (at / key).error(f"{message}; leave it out or change the design")


def check_request(design: Design, request: DesignRequest) -> None:
    """Raises StudyError for a grid that does not suit the design, or that has too many trials."""
    design.check(request)
    cells, replicates = design.count(request), request.grid.most_replicates
    if cells * replicates > MAX_TRIALS:
        size = f"{plural(cells, 'cell')} x {plural(replicates, 'replicate')}"
        raise (request.top / "design").error(f"{size} exceed the limit of {MAX_TRIALS:,} trials; {design.if_too_large}")
