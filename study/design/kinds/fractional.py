"""A regular fraction of a product of two-level factors; the baseline is in it."""

import itertools
from collections.abc import Iterator

from study.design.factors import Factor
from study.design.grid import Grid
from study.design.kinds.aliases import Aliases, alias_table
from study.design.kinds.ask import Ask, Codes
from study.design.kinds.generators import MAX_FACTORS, choose_columns, num_base

RESOLUTION = 4  # where none is written


def check(ask: Ask) -> None:
    """Raises StudyError for factors of more than two levels, for too many, and for too few to reach the resolution."""
    for factor in ask.factors:
        if len(factor.levels) > 2:
            labels = ", ".join(level.label for level in factor.levels)
            raise factor.at.error(
                f"has {len(factor.levels)} levels ({labels}), but a fractional design takes factors of two; keep two, "
                "or take design: factorial with a sample"
            )
    number, resolution = len(ask.factors), ask.grid.resolution or RESOLUTION
    if number > MAX_FACTORS:
        raise (ask.top / "factors").error(
            f"{number} factors are more than the {MAX_FACTORS} of a fractional design; take fewer, pair some, or take "
            "design: factorial with a sample"
        )
    if choose_columns(number, resolution) is None:
        raise (ask.top / ("resolution" if ask.grid.resolution else "design")).error(_too_few(number, resolution))


def count(ask: Ask) -> int:
    return 1 << num_base(_columns(ask.grid, ask.factors))


def cells(ask: Ask) -> Iterator[Codes]:
    """The product of the base factors, and what follows from them for the others."""
    columns = _columns(ask.grid, ask.factors)
    for base in itertools.product((0, 1), repeat=num_base(columns)):
        bits = sum(code << i for i, code in enumerate(base))
        yield tuple((bits & column).bit_count() % 2 for column in columns)


def aliases(grid: Grid, factors: tuple[Factor, ...]) -> Aliases:
    """The alias table of a design that has passed `check`."""
    return alias_table([factor.name for factor in factors], _columns(grid, factors))


def _columns(grid: Grid, factors: tuple[Factor, ...]) -> tuple[int, ...]:
    columns = choose_columns(len(factors), grid.resolution or RESOLUTION)
    assert columns is not None, "check has found that there is such a fraction"
    return columns


def _too_few(number: int, resolution: int) -> str:
    if number < 3:
        return (
            f"a fraction of {number} two-level factors cannot tell their effects apart, it takes 3 at the least; "
            "take design: factorial"
        )
    return (
        f"resolution {resolution} needs {resolution} factors or more; with {number} the highest is {number}: write "
        f"resolution: {number}, or take design: factorial, which has all {2**number} cells"
    )
