"""What a report knows of its study besides its tables: the content of `study.json`."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

from study.analysis.stats.sequential import look_schedule
from study.design.claims import ClaimSpec

IMPORTANCE_METHODS = {"fanova": "fANOVA", "ped_anova": "PED-ANOVA"}  # in `study.json`: in print


class Facts(BaseModel):
    """Immutable; what a later version adds to `study.json` is passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class LevelFacts(Facts):
    """One level of a factor, and the fields it sets by dotted path (none for a baseline that is not written)."""

    label: str
    fields: dict[str, Any]


class FactorFacts(Facts):
    """What varied; the baseline's level comes first."""

    name: str
    levels: tuple[LevelFacts, ...]


class CellFacts(Facts):
    """One combination of levels. The first cell of a study is its baseline."""

    name: str
    labels: dict[str, str]  # factor -> level
    changed: tuple[str, ...]  # factors in which it differs from the baseline
    excluded: str | None  # the reason
    pretrain_dataset: str | None  # None: from scratch
    finetune_dataset: str | None  # None only where an excluded cell could not be built
    besides_pretraining: str | None  # equal for cells that differ in their pre-training alone


class AliasFacts(Facts):
    """What a fractional design cannot tell apart; + is a factor's other level, - the baseline's."""

    letters: dict[str, str]  # letter -> factor
    generators: tuple[str, ...]  # as in D = ABC
    relation: str  # as in I = ABCD
    resolution: int
    meaning: str
    product: int  # combinations of levels of which the design takes a part
    aliased: tuple[str, ...]  # as in AB = CD
    clear: tuple[str, ...]  # effects without alias among main effects and two-factor interactions


class SampleFacts(Facts):
    """How the cells were chosen from a product."""

    cells: int
    product: int
    method: str


class Origin(Facts):
    """Stages that were run by the same code in the same place."""

    commit: str
    device: str
    platform: str
    threads: int | None
    versions: dict[str, str]
    stages: int
    seconds: float  # of training, summed over the stages
    first: str  # when the first of them started, ISO 8601, UTC
    last: str  # when the last of them finished
    cells: tuple[str, ...]


class ParameterFacts(Facts):
    """A hyper-parameter that was tuned: its range, or its choices."""

    name: str
    low: float | None = None
    high: float | None = None
    log: bool = False
    choices: tuple[Any, ...] = ()
    opens_below: bool = False  # whether the field could take values below the range
    opens_above: bool = False


class TuningFacts(Facts):
    """How all cells were tuned, or what a search looked for."""

    budget: int  # trials of every cell
    warm_start: bool
    parameters: tuple[ParameterFacts, ...]
    searches: bool = False
    objectives: tuple[str, ...] = ("val_accuracy",)
    sampler: str = "tpe"
    rungs: tuple[int, ...] = ()  # epochs after which trials that fell behind were stopped; none where none was
    importances: Mapping[str, Mapping[str, Mapping[str, float]]] = {}  # objective, method, parameter
    unavailable_importances: Mapping[str, Mapping[str, str]] = {}  # objective, method: why it could not be computed


class StudyFacts(Facts):
    """A study's question and design, and where its results come from."""

    study: str
    question: str
    design: str | tuple[str, ...]
    description: str = ""  # which cells the design runs, as half a sentence; empty in files of earlier versions
    details: tuple[str, ...] = ()  # further sentences on the design
    suits_factorial_fit: bool  # whether main effects and interactions can be fitted by least squares
    full: str | None = None  # the cell with all parts, where the design removes parts
    bare: str | None = None  # the cell without any, where it adds parts
    aliases: AliasFacts | None = None  # of a fractional design
    sample: SampleFacts | None = None
    paired: tuple[tuple[str, ...], ...] = ()  # names of factors that are one, for their levels move together
    only: tuple[str, ...] = ()  # why these cells were kept and no others
    replicates: int  # of every cell
    replicates_until: int | None = None  # added up to so many where claims are undecided; None: all cells have the same
    seed: int
    grid: str  # path of the grid file, relative to the folder that commands are given in
    factors: tuple[FactorFacts, ...]
    cells: tuple[CellFacts, ...]
    baseline: dict[str, Any]  # all settings of the baseline
    origins: tuple[Origin, ...]
    claims: tuple[ClaimSpec, ...] = ()
    calibration: str = ""  # path from the report to the table that checks its statistics, where there is one
    tuning: TuningFacts | None = None

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, data: Any) -> Any:
        """Files of earlier versions lack `suits_factorial_fit`; it was true for these two designs."""
        if isinstance(data, dict) and "suits_factorial_fit" not in data:
            return {**data, "suits_factorial_fit": data.get("design") in ("factorial", "fractional")}
        return data

    @property
    def design_name(self) -> str:
        return self.design if isinstance(self.design, str) else " and ".join(self.design)

    @property
    def factor_names(self) -> list[str]:
        return [factor.name for factor in self.factors]

    @property
    def included(self) -> list[CellFacts]:
        return [cell for cell in self.cells if cell.excluded is None]

    @property
    def look_schedule(self) -> tuple[int, ...]:
        """Replicates at which claims are looked at; one look at all of them where none are added."""
        return look_schedule(self.replicates, self.replicates_until) if self.replicates_until else (self.replicates,)
