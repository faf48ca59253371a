"""What a claim kind is: one object with its region, its sentence, its comparison and its validation."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol


class Claim(Protocol):
    """The fields of a claim that its kind depends on; see `study.design.claims.ClaimSpec`."""

    @property
    def cells(self) -> Mapping[str, Any]: ...
    @property
    def against(self) -> Mapping[str, Any] | float | None: ...
    @property
    def margin(self) -> float | None: ...
    @property
    def higher_is_better(self) -> bool: ...
    @property
    def direction(self) -> str: ...


@dataclass(frozen=True)
class Region:
    """True differences for which a claim holds: between low and high, or (inside false) below low or above high."""

    low: float
    high: float
    inside: bool = True


@dataclass(frozen=True)
class Corner:
    """One term of a comparison: its levels by factor, and its sign."""

    sign: float  # divided by the number of corners averaged over on its side
    levels: dict[str, str]


def difference(cells: dict[str, str], against: dict[str, str]) -> tuple[Corner, ...]:
    """Cells minus against."""
    return Corner(1, cells), Corner(-1, against)


def _accept(claim: Claim) -> None:
    """No further conditions."""


@dataclass(frozen=True)
class ClaimKind:
    """One kind of claim about a true difference d, in the metric's unit."""

    name: str  # value of the claim's key `kind`
    holds: str  # the d for which the claim holds, in terms of its keys; shown by editors
    region: Callable[[Claim], Region]
    check: Callable[[Claim], None] = _accept  # raises ValueError for an invalid claim
    corners: Callable[[dict[str, str], dict[str, str]], tuple[Corner, ...]] = difference  # from cells and against
    needs_margin: bool = False
    keys: tuple[str, ...] = ()  # keys of a claim that belong to this kind alone
    changes_every_factor: bool = False  # whether cells and against must differ in every factor that they name
