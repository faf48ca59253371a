"""Claims as a grid file declares them.

A claim compares two sets of cells that differ only in the named factors and are matched in all others, over which the
difference is averaged. `against` defaults to the baseline levels of the same factors. Numbers are as in results.csv
(accuracies: shares from 0 to 1), or have a unit: `1 point`, `3 s`; see `study.design.metrics`.

    claims:
      - claim: sharing V and W2 costs nothing that matters
        kind: non_inferior                    # at most `margin` worse
        cells: {shared projections: both}
        against: {shared projections: none}
        margin: 1 point                       # or 0.01
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
        against: 90 %                         # a number; all other factors stay at the baseline level
      - claim: fewer kv heads train faster
        kind: less
        cells: {kv heads: 1}
        margin: 3 s
        metric: train_seconds                 # every metric is listed in study/design/metrics.py

Each kind (study/design/claim_kinds) defines for which true differences d, cells minus against, the claim holds. The
claim is supported if the confidence interval of d is within this region, refuted if it is outside, and otherwise
undecided. The margin is 0 if none is given. Which values are better (kind non_inferior) follows from the metric.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Discriminator, Field, Tag, WithJsonSchema, field_serializer, model_validator

from study.design import metrics
from study.design.claim_kinds import CLAIM_KINDS
from study.design.claim_kinds.claim_kind import ClaimKind, Region
from study.design.yaml_file import did_you_mean, shown
from study.utils.frozen_model import FieldError, Frozen

Sentence = Annotated[str, Field(min_length=1, max_length=2000, strict=True)]
NUMBER_WITH_UNIT = {"type": "string", "pattern": r"^\s*[+-]?[0-9.]"}
Number = Annotated[
    float, Field(strict=True, allow_inf_nan=False), WithJsonSchema({"anyOf": [{"type": "number"}, NUMBER_WITH_UNIT]})
]
Margin = Annotated[
    float,
    Field(ge=0, strict=True, allow_inf_nan=False),
    WithJsonSchema({"anyOf": [{"type": "number", "minimum": 0}, NUMBER_WITH_UNIT]}),
]

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
    margin: Margin | None = Field(
        None, description="the smallest difference that matters, as in results.csv or with a unit: 0.01, 1 point, 3 s"
    )
    better: Literal["higher", "lower"] | None = Field(
        None, description="which values are better (kind non_inferior); follows from the metric and can be left out"
    )
    direction: Literal["either", "greater", "less"] = Field("either", description="sign of d (kind interaction)")
    metric: str = Field(
        metrics.DEFAULT, min_length=1, description=f"what is compared, one of: {', '.join(metrics.METRICS)}"
    )

    @property
    def higher_is_better(self) -> bool:
        """Which values of the metric are better."""
        return (self.better or metrics.metric_of(self.metric).better) == "higher"

    @property
    def by_replicate(self) -> bool:
        """Whether it is judged with an interval over replicates; if not, by arithmetic."""
        return metrics.metric_of(self.metric).by_replicate

    @property
    def compares_accuracy_with_number(self) -> bool:
        """Whether it compares a test accuracy with a number."""
        return self.metric == metrics.DEFAULT and isinstance(self.against, float)

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
        self._check_better()
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

    def _check_better(self) -> None:
        natural = metrics.METRICS.get(self.metric)
        if self.better and natural and self.better != natural.better:
            raise FieldError(
                "better",
                f"invalid value {self.better!r}: of {self.metric} {natural.better} is better; leave it out, or use "
                "kind greater or less",
            )

    @model_validator(mode="before")
    @classmethod
    def _read_units(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        metric, read = metrics.metric_of(data.get("metric", metrics.DEFAULT)), dict(data)
        for key, parse in (("margin", metrics.margin_of), ("against", metrics.value_of)):
            try:
                read |= {key: parse(data[key], metric)} if key in data else {}
            except ValueError as error:
                raise FieldError(key, str(error)) from None
        return read

    @field_serializer("margin", when_used="json")
    def _write_margin(self, margin: float | None) -> float | str | None:
        """As it can be read again: a large share needs its unit."""
        large = margin is not None and metrics.unit_of(self.metric).is_share and margin > metrics.LARGEST_BARE
        return metrics.margin_in_points(margin) if margin is not None and large else margin


class Adaptive(Frozen):
    """Replicates added only to the cells of undecided claims; see `study.analysis.stats.sequential`."""

    min: Annotated[int, Field(ge=2, le=1_000_000, strict=True)] = Field(description="replicates of every cell")
    max: Annotated[int, Field(ge=2, le=1_000_000, strict=True)] = Field(
        description="maximum replicates of a cell; the error rate holds if it is not raised after results"
    )
    until: Literal["claims"] = Field(description="claims: until every claim is decided")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.max <= self.min:
            raise FieldError("max", f"invalid value {self.max}: must be above min ({self.min})")
        return self


def _listed(names: Any) -> str:
    return ", ".join(repr(name) for name in sorted(names)) or "none"
