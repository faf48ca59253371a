"""The state of each tuning of a cell: one small file per tuning, rewritten after every trial.

    STORE/tuning/KEY.json    the suggested trials, in order, and how each ended

The key is the SHA-256 of everything the suggestions depend on (the cell's settings, the parameters, the seed). So a
changed space starts from the beginning, and a larger budget continues. Results are ordinary stages of the store: a lost
file is rebuilt from them without training, except for trials that were stopped early, which are recorded only here.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

from study.design.keys import Content, by_content, by_name
from study.design.overrides import InvalidError
from study.design.search_space import Parameter, Space, Values, distinct, is_small, outcome, suggested
from study.design.study import Cell, Study, Trial, resampling_of, tuning_seed
from study.store.results import Store
from study.utils import json_text
from study.utils.canonical_json import canonical_json
from study.utils.errors import StudyError
from study.utils.records import from_record
from study.vit.subject import FIXED, Resampling, Settings

VERSION = 1  # raised when a change to the code changes what is suggested


@dataclass(frozen=True)
class TuningTrial:
    """One tuning trial."""

    number: int  # from 1
    values: Values
    status: Literal["open", "done", "failed", "stopped"] = "open"
    val_accuracy: float | None = None  # of a stopped trial: the last one
    costs: Mapping[str, float] = field(default_factory=dict)  # the other objectives of a search
    error: str = ""  # of a failed trial
    attributes: Mapping[str, Any] = field(default_factory=dict)  # system attributes of Optuna's sampler
    learning_curve: Mapping[str, float] = field(default_factory=dict)  # of a stopped trial: accuracy by epoch

    @property
    def epochs(self) -> int:
        """Epochs of a trial that was stopped early; 0 for others."""
        return max(map(int, self.learning_curve), default=0)


@dataclass(frozen=True)
class Importances:
    """Parameter importances of a search; see `study.tuning.importance`."""

    shares: Mapping[str, Mapping[str, Mapping[str, float]]] = field(
        default_factory=dict
    )  # objective, method, parameter
    unavailable: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # objective, method: the reason


@dataclass(frozen=True)
class Tuning:
    """The tuning of one cell, for all of its replicates or for one of them."""

    cell: Cell
    space: Space
    seed: int  # the study's
    warm: Values | None  # values of the first trial
    trials: tuple[TuningTrial, ...] = ()
    importances: Importances = Importances()  # of a finished search
    content: Content = by_name
    replicate: int = 0  # the only one that uses it; 0: all replicates
    resampling: Resampling = FIXED

    @property
    def name(self) -> tuple[str, int]:
        """The cell and the replicate; unique within a study."""
        return self.cell.name, self.replicate

    @cached_property
    def settings(self) -> Settings:
        assert self.cell.settings is not None, "excluded cells are not tuned"
        return self.cell.settings

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """The tuned parameters that this cell has."""
        return self.space.of(self.settings)

    @cached_property
    def distinct(self) -> list[Values]:
        """Values for each distinct setting of a small space; empty for a larger one."""
        return distinct(self.settings, self.parameters) or []

    def outcome(self, values: Values) -> Settings | str:
        """The settings that values give; as text if they are invalid."""
        return outcome(self.settings, self.parameters, values)

    @cached_property
    def key(self) -> str:
        """64 hexadecimal digits."""
        identity = {
            "version": VERSION,
            "settings": by_content(self.settings.changed(), self.content),
            "parameters": [parameter.identity for parameter in self.parameters],
            **self.space.identity,
            "seed": self.seed,
            "warm": self.warm,
            **(
                {"repeats": False} if is_small(self.parameters) else {}
            ),  # since then, settings of a small space are tried once
            **({"replicate": self.replicate} if self.replicate > 1 else {}),
            **self.resampling.changed(),
        }
        return hashlib.sha256(canonical_json(identity).encode()).hexdigest()

    @property
    def within_budget(self) -> tuple[TuningTrial, ...]:
        """The trials that count: a reduced budget ignores the later ones."""
        return self.trials[: self.space.budget]

    @property
    def open(self) -> list[TuningTrial]:
        """Trials that were suggested and have not ended."""
        return [trial for trial in self.within_budget if trial.status == "open"]

    @property
    def ended(self) -> int:
        """Number of trials within the budget that have ended."""
        return sum(trial.status != "open" for trial in self.within_budget)

    @property
    def failed(self) -> int:
        """Number of trials within the budget that failed; they count against it."""
        return sum(trial.status == "failed" for trial in self.within_budget)

    @property
    def num_to_suggest(self) -> int:
        """How many trials to suggest now.

        A round of `space.parallel` trials starts when the previous round has ended. With early stopping, each trial
        that ends is replaced at once, so that no worker idles until the longest trial of a round has ended.
        """
        running = len(self.open)
        if running and self.space.early_stopping is None:
            return 0
        return max(0, min(self.space.parallel - running, self.space.budget - len(self.trials)))

    @property
    def finished(self) -> bool:
        """Whether the budget is spent."""
        return self.ended == self.space.budget

    @property
    def all_failed(self) -> bool:
        """Whether the budget is spent and every trial failed."""
        return self.finished and self.best is None

    @property
    def best(self) -> TuningTrial | None:
        """The trial of the highest validation accuracy so far; the earliest of equals."""
        done = [trial for trial in self.within_budget if trial.status == "done"]
        return max(done, key=lambda trial: (trial.val_accuracy, -trial.number), default=None)

    @property
    def best_settings(self) -> Settings | None:
        """The cell's settings at the best values; None until the tuning has finished."""
        best = self.best if self.finished else None
        return suggested(self.settings, self.parameters, best.values) if best else None

    def duplicate_of(self, trial: TuningTrial) -> TuningTrial | None:
        """An earlier trial of the same values that ended without a result: this one would end the same way."""
        return next(
            (
                other
                for other in self.within_budget
                if other.status in ("failed", "stopped")
                and other.number < trial.number
                and other.values == trial.values
            ),
            None,
        )

    def trial(self, trial: TuningTrial) -> Trial:
        """What to run for a tuning trial. Raises InvalidError for values that exclude each other."""
        settings = suggested(self.settings, self.parameters, trial.values)
        seed = tuning_seed(self.seed, self.replicate)
        return Trial(self.cell, settings, self.replicate, seed, trial.number, self.resampling)

    def with_trial(self, trial: TuningTrial) -> "Tuning":
        """A copy in which `trial` replaces the one of the same number."""
        return replace(self, trials=tuple(trial if old.number == trial.number else old for old in self.trials))


