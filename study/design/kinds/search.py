"""A search: settings that Optuna suggests one after another; the baseline is the only cell known in advance."""

from collections.abc import Iterator

from study.design.kinds.design import Codes, Design, DesignRequest


def check(request: DesignRequest) -> None:
    """Raises StudyError where the search is not defined."""
    if request.grid.search is None:
        raise (request.top / "design").error("design: search requires 'search', as in search: {trials: 50, space: ...}")


def cells(request: DesignRequest) -> Iterator[Codes]:
    yield request.baseline


DESIGN = Design(
    written="search",
    summary="settings suggested by Optuna, each based on the results so far",
    count=lambda request: 1,
    cells=cells,
    check=check,
    keys=("search",),
    compares_cells=False,
    if_too_large="use fewer replicates",
)
