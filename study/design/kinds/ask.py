"""What a design is asked."""

from collections.abc import Callable
from dataclasses import dataclass

from study.design.factors import Factor
from study.design.grid import Grid
from study.design.yaml_file import Place

Codes = tuple[int, ...]  # for each factor the position of its level, 0 the baseline's


@dataclass(frozen=True)
class Ask:
    """A grid's factors and keys, as a design needs them. `allowed` tells whether no condition leaves a cell out."""

    grid: Grid
    factors: tuple[Factor, ...]
    top: Place
    allowed: Callable[[Codes], bool]

    @property
    def levels(self) -> list[int]:
        """How many each factor has."""
        return [len(factor.levels) for factor in self.factors]
