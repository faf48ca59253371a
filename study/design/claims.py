"""Claims as a grid file declares them, before anything is run.

A claim compares two sets of cells that differ only in the named factors and are matched in all others, over which the
difference is averaged. `against` defaults to the baseline levels of the same factors. All numbers are in the metric's
unit.

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
        kind: equivalent                      # within `margin` in either direction
        cells: {widths: narrowing}
        against: {widths: constant}
        margin: 0.01
      - claim: pre-training helps more when heads share keys and values
        kind: interaction                     # the effect of one factor depends on the other
        cells: {pre-training: photos, kv heads: 1}
        against: {pre-training: none, kv heads: 6}
        direction: greater
      - claim: the smallest model stays competitive
        kind: greater
        cells: {size: XXS}
        against: 0.90                         # a number; all other factors stay at the baseline level
      - claim: fewer kv heads train faster
        kind: less
        cells: {kv heads: 1}
        metric: train_seconds

Each kind (study/design/claim_kinds) defines for which true differences d, cells minus against, the claim holds. The
claim is supported if the confidence interval of d is within this region, refuted if it is outside, and otherwise
undecided. The margin is 0 if none is given.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from study.design.claim_kinds import CLAIM_KINDS
from study.design.claim_kinds.claim_kind import ClaimKind, Region
from study.design.yaml_file import did_you_mean, shown
from study.utils.frozen_model import FieldError, Frozen

Sentence = Annotated[str, Field(min_length=1, max_length=2000, strict=True)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Margin = Annotated[float, Field(ge=0, strict=True, allow_inf_nan=False)]

# discriminated by the written type, so that an error refers to the intended form
LevelsOrNumber = Annotated[
    Annotated[dict[str, Any], Tag("levels")] | Annotated[Number, Tag("number")],
    Discriminator(lambda value: "levels" if isinstance(value, dict) else "number"),
]


def _known_kind(name: str) -> str:
    if name not in CLAIM_KINDS:
        raise ValueError(f"invalid value {shown(name)}; {did_you_mean(name, CLAIM_KINDS)}")
    return name


def _kind_schema(schema: dict[str, Any]) -> None:
    """The kinds and their descriptions, when a JSON Schema is made."""
    regions = "; ".join(f"{kind.name}: {kind.holds}" for kind in CLAIM_KINDS.values())
    schema["enum"] = [*CLAIM_KINDS]
    schema["description"] = f"the claim holds if (d: cells minus against) {regions}"


class ClaimSpec(Frozen):
    """A hypothesis about the results of a study, as declared in its grid."""

    claim: Sentence = Field(description="the hypothesis as a sentence")
    kind: Annotated[str, AfterValidator(_known_kind)] = Field(
        strict=True, description="which differences are claimed", json_schema_extra=_kind_schema
    )
    cells: dict[str, Any] = Field(default={}, description="factor name and level of the cells that the claim is about")
    against: LevelsOrNumber | None = Field(
        None, description="the same factors with the level compared to, or a number; default: the baseline levels"
    )
    where: dict[str, Any] = Field(
        default={}, description="other factors, and the level (or list of levels) to which the comparison is limited"
    )
    margin: Margin | None = Field(None, description="the smallest difference that matters, in the metric's unit")
    better: Literal["higher", "lower"] = Field("higher", description="which values are better (kind non_inferior)")
    direction: Literal["either", "greater", "less"] = Field("either", description="sign of d (kind interaction)")
    metric: str = Field("test_accuracy", min_length=1, description="column of results.csv that is compared")

    @property
    def definition(self) -> ClaimKind:
        """What the claim's kind means."""
        return CLAIM_KINDS[self.kind]

    @property
    def region(self) -> Region:
        """The true differences for which the claim holds."""
        return self.definition.region(self)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.definition.needs_margin and not self.margin:
            raise ValueError(f"kind {self.kind} requires a margin above 0: the smallest difference that matters")
        self._check_keys()
        self.definition.check(self)
        self._check_cells()
        self._check_shares()
        return self

    def _check_keys(self) -> None:
        for kind in CLAIM_KINDS.values():
            for key in kind.keys:
                if key not in self.definition.keys and getattr(self, key) != type(self).model_fields[key].default:
                    raise ValueError(f"'{key}' belongs to kind {kind.name}; leave it out for kind {self.kind}")

    def _check_cells(self) -> None:
        if not self.cells and not isinstance(self.against, float):
            raise ValueError("'cells' names no factor; name one with its level, or use a number in 'against'")
        if both := self.where.keys() & self.cells.keys():
            raise ValueError(f"'where' and 'cells' both name {_listed(both)}; remove it from 'where'")

    def _check_shares(self) -> None:
        """Raises ValueError for percentage points, which would decide any claim about shares."""
        if not self.metric.endswith("accuracy"):
            return
        if self.margin is not None and self.margin >= 1:
            raise ValueError(
                f"invalid margin {self.margin:g}: accuracies are shares, one percentage point is 0.01; "
                f"did you mean {self.margin / 100:g}?"
            )
        if isinstance(self.against, float) and not 0 <= self.against <= 1:
            raise ValueError(
                f"invalid value {self.against:g} in 'against': accuracies are shares from 0 to 1; "
                f"did you mean {self.against / 100:g}?"
            )


class Adaptive(Frozen):
    """Replicates added only to the cells of undecided claims; see `study.analysis.stats.sequential`."""

    min: Annotated[int, Field(ge=2, le=1_000_000, strict=True)] = Field(description="replicates of every cell")
    max: Annotated[int, Field(ge=2, le=1_000_000, strict=True)] = Field(
        description="maximum replicates of a cell; fixed in advance, as the error rate depends on it"
    )
    until: Literal["claims"] = Field(description="claims: until every claim is decided")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.max <= self.min:
            raise FieldError("max", f"invalid value {self.max}: must be above min ({self.min})")
        return self


def _listed(names: Any) -> str:
    return ", ".join(repr(name) for name in sorted(names)) or "none"
