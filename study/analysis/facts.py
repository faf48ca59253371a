"""What a report needs besides its tables, the content of `study.json`: question, design, provenance."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

from study.analysis.stats.sequential import FailedAt, look_schedule
from study.design.claims import ClaimSpec
from study.design.comparison import Factors, Labels
from study.design.contrasts import ContrastSpec
from study.design.failures import DEFAULT, FailureRule
from study.design.registration import Entry

COVERED = ("initialisation", "the order of training images")  # in reports that do not record it
NOT_COVERED = ("the test images", "the split into training, validation and test images")
IMPORTANCE_METHODS = {"fanova": "fANOVA", "ped_anova": "PED-ANOVA"}  # in `study.json`: in print


class Facts(BaseModel):
    """Immutable; fields that a later version adds to `study.json` are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class LevelFacts(Facts):
    """One level of a factor, and the fields that it sets, by dotted path (none for an implicit baseline level)."""

    label: str
    fields: dict[str, Any]


class FactorFacts(Facts):
    """A factor; the baseline's level comes first."""

    name: str
    levels: tuple[LevelFacts, ...]


class BudgetFacts(Facts):
    """What one trial is given, in closed form; None where the number of training images is not known."""

    params: int  # of the classifier, as all sizes
    params_active: int
    macs: int  # multiply-adds of one image's forward pass
    macs_active: int
    training_macs: int | None  # of all stages
    pretrain_images: int | None  # shown in training, over all epochs; 0 without pre-training
    finetune_images: int | None


class CellFacts(Facts):
    """One combination of levels. The first cell of a study is its baseline."""

    name: str
    labels: dict[str, str]  # factor -> level
    changed: tuple[str, ...]  # factors in which it differs from the baseline
    excluded: str | None  # the reason
    pretrain_dataset: str | None  # None: from scratch
    finetune_dataset: str | None  # None only if an excluded cell has invalid settings
    besides_pretraining: str | None  # digest; equal for cells that differ only in their pre-training
    budget: BudgetFacts | None = None  # None: excluded, or a report of an earlier version


class AliasFacts(Facts):
    """Effects that a fractional design confounds; + is a factor's other level, - the baseline's."""

    letters: dict[str, str]  # letter -> factor
    generators: tuple[str, ...]  # as in D = ABC
    relation: str  # as in I = ABCD
    resolution: int
    meaning: str
    product: int  # all combinations of levels, of which the design runs a fraction
    aliased: tuple[str, ...]  # as in AB = CD
    clear: tuple[str, ...]  # effects without alias among main effects and two-factor interactions


class SampleFacts(Facts):
    """How the cells were sampled from the full product."""

    cells: int
    product: int
    method: str


class Origin(Facts):
    """Stages run with the same commit, code, device, platform, arithmetic, threads and library versions."""

    commit: str
    version: str = ""  # of this package; empty for results that were stored before it was recorded, as `code`
    code: str = ""  # start of the digest of the code, see `study.store.code`
    device: str
    platform: str
    instruction_set: str = ""  # of the processor, as PyTorch uses it; empty for older results, as `blas`
    blas: str = ""
    threads: int | None
    versions: dict[str, str]
    stages: int
    seconds: float  # of training, summed over the stages
    first: str  # start of the first stage, ISO 8601, UTC
    last: str  # end of the last stage
    cells: tuple[str, ...]


class ParameterFacts(Facts):
    """A tuned hyper-parameter: its range, or its choices."""

    name: str
    low: float | None = None
    high: float | None = None
    log: bool = False
    choices: tuple[Any, ...] = ()
    opens_below: bool = False  # whether the field accepts values below the range
    opens_above: bool = False


class TuningFacts(Facts):
    """How all cells were tuned, or the settings of a search."""

    budget: int  # trials of every tuning
    tunings: int = 1  # of every cell: one for all replicates, or one for each of them
    warm_start: bool
    parameters: tuple[ParameterFacts, ...]
    searches: bool = False
    objectives: tuple[str, ...] = ("val_accuracy",)
    sampler: str = "tpe"
    rungs: tuple[int, ...] = ()  # epochs after which early stopping prunes trials; empty without early stopping
    importances: Mapping[str, Mapping[str, Mapping[str, float]]] = {}  # objective, method, parameter
    unavailable_importances: Mapping[str, Mapping[str, str]] = {}  # objective, method: why it could not be computed