def load(study: Study, store: Store, content: Content = by_name) -> list[Tuning]:
    """The tunings that can start, replicate by replicate and in order of cells; empty if nothing is tuned.

    With a warm start, the other cells follow once the tuning of the baseline has finished. Raises StudyError for a
    damaged record.
    """
    if study.space is None:
        return []
    replicates = range(1, study.space.tunings + 1) if study.space.tunings > 1 else [0]
    return [tuning for replicate in replicates for tuning in _of_replicate(study, replicate, store, content)]


def _of_replicate(study: Study, replicate: int, store: Store, content: Content) -> Iterator[Tuning]:
    assert study.space is not None
    resampling = resampling_of(study.grid, replicate) if replicate else FIXED
    first = Tuning(
        study.baseline, study.space, study.grid.seed, None, (), Importances(), content, replicate, resampling
    )
    baseline = _loaded(first, store)
    yield baseline
    if study.space.warm_start and not baseline.finished:
        return
    warm = baseline.best.values if study.space.warm_start and baseline.best else None
    for cell in study.included[1:]:
        yield _loaded(replace(first, cell=cell, warm=warm), store)


def possible(study: Study, store: Store, content: Content = by_name) -> Iterator[Tuning]:
    """Those that can start, and those that can start later and have a record: with a warm start from the values of any
    trial of an unfinished tuning of the baseline. Raises StudyError for a damaged record."""
    loaded = load(study, store, content)
    yield from loaded
    if study.space is None or not study.space.warm_start:
        return
    recorded = store.list_files("tuning")
    for baseline in loaded:
        if baseline.cell.name == study.baseline.name and not baseline.finished:
            first = replace(baseline, trials=(), importances=Importances())
            later = (
                replace(first, cell=cell, warm=one.values) for one in baseline.trials for cell in study.included[1:]
            )
            yield from (_loaded(one, store) for one in later if f"{one.key}.json" in recorded)


def save(tuning: Tuning, store: Store) -> None:
    """Write the record of a tuning; a killed sweep continues from it."""
    record = {
        "cell": tuning.cell.name,
        "trials": [_trial_record(trial) for trial in tuning.trials],
        "importances": tuning.importances.shares,
        "importances_unavailable": tuning.importances.unavailable,
    }
    store.write(_path(tuning), json.dumps(record, indent=1).encode())


def suggested_trials(tunings: Iterable[Tuning]) -> list[Trial]:
    """The trials suggested so far, except those of invalid values, which ended as failed."""
    found = []
    for tuning in tunings:
        for trial in tuning.trials:
            try:
                found.append(tuning.trial(trial))
            except InvalidError:
                continue
    return found


def num_remaining(study: Study, tunings: Iterable[Tuning]) -> tuple[int, int]:
    """How many tuning trials have not been suggested yet, and how many replicates wait for a tuning to finish."""
    if study.space is None:
        return 0, 0
    known = list(tunings)
    total = num_tunings(study)
    suggested = sum(len(one.within_budget) for one in known)
    unfinished = 0 if study.space.searches else total - sum(one.finished for one in known)
    return total * study.space.budget - suggested, unfinished * study.grid.least_replicates // study.space.tunings


def num_tunings(study: Study) -> int:
    """How many tunings a study has: one per cell, or one per cell and replicate."""
    return len(study.included) * study.space.tunings if study.space else 0


def _loaded(tuning: Tuning, store: Store) -> Tuning:
    """The tuning with its recorded trials, if there is a record."""
    data = store.read(_path(tuning))
    if data is None:
        return tuning
    try:
        record = json_text.parse(data)
        trials = tuple(map(_trial, record["trials"]))
        # older records have no importances, or none with a reason
        importances = Importances(record.get("importances", {}), record.get("importances_unavailable", {}))
    except (AttributeError, TypeError, KeyError, ValueError):
        message = "invalid tuning record; remove the file and run again: it is rebuilt from the stored results"
        raise StudyError(f"{store}/{_path(tuning)}: {message}") from None
    return replace(tuning, trials=trials, importances=importances)


def _trial_record(trial: TuningTrial) -> dict[str, Any]:
    record = asdict(trial)
    record["course"] = record.pop("learning_curve")  # the name in records
    return record


def _trial(record: Mapping[str, Any]) -> TuningTrial:
    """Older records have no `course`."""
    fields = dict(record)
    return from_record(TuningTrial, {**fields, "learning_curve": fields.pop("course", {})})


def _path(tuning: Tuning) -> str:
    return f"tuning/{tuning.key}.json"
