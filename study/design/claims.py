"""Claims as a grid file declares them, before anything is run.

A claim compares two sets of cells that differ only in the named factors and are otherwise matched; what remains
varies is averaged over. `against` left out means the baseline's levels of the same factors. All numbers are in the
metric's own unit.

    claims:
      - claim: sharing V and W2 costs nothing that matters
        kind: non_inferior                    # at most `margin` worse
        cells: {shared projections: both}
        against: {shared projections: none}
        margin: 0.01
      - claim: growing experts beat constant experts at equal parameters
        kind: greater
        cells: {experts by depth: [3, 4, 5]}
        against: {experts by depth: [4, 4, 4]}
        where: {pre-training: photos}         # a level, or a list of levels
      - claim: where the widths narrow makes no difference
        kind: equivalent                      # within `margin` either way
        cells: {widths: narrowing}
        against: {widths: constant}
        margin: 0.01
      - claim: pre-training helps more when heads share keys and values
        kind: interaction                     # the effect of one factor changes with the other
        cells: {pre-training: photos, kv heads: 1}
        against: {pre-training: none, kv heads: 6}
        direction: greater
      - claim: the smallest model stays competitive
        kind: greater
        cells: {size: XXS}
        against: 0.90                         # a number; factors not named keep the baseline's level
      - claim: fewer kv heads train faster
        kind: less
        cells: {kv heads: 1}
        metric: train_seconds

What each kind says of the true difference d (cells minus against), with margin 0 where none is given:

| kind | supported means | refuted means |
|---|---|---|
| greater | d > margin | d < margin |
| less | d < -margin | d > -margin |
| equivalent | -margin < d < margin | d < -margin or d > margin |
| non_inferior, higher is better | d > -margin | d < -margin |
| non_inferior, lower is better | d < margin | d > margin |
| interaction, direction either | d < -margin or d > margin | -margin < d < margin (needs a margin above 0) |
| interaction, direction greater / less | as greater / less | as greater / less |

For an interaction d is the difference of differences: with cells {A: a, B: b} and against {A: a0, B: b0} it is
(y[a, b] - y[a0, b]) - (y[a, b0] - y[a0, b0]).
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from study.utils.frozen_model import FieldError, Frozen

Kind = Literal["greater", "less", "equivalent", "non_inferior", "interaction"]
Sentence = Annotated[str, Field(min_length=1, max_length=2000, strict=True)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Margin = Annotated[float, Field(ge=0, strict=True, allow_inf_nan=False)]

# told apart by what is written, so that a mistake is told of the one that was meant
LevelsOrNumber = Annotated[
    Annotated[dict[str, Any], Tag("levels")] | Annotated[Number, Tag("number")],
    Discriminator(lambda value: "levels" if isinstance(value, dict) else "number"),
]


@dataclass(frozen=True)
class Region:
    """The true differences for which a claim holds: those between low and high, or (inside false) those beyond."""

    low: float
    high: float
    inside: bool = True


class ClaimSpec(Frozen):
    """A hypothesis written down beforehand; see the module's text for what each kind says."""

    claim: Sentence = Field(description="the hypothesis in words")
    kind: Kind = Field(description="greater, less, equivalent, non_inferior or interaction")
    cells: dict[str, Any] = Field(default={}, description="factor name, and the level that the claim is about")
    against: LevelsOrNumber | None = Field(
        None, description="the same factors with the level compared to, or a number; left out: the baseline's levels"
    )
    where: dict[str, Any] = Field(
        default={}, description="other factors, and the level (or list of levels) the comparison is limited to"
    )
    margin: Margin | None = Field(None, description="the smallest difference that matters, in the metric's unit")
    better: Literal["higher", "lower"] = Field("higher", description="which way the metric improves (non_inferior)")
    direction: Literal["either", "greater", "less"] = Field("either", description="sign of an interaction")
    metric: str = Field("test_accuracy", min_length=1, description="column of results.csv that the claim is about")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.kind in ("equivalent", "non_inferior") and not self.margin:
            raise ValueError(f"kind {self.kind} needs a margin above 0: the smallest difference that would matter")
        if self.better == "lower" and self.kind != "non_inferior":
            raise ValueError(f"'better' belongs to kind non_inferior; for kind {self.kind} leave it out")
        if self.direction != "either" and self.kind != "interaction":
            raise ValueError(f"'direction' belongs to kind interaction; for kind {self.kind} leave it out")
        self._check_cells()
        self._check_shares()
        return self

    def _check_shares(self) -> None:
        """Percentage points written for shares would support or refute anything."""
        if not self.metric.endswith("accuracy"):
            return
        if self.margin is not None and self.margin >= 1:
            raise ValueError(
                f"margin {self.margin:g} is not possible: accuracies are shares, of which a point is 0.01; "
                f"did you mean {self.margin / 100:g}?"
            )
        if isinstance(self.against, float) and not 0 <= self.against <= 1:
            raise ValueError(
                f"against {self.against:g} is not possible: accuracies are shares from 0 to 1; "
                f"did you mean {self.against / 100:g}?"
            )

    def _check_cells(self) -> None:
        if self.kind == "interaction" and (len(self.cells) != 2 or isinstance(self.against, float)):
            raise ValueError("kind interaction needs two factors in 'cells', and levels (no number) in 'against'")
        if not self.cells and not isinstance(self.against, float):
            raise ValueError("'cells' names no factor; name one with its level, or give a number in 'against'")
        if both := self.where.keys() & self.cells.keys():
            raise ValueError(f"'where' and 'cells' both name {_listed(both)}; leave it to 'cells'")

    @property
    def region(self) -> Region:
        """The differences of which the claim speaks."""
        margin, infinity = self.margin or 0.0, float("inf")
        kind = self.direction if self.kind == "interaction" else self.kind
        if kind == "greater":
            return Region(margin, infinity)
        if kind == "less":
            return Region(-infinity, -margin)
        if kind == "non_inferior":
            return Region(-margin, infinity) if self.better == "higher" else Region(-infinity, margin)
        return Region(-margin, margin, inside=kind == "equivalent")


class Adaptive(Frozen):
    """Replicates added only to the cells of claims that are still undecided; see `study.analysis.stats.sequential`."""

    min: Annotated[int, Field(ge=2, le=1_000_000, strict=True)] = Field(description="replicates of every cell")
    max: Annotated[int, Field(ge=2, le=1_000_000, strict=True)] = Field(
        description="most replicates of any cell; written down beforehand, for the error rate depends on it"
    )
    until: Literal["claims"] = Field(description="claims: until every claim is decided")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.max <= self.min:
            raise FieldError("max", f"{self.max} is not possible; it must be above min, which is {self.min}")
        return self


def _listed(names: Any) -> str:
    return ", ".join(repr(name) for name in sorted(names)) or "none"
