"""The keys of a grid file: described by `study schema`, read by `study.design.study.load`."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag
from pydantic.json_schema import SkipJsonSchema

from study.design.claims import Adaptive, ClaimSpec
from study.design.contrasts import ContrastSpec
from study.design.failures import DEFAULT, DESCRIPTION, FailureRule
from study.design.resources import Resources
from study.utils.escape import appearance
from study.utils.frozen_model import Frozen, NonNegativeInt, PositiveInt, Refusal, StrictBool, whole

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=64)]


def is_one_line(text: str) -> bool:
    return text == " ".join(text.split())


def _one_line(text: str) -> str:
    if not is_one_line(text):
        raise ValueError(f"invalid value {text!r}: must be one line without leading, trailing or repeated spaces")
    if not appearance(text):
        raise ValueError(f"invalid value {text!r}: has no visible character")
    return text


MAX_LABEL = 80  # characters
Text = Annotated[str, Field(min_length=1, max_length=2000, strict=True)]
Label = Annotated[str, Field(min_length=1, max_length=MAX_LABEL, strict=True), AfterValidator(_one_line)]

# discriminated by the written type, so that an error refers to the intended form
Replicates = Annotated[
    Annotated[Adaptive, Tag("adaptive")] | Annotated[PositiveInt, Tag("number")],
    Discriminator(lambda value: "adaptive" if isinstance(value, dict | Adaptive) else "number"),
]


Refused = Annotated[SkipJsonSchema[Any], Refusal()]  # listed neither by editors nor in messages


class LevelSpec(Frozen):
    """The long form of a level."""

    label: Label | None = Field(None, description="name of the level in tables and plots")
    value: Any = Field(None, description="the value of the factor's path")
    set: dict[str, Any] | None = Field(None, description="several fields at once: dotted path to value")


class FactorSpec(Frozen):
    """What varies."""

    path: Text | None = Field(None, description="dotted path of the field that bare levels set")
    levels: Annotated[list[Any], Field(min_length=1)] = Field(
        description="values of path, or {label, value}, or {label, set: {dotted.path: value, ...}}, or ranges of values"
    )
    baseline: Label | None = Field(None, description="label of the baseline level, if no written level equals it")


class CellsSpec(Frozen):
    """Cells that are excluded, or included: those for which all conditions hold."""

    when: Annotated[dict[str, Any], Field(min_length=1)] = Field(
        description="factor name or dotted path, and its level or value (or a list of them)"
    )
    reason: Text = Field(description="why these cells are excluded or included; shown in the report")


SampleSize = Annotated[int, Field(ge=2, le=1_000_000, strict=True)]


class SampleSpec(Frozen):
    """A sample of a product that is too large to run in full."""

    cells: SampleSize = Field(description="number of cells, including the baseline")
    method: Literal["space_filling", "random"] = Field(
        "space_filling",
        description="space_filling: each cell as far as possible from those before it; random: uniform",
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


def _written_as_mapping(value: Any) -> Any:
    """`{split, train_images}` in YAML is a mapping without values."""
    if isinstance(value, dict) and all(one is None or one is True for one in value.values()):
        return list(value)
    return value


Redrawn = Literal["split", "train_images"]


def _each_once(names: tuple[Redrawn, ...]) -> tuple[Redrawn, ...]:
    if len(set(names)) < len(names):
        raise ValueError(f"invalid value {list(names)}: each of split and train_images can be named once")
    return names


Resample = Annotated[tuple[Redrawn, ...], BeforeValidator(_written_as_mapping), AfterValidator(_each_once)]

Number = Annotated[int, Field(strict=True)] | Annotated[float, Field(strict=True, allow_inf_nan=False)]


class ParameterSpec(Frozen):
    """The values of a hyper-parameter: a range, or a list of choices."""

    low: Number | None = Field(None, description="minimum")
    high: Number | None = Field(None, description="maximum")
    log: StrictBool = Field(False, description="whether values are sampled on a logarithmic scale")
    step: PositiveInt | None = Field(None, description="distance between values; for integers only")
    choices: Annotated[list[Any], Field(min_length=2)] | None = Field(None, description="instead of a range")


class TuneSpec(Frozen):
    """Hyper-parameters that are tuned in the same way for every cell, before its replicates are run."""

    budget: PositiveInt = Field(description="tuning trials per cell")
    parameters: Annotated[dict[Text, ParameterSpec], Field(min_length=1)] = Field(
        description="dotted path: {low, high, log, step}, or {choices}"
    )
    seeds: PositiveInt = Field(
        1, description="tunings of each cell: 1, used by all replicates, or one for each of the replicates"
    )
    warm_start: StrictBool = Field(False, description="whether other cells start from the best values of the baseline")
    parallel: PositiveInt = Field(
        1, description="concurrent tuning trials per cell; suggestions use completed rounds only"
    )
    early_stopping: Refused = None


Objective = Literal["val_accuracy", "params", "macs", "latency"]


class SearchSpec(Frozen):
    """A search for Pareto-optimal settings."""

    trials: PositiveInt = Field(description="number of settings, each run once")
    objectives: Annotated[list[Objective], Field(min_length=1)] = Field(
        default=["params", "val_accuracy"],
        description="maximise val_accuracy; minimise params, macs (multiply-adds) or latency (CPU, one image, in ms)",
    )
    space: dict[Text, ParameterSpec] = Field(
        default={}, description="dotted path: {low, high, log, step}, or {choices}; default: the factors' levels"
    )
    sampler: Literal["tpe", "nsga2"] = Field("tpe", description="tree-structured Parzen estimator, or NSGA-II")
    parallel: PositiveInt = Field(4, description="concurrent trials; suggestions use completed rounds only")
    early_stopping: Literal["asha"] | None = Field(
        None,
        description="asha: asynchronous successive halving; only with objectives: [val_accuracy]",
    )
    grace: PositiveInt | None = Field(
        None,
        description="with early_stopping: minimum epochs of a trial; default: the warm-up epochs, at least 1",
    )


class ReplicationSpec(Frozen):
    """The study that a grid replicates, written by `study replicate`."""

    of: Name = Field(description="name of the original study, which differs in seed and replicates only")
    seed: NonNegativeInt = Field(description="seed of the original study")
    replicates: Replicates = Field(description="replicates of the original study")


class Grid(Frozen):
    """A study as declared: a question, a baseline, factors, a design and the number of replicates."""

    study: Name = Field(description="name of the study: letters, digits, '.', '_' and '-'")
    question: Text = Field(description="the question that the study answers")
    baseline: dict[str, Any] = Field(description="the settings of the baseline: encoder, pretrain, finetune")
    factors: dict[Label, FactorSpec] = Field(default={}, description="what varies, by name")
    design: DesignName = Field("one_factor", description="which combinations of levels are run")
    resolution: Annotated[Literal[3, 4, 5], BeforeValidator(whole)] | None = Field(
        None,
        description="of a fractional design, default 4. 3: main effects are not aliased with each other; 4: nor with "
        "two-factor interactions; 5: nor are these with each other",
    )
    sample: Sample | None = Field(None, description="of a factorial design: run a sample of its cells")
    paired: list[list[Label]] = Field(
        default=[],
        description="lists of tied factors, whose levels change together in written order",
    )
    only: list[CellsSpec] = Field(default=[], description="cells to include, with reasons; all others are excluded")
    exclude: list[CellsSpec] = Field(default=[], description="cells to exclude, with reasons")
    claims: list[ClaimSpec] = Field(default=[], description="hypotheses; the report gives a verdict on each")
    compare: list[ContrastSpec] = Field(default=[], description="differences to estimate, without a claim or verdict")
    replicates: Replicates = Field(
        3,
        description="independent runs of every cell, each with its own seed; {min, max, until: claims} adds replicates "
        "only to cells of undecided claims",
    )
    resample: Resample = Field(
        (),
        description="what is drawn anew for each replicate: split (train, validation and test images), train_images "
        "(the subset of training images)",
    )
    failures: FailureRule = Field(DEFAULT, description=DESCRIPTION)
    replication: ReplicationSpec | None = Field(
        None, description="the study whose claims this one tests again with seeds of its own; see `study replicate`"
    )
    tune: TuneSpec | None = Field(None, description="hyper-parameters that are tuned for every cell")
    search: SearchSpec | None = Field(None, description="objectives and space of design: search")
    early_stopping: Refused = None
    seed: NonNegativeInt = Field(0, description="base of all seeds")
    resources: Resources = Field(Resources(), description="resources of one trial")

    @property
    def sample_spec(self) -> SampleSpec | None:
        """The sample of the product, in its long form; None for the whole product."""
        return SampleSpec(cells=self.sample) if isinstance(self.sample, int) else self.sample

    @property
    def adaptive(self) -> Adaptive | None:
        """How replicates are added; None for a fixed number."""
        return self.replicates if isinstance(self.replicates, Adaptive) else None

    @property
    def tested_claims(self) -> list[ClaimSpec]:
        """The claims that are judged with an interval over replicates."""
        return [claim for claim in self.claims if claim.by_replicate]

    @property
    def least_replicates(self) -> int:
        """Minimum replicates per cell."""
        return self.replicates.min if isinstance(self.replicates, Adaptive) else self.replicates

    @property
    def most_replicates(self) -> int:
        """Maximum replicates per cell."""
        return self.replicates.max if isinstance(self.replicates, Adaptive) else self.replicates
