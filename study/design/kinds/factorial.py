"""The full product of all levels, or a sample of it."""

import itertools
import math
from collections.abc import Iterator

from study.design.kinds.design import Codes, Design, DesignRequest
from study.design.kinds.sample import MAX_POOL, random_cells, space_filling_cells
from study.utils.text import plural

METHODS = {  # by name: the cells in order of choice, and a description
    "random": (random_cells, "drawn at random"),
    "space_filling": (space_filling_cells, "chosen to fill the space (each as far as possible from those before it)"),
}
SUMMARY = "every combination of the factors' levels"


def check(request: DesignRequest) -> None:
    """Raises StudyError for a sample that exceeds the product or the limit of its method."""
    sample, product = request.grid.sample_spec, math.prod(request.levels)
    if sample is None:
        return
    if sample.cells > product:
        raise (request.top / "sample").error(
            f"invalid value {sample.cells:,}: the product has {plural(product, 'cell')}; use fewer, or "
            "leave 'sample' out"
        )
    if sample.method == "space_filling" and sample.cells > MAX_POOL:
        raise (request.top / "sample").error(
            f"invalid value {sample.cells:,}: space_filling chooses at most {MAX_POOL:,} cells; use fewer, or "
            f"sample: {{cells: {sample.cells}, method: random}}"
        )


def count(request: DesignRequest) -> int:
    sample = request.grid.sample_spec
    return sample.cells if sample else math.prod(request.levels)


def cells(request: DesignRequest) -> Iterator[Codes]:
    """All combinations; a sample has included cells only. Raises StudyError if there are too few of them."""
    sample = request.grid.sample_spec
    if sample is None:
        yield from itertools.product(*map(range, request.levels))
        return
    method, _ = METHODS[sample.method]
    found = list(itertools.islice(method(request.levels, request.grid.seed, request.is_included), sample.cells))
    if len(found) < sample.cells:
        raise (request.top / "sample").error(
            f"invalid value {sample.cells:,}: 'only' and 'exclude' leave {plural(len(found), 'cell')}; sample "
            "fewer cells, or exclude fewer"
        )
    yield from found


def describe(request: DesignRequest) -> str:
    sample = request.grid.sample_spec
    if sample is None:
        return SUMMARY
    _, chosen = METHODS[sample.method]
    product = math.prod(request.levels)
    return f"a sample of {sample.cells:,} of {product:,} combinations, {chosen} (seed {request.grid.seed})"


def details(request: DesignRequest) -> list[str]:
    return ["A larger sample contains these cells."] if request.grid.sample_spec else []


DESIGN = Design(
    written="factorial",
    summary=f"{SUMMARY}, or a sample of them",
    count=count,
    cells=cells,
    check=check,
    describe=describe,
    details=details,
    keys=("sample",),
    draws_by=lambda request: "sample" if request.grid.sample_spec else None,
    suits_factorial_fit=True,
    if_too_large="use fewer levels or replicates, a 'sample' of the product, or design: one_factor",
)
