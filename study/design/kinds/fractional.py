"""A regular fraction of a product of two-level factors; the baseline is one of its cells."""

import itertools
from collections.abc import Iterator

from study.design.kinds.aliases import Aliases, alias_table
from study.design.kinds.design import Codes, Design, DesignRequest
from study.design.kinds.generators import MAX_FACTORS, choose_columns, num_base
from study.utils.text import plural

RESOLUTION = 4  # the default


def check(request: DesignRequest) -> None:
    """Raises StudyError for factors of more than two levels, for too many, and for too few to reach the resolution."""
    for factor in request.factors:
        if len(factor.levels) > 2:
            labels = ", ".join(level.label for level in factor.levels)
            raise factor.at.error(
                f"has {plural(len(factor.levels), 'level')} ({labels}), but a fractional design requires factors of "
                "two; keep two, or use design: factorial with a sample"
            )
    number = len(request.factors)
    if number > MAX_FACTORS:
        raise (request.top / "factors").error(
            f"{plural(number, 'factor')}: a fractional design supports at most {MAX_FACTORS}; use fewer, pair some, or "
            "use design: factorial with a sample"
        )
    if choose_columns(number, _resolution(request)) is None:
        key = "resolution" if request.grid.resolution else "design"
        raise (request.top / key).error(_too_few(number, _resolution(request)))


def count(request: DesignRequest) -> int:
    return 1 << num_base(_columns(request))


def cells(request: DesignRequest) -> Iterator[Codes]:
    """The product of the base factors; the levels of the other factors follow from them."""
    columns = _columns(request)
    for base in itertools.product((0, 1), repeat=num_base(columns)):
        bits = sum(code << i for i, code in enumerate(base))
        yield tuple((bits & column).bit_count() % 2 for column in columns)


def aliases(request: DesignRequest) -> Aliases:
    return alias_table([factor.name for factor in request.factors], _columns(request))


def describe(request: DesignRequest) -> str:
    found = aliases(request)
    return (
        f"a fraction of {found.cells:,} of {2 ** len(found.factors):,} combinations, resolution {found.resolution}: "
        f"{found.meaning}"
    )


def details(request: DesignRequest) -> list[str]:
    found = aliases(request)
    letters = ", ".join(f"{letter} {factor}" for letter, factor in found.letters.items())
    return [
        f"Factors: {letters}. Generators: {', '.join(found.generators)}. Defining relation: {found.relation}.",
        "Signs: + is a factor's other level, - the baseline level. Aliased effects cannot be estimated separately; the "
        "estimate is their sum, with the signs shown. Interactions of three or more factors are assumed to be zero. An "
        "excluded cell or a missing result aliases more effects than shown.",
    ]


def _resolution(request: DesignRequest) -> int:
    return request.grid.resolution or RESOLUTION


def _columns(request: DesignRequest) -> tuple[int, ...]:
    columns = choose_columns(len(request.factors), _resolution(request))
    assert columns is not None, "check() passes only requests that have such a fraction"
    return columns


def _too_few(number: int, resolution: int) -> str:
    if number < 3:
        return (
            f"a fraction of {number} two-level factors aliases their main effects: at least 3 are needed; use "
            "design: factorial"
        )
    return (
        f"resolution {resolution} requires at least {plural(resolution, 'factor')}; with {number} the highest is "
        f"{number}: use resolution: {number}, or design: factorial, which has all {plural(2**number, 'cell')}"
    )


DESIGN = Design(
    written="fractional",
    summary="a fraction of all combinations of two-level factors, chosen by its resolution",
    count=count,
    cells=cells,
    check=check,
    describe=describe,
    details=details,
    aliases=aliases,
    keys=("resolution",),
    suits_factorial_fit=True,
)
