"""The keys of a grid file, as written: what `study schema` describes and `design.load` reads."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag
from pydantic.json_schema import SkipJsonSchema

from study.design.claims import Adaptive, ClaimSpec
from study.design.resources import Resources
from study.utils.frozen_model import Frozen, NonNegativeInt, PositiveInt, Refusal, StrictBool, whole

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

# told apart by what is written, so that a mistake is told of the one that was meant
Replicates = Annotated[
    Annotated[Adaptive, Tag("adaptive")] | Annotated[PositiveInt, Tag("number")],
    Discriminator(lambda value: "adaptive" if isinstance(value, dict | Adaptive) else "number"),
]


Refused = Annotated[SkipJsonSchema[Any], Refusal()]  # offered neither by editors nor by messages


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


class CellsSpec(Frozen):
    """Cells that are left out, or kept: those in which every condition holds."""

    when: Annotated[dict[str, Any], Field(min_length=1)] = Field(
        description="factor name or dotted path, and the level or value (or a list of them) that it has"
    )
    reason: Text = Field(description="why these cells are left out, or kept; shown in the report")


SampleSize = Annotated[int, Field(ge=2, le=1_000_000, strict=True)]


class SampleSpec(Frozen):
    """Some cells of a product that is too large to run whole."""

    cells: SampleSize = Field(description="how many cells, the baseline among them")
    method: Literal["space_filling", "random"] = Field(
        "space_filling",
        description="space_filling: each next cell as far as can be from those before; random: each as likely",
    )


def _form_of_sample(value: Any) -> str:
    return "mapping" if isinstance(value, dict | SampleSpec) else "number"


# a name or a list of names; the designs themselves are in study/design/kinds, which read the grid
DesignName = Annotated[
    Annotated[tuple[Annotated[str, Field(strict=True)], ...], Tag("list")]
    | Annotated[str, Field(strict=True), Tag("text")],
    Discriminator(lambda value: "list" if isinstance(value, list | tuple) else "text"),
]
Sample = Annotated[
    Annotated[SampleSpec, Tag("mapping")] | Annotated[SampleSize, Tag("number")], Discriminator(_form_of_sample)
]


Number = Annotated[int, Field(strict=True)] | Annotated[float, Field(strict=True, allow_inf_nan=False)]


class ParameterSpec(Frozen):
    """The values a hyper-parameter may take: a range, or a list of choices."""

    low: Number | None = Field(None, description="the least value")
    high: Number | None = Field(None, description="the largest value")
    log: StrictBool = Field(False, description="whether values are drawn evenly on a logarithmic scale")
    step: PositiveInt | None = Field(None, description="between values; whole numbers only")
    choices: Annotated[list[Any], Field(min_length=2)] | None = Field(None, description="instead of a range")


class TuneSpec(Frozen):
    """Hyper-parameters that are tuned for every cell alike, before its replicates are run."""

    meant: ClassVar[Mapping[str, str]] = {"trials": "budget", "n_trials": "budget", "space": "parameters"}
    budget: PositiveInt = Field(description="tuning trials of every cell")
    parameters: Annotated[dict[Text, ParameterSpec], Field(min_length=1)] = Field(
        description="dotted path: {low, high, log, step}, or {choices}"
    )
    warm_start: StrictBool = Field(False, description="whether other cells begin with the baseline's best values")
    parallel: PositiveInt = Field(
        1, description="tuning trials of one cell that run at once; each round knows only the rounds before it"
    )
    early_stopping: Refused = None


Objective = Literal["val_accuracy", "params", "macs", "latency"]


class SearchSpec(Frozen):
    """A search for settings that no other beats in everything."""

    meant: ClassVar[Mapping[str, str]] = {"budget": "trials", "n_trials": "trials", "parameters": "space"}
    trials: PositiveInt = Field(description="how many settings are tried, each once")
    objectives: Annotated[list[Objective], Field(min_length=1)] = Field(
        default=["params", "val_accuracy"],
        description="the most validation accuracy; the fewest parameters, multiply-adds, or ms for one image on a CPU",
    )
    space: dict[Text, ParameterSpec] = Field(
        default={}, description="dotted path: {low, high, log, step}, or {choices}; without it the factors' levels"
    )
    sampler: Literal["tpe", "nsga2"] = Field("tpe", description="tree-structured Parzen estimator, or NSGA-II")
    parallel: PositiveInt = Field(4, description="trials that run at once; each round knows only the rounds before it")
    early_stopping: Literal["asha"] | None = Field(
        None,
        description="asha: stop trials that fall behind (asynchronous successive halving); for val_accuracy alone",
    )
    grace: PositiveInt | None = Field(
        None,
        description="with early_stopping: epochs that every trial has; not written, those of the warm-up, at least 1",
    )


class Grid(Frozen):
    """A study as declared: one question, a baseline, what varies around it, and how often it is run."""

    study: Name = Field(description="name of the study: letters, digits, '.', '_' and '-'")
    question: Text = Field(description="what the study is to answer")
    baseline: dict[str, Any] = Field(description="all of a trial's settings: encoder, pretrain, finetune")
    factors: dict[Label, FactorSpec] = Field(default={}, description="what varies, by name")
    design: DesignName = Field("one_factor", description="which combinations of levels are run")
    resolution: Annotated[Literal[3, 4, 5], BeforeValidator(whole)] | None = Field(
        None,
        description="of a fractional design, 4 where not written. 3: main effects apart from each other; 4: also from "
        "two-factor interactions; 5: those apart from each other too",
    )
    sample: Sample | None = Field(None, description="of a factorial design: run so many of its cells")
    paired: list[list[Label]] = Field(
        default=[], description="lists of factors whose levels move together, the first with the first and so on"
    )
    only: list[CellsSpec] = Field(default=[], description="cells kept, with reasons; the others are left out")
    exclude: list[CellsSpec] = Field(default=[], description="cells left out, with reasons")
    claims: list[ClaimSpec] = Field(default=[], description="hypotheses, on each of which the report gives a verdict")
    replicates: Replicates = Field(
        3,
        description="independent runs of every cell, each with its own seed; {min, max, until: claims} adds them only "
        "to cells whose claims are undecided",
    )
    tune: TuneSpec | None = Field(None, description="hyper-parameters that are tuned for every cell alike")
    search: SearchSpec | None = Field(None, description="what design: search looks for, and where")
    early_stopping: Refused = None
    seed: NonNegativeInt = Field(0, description="base of all seeds")
    resources: Resources = Field(Resources(), description="what one trial takes")

    @property
    def sample_spec(self) -> SampleSpec | None:
        """The sample of the product, in its long form; None for the whole product."""
        return SampleSpec(cells=self.sample) if isinstance(self.sample, int) else self.sample

    @property
    def adaptive(self) -> Adaptive | None:
        """How replicates are added, None where every cell has the same number."""
        return self.replicates if isinstance(self.replicates, Adaptive) else None

    @property
    def least_replicates(self) -> int:
        """Replicates of every cell."""
        return self.replicates.min if isinstance(self.replicates, Adaptive) else self.replicates

    @property
    def most_replicates(self) -> int:
        """Replicates that no cell has more of."""
        return self.replicates.max if isinstance(self.replicates, Adaptive) else self.replicates
