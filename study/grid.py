"""The keys of a grid file, as written: what `study schema` describes and `design.load` reads."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from study.config import Frozen, NonNegativeInt, PositiveInt, Resources

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


def is_one_line(text: str) -> bool:
    return text == " ".join(text.split())


def _one_line(text: str) -> str:
    if not is_one_line(text):
        raise ValueError(f"{text!r} is not possible; it must be one line, without spaces at its ends or in a row")
    return text


MAX_LABEL = 80  # characters
Text = Annotated[str, Field(min_length=1, max_length=2000, strict=True)]
Label = Annotated[str, Field(min_length=1, max_length=MAX_LABEL, strict=True), AfterValidator(_one_line)]


class LevelSpec(Frozen):
    """A level in its long form."""

    label: Label | None = Field(None, description="how the level is called in tables and plots")
    value: Any = Field(None, description="the value of the factor's path")
    set: dict[str, Any] | None = Field(None, description="several fields at once: dotted path to value")


class FactorSpec(Frozen):
    """What varies."""

    path: Text | None = Field(None, description="dotted path of the field that bare levels set")
    levels: Annotated[list[Any], Field(min_length=1)] = Field(
        description="values of path, or {label, value}, or {label, set: {dotted.path: value, ...}}"
    )
    baseline: Label | None = Field(None, description="label of the baseline's own level, where no level equals it")


class ExcludeSpec(Frozen):
    """Cells left out: those in which every condition holds."""

    when: Annotated[dict[str, Any], Field(min_length=1)] = Field(
        description="factor name or dotted path, and the level or value (or a list of them) that it has"
    )
    reason: Text = Field(description="why these cells are left out; shown in the report")


class Grid(Frozen):
    """A study as declared: one question, a baseline, what varies around it, and how often it is run."""

    study: Name = Field(description="name of the study: letters, digits, '.', '_' and '-'")
    question: Text = Field(description="what the study is to answer")
    baseline: dict[str, Any] = Field(description="all of a trial's settings: encoder, pretrain, finetune")
    factors: Annotated[dict[Label, FactorSpec], Field(min_length=1)] = Field(description="what varies, by name")
    design: Literal["one_factor", "factorial"] = Field(
        "one_factor", description="one_factor: the baseline and one change at a time; factorial: the full product"
    )
    exclude: list[ExcludeSpec] = Field(default=[], description="cells left out, with reasons")
    replicates: PositiveInt = Field(3, description="independent runs of every cell, each with its own seed")
    seed: NonNegativeInt = Field(0, description="base of all seeds")
    resources: Resources = Field(Resources(), description="what one trial takes")
