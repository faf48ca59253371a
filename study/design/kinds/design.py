"""What a design is: one object that holds everything particular to it, for loading, plan and report."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from study.design.factors import Factor
from study.design.grid import Grid
from study.design.kinds.aliases import Aliases
from study.design.yaml_file import Place

Codes = tuple[int, ...]  # one cell: for each factor the position of its level, 0 for the baseline level


def _include_all(codes: Codes) -> bool:
    return True


@dataclass(frozen=True)
class DesignRequest:
    """A grid's factors and keys. `is_included` is false for a cell that 'only' and 'exclude' leave out."""

    grid: Grid
    factors: tuple[Factor, ...]
    top: Place
    is_included: Callable[[Codes], bool] = _include_all

    @property
    def levels(self) -> list[int]:
        """The number of levels of each factor."""
        return [len(factor.levels) for factor in self.factors]

    @property
    def baseline(self) -> Codes:
        """All factors at the baseline level."""
        return (0,) * len(self.factors)


def _accept(request: DesignRequest) -> None:
    """Any factors and levels."""


def _no_details(request: DesignRequest) -> list[str]:
    return []


@dataclass(frozen=True)
class Design:
    """One design. Texts are plain text, not markup; every function is called with a request that passed `check`."""

    written: str | tuple[str, ...]  # value of the grid key `design`; a tuple is written as a list
    summary: str  # what is run, as half a sentence; shown by editors, and in plan and report unless `describe` is given
    count: Callable[[DesignRequest], int]  # number of cells, without building them
    cells: Callable[[DesignRequest], Iterator[Codes]]  # distinct, the baseline first
    check: Callable[[DesignRequest], None] = _accept  # raises StudyError for a grid that does not suit the design
    describe: Callable[[DesignRequest], str] | None = None  # `summary` with the numbers of this grid
    details: Callable[[DesignRequest], list[str]] = _no_details  # further sentences for plan and report
    full: Callable[[DesignRequest], Codes] | None = None  # the cell with all parts, if the design removes parts
    bare: Callable[[DesignRequest], Codes] | None = None  # the cell without any part, if the design adds parts
    aliases: Callable[[DesignRequest], Aliases] | None = None  # effects that cannot be estimated separately
    keys: tuple[str, ...] = ()  # grid keys that belong to this design alone
    draws_by: Callable[[DesignRequest], str | None] = lambda request: None  # key by which included cells are drawn
    compares_cells: bool = True  # false: no factors, claims or conditions are needed
    suits_factorial_fit: bool = False  # whether main effects and interactions can be fitted by least squares
    if_too_large: str = "use fewer levels or replicates, or design: one_factor"  # suggestion of an error message

    @property
    def name(self) -> str:
        """As in messages and reports."""
        return self.written if isinstance(self.written, str) else " and ".join(self.written)

    @property
    def in_grid(self) -> str:
        """As written in a grid file."""
        return self.written if isinstance(self.written, str) else f"[{', '.join(self.written)}]"

    def description(self, request: DesignRequest) -> str:
        """What is run, as half a sentence."""
        return self.describe(request) if self.describe else self.summary
