"""The full product of all levels, or a sample of it."""

import itertools
import math
from collections.abc import Iterator

from study.design.grid import Grid, SampleSpec
from study.design.kinds.ask import Ask, Codes
from study.design.kinds.sample import MAX_POOL, random_cells, space_filling_cells

METHODS = {"random": random_cells, "space_filling": space_filling_cells}


def check(ask: Ask) -> None:
    """Raises StudyError for a sample that is larger than the product, or than its method can choose."""
    sample, product = sample_of(ask.grid), math.prod(ask.levels)
    if sample is None:
        return
    if sample.cells > product:
        raise (ask.top / "sample").error(
            f"{sample.cells:,} is more than the {product:,} cells of the product; take fewer, or leave 'sample' out"
        )
    if sample.method == "space_filling" and sample.cells > MAX_POOL:
        raise (ask.top / "sample").error(
            f"space_filling chooses at most {MAX_POOL:,} cells; take fewer, or write sample: {{cells: {sample.cells}, "
            "method: random}"
        )


def count(ask: Ask) -> int:
    sample = sample_of(ask.grid)
    return sample.cells if sample else math.prod(ask.levels)


def cells(ask: Ask) -> Iterator[Codes]:
    """All combinations; of a sample those that no condition leaves out. Raises StudyError where these are too few."""
    sample = sample_of(ask.grid)
    if sample is None:
        yield from itertools.product(*map(range, ask.levels))
        return
    order = METHODS[sample.method](ask.levels, ask.grid.seed, ask.allowed)
    found = list(itertools.islice(order, sample.cells))
    if len(found) < sample.cells:
        raise (ask.top / "sample").error(
            f"only {len(found):,} cells that 'only' and 'exclude' do not leave out were found, not {sample.cells:,}; "
            "take fewer, or leave fewer out"
        )
    yield from found


def sample_of(grid: Grid) -> SampleSpec | None:
    """What a grid asks of its sample, None for the whole product."""
    return SampleSpec(cells=grid.sample) if isinstance(grid.sample, int) else grid.sample