class FailedLook(Facts):
    """A trial that had failed when the look after this number of replicates was made; it may have a result now."""

    looked: int
    labels: tuple[str, ...]  # of its cell
    replicate: int


class ReplicationFacts(Facts):
    """The study that this one replicates, as far as the store has it."""

    study: str
    seed: int | None = None  # None: a report of an earlier version
    verdicts: tuple[str | None, ...]  # by claim that replicates decide; None while its trials are missing


def _without_better(claim: Any) -> Any:
    return {key: value for key, value in claim.items() if key != "better"} if isinstance(claim, dict) else claim


class StudyFacts(Facts):
    """A study's question, its design, and the provenance of its results."""

    study: str
    question: str
    design: str | tuple[str, ...]
    description: str = ""  # which cells the design runs, as half a sentence; empty in files of earlier versions
    details: tuple[str, ...] = ()  # further sentences on the design
    suits_factorial_fit: bool  # whether main effects and interactions can be fitted by least squares
    full: str | None = None  # the cell with all parts, if the design removes parts
    bare: str | None = None  # the cell without any part, if the design adds parts
    aliases: AliasFacts | None = None  # of a fractional design
    sample: SampleFacts | None = None
    paired: tuple[tuple[str, ...], ...] = ()  # names of tied factors, whose levels change together
    only: tuple[str, ...] = ()  # reasons for the cells that were kept
    replicates: int  # of every cell
    replicates_until: int | None = None  # maximum for cells of undecided claims; None: a fixed number
    seed: int
    grid: str  # path of the grid file, relative to the working directory
    factors: tuple[FactorFacts, ...]
    cells: tuple[CellFacts, ...]
    baseline: dict[str, Any]  # all settings of the baseline
    origins: tuple[Origin, ...]
    claims: tuple[ClaimSpec, ...] = ()
    compare: tuple[ContrastSpec, ...] = ()
    failures: FailureRule = DEFAULT  # how failed replicates count
    failed_looks: tuple[FailedLook, ...] = ()  # trials that had failed when a look at the claims was made
    registered: tuple[Entry, ...] = ()  # the history of the claims in the store, the oldest first
    covered: tuple[str, ...] = COVERED  # sources of chance that differ between replicates
    not_covered: tuple[str, ...] = NOT_COVERED  # and those that do not
    drawn_for_testing: float | None = None  # share of the images that each replicate draws for testing, where it does
    data: tuple[str, ...] = ()  # how each data set was read for the results, one line each
    notices: tuple[str, ...] = ()  # what to know before any number, see `study.planning.notices`
    tuning: TuningFacts | None = None
    replication: ReplicationFacts | None = None

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, data: Any) -> Any:
        """Files of earlier versions lack `suits_factorial_fit`, which was true for these two designs, and `registered`;
        they have `better` in every claim, of whatever kind."""
        if not isinstance(data, dict):
            return data
        complete = {"suits_factorial_fit": data.get("design") in ("factorial", "fractional"), **data}
        if "registered" not in data:
            complete["claims"] = [_without_better(claim) for claim in data.get("claims", ())]
        return complete

    @property
    def design_name(self) -> str:
        return self.design if isinstance(self.design, str) else " and ".join(self.design)

    @property
    def factor_names(self) -> list[str]:
        return [factor.name for factor in self.factors]

    @property
    def labels_by_factor(self) -> Factors:
        """The labels of each factor, the baseline's first."""
        return {factor.name: [level.label for level in factor.levels] for factor in self.factors}

    @property
    def included(self) -> list[CellFacts]:
        return [cell for cell in self.cells if cell.excluded is None]

    @property
    def tested_claims(self) -> list[ClaimSpec]:
        """The claims that are judged with an interval over replicates."""
        return [claim for claim in self.claims if claim.by_replicate]

    @property
    def failed_at(self) -> FailedAt:
        """The trials that had failed, by the replicates of the look."""
        found: dict[int, set[tuple[Labels, int]]] = {}
        for one in self.failed_looks:
            found.setdefault(one.looked, set()).add((one.labels, one.replicate))
        return found

    @property
    def look_schedule(self) -> tuple[int, ...]:
        """Replicates at which claims are evaluated; a single look if no replicates are added."""
        return look_schedule(self.replicates, self.replicates_until) if self.replicates_until else (self.replicates,)
