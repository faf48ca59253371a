"""How far the tuning of each cell has come: one small file per cell, written after every step.

    STORE/tuning/KEY.json    the trials that were suggested, in order, and how each ended

The key is the SHA-256 of all that the suggestions depend on (the cell's settings, the parameters, the seed), so that a
changed space starts afresh and a larger budget goes on. The results themselves are ordinary stages of the store: a
file that is lost is made again from them, without training anything; save for the trials that a search stopped early,
of which nothing else is kept.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

from study.design.overrides import InvalidError
from study.design.search_space import Parameter, Space, Values, suggested
from study.design.study import Cell, Study, Trial, tuning_seed
from study.store.results import Store
from study.utils.canonical_json import canonical_json
from study.utils.errors import StudyError
from study.vit.subject import Settings

VERSION = 1  # raised when a change to the code changes what is suggested


@dataclass(frozen=True)
class Tried:
    """One tuning trial."""

    number: int  # from 1
    values: Values
    status: Literal["open", "done", "failed", "stopped"] = "open"
    val_accuracy: float | None = None  # of a trial that is done; of one that was stopped early, the last
    costs: Mapping[str, float] = field(default_factory=dict)  # a search's other objectives
    error: str = ""  # of one that failed
    attributes: Mapping[str, Any] = field(default_factory=dict)  # what Optuna's sampler notes on a trial
    course: Mapping[str, float] = field(default_factory=dict)  # of one that was stopped: validation accuracy by epoch

    @property
    def epochs(self) -> int:
        """How far one came that was stopped early; 0 for others."""
        return max(map(int, self.course), default=0)


@dataclass(frozen=True)
class Tuning:
    """The tuning of one cell."""

    cell: Cell
    space: Space
    seed: int  # the study's
    warm: Values | None  # values that it begins with
    tried: tuple[Tried, ...] = ()
    importances: Mapping[str, Any] = field(default_factory=dict)  # of a search that has ended

    @cached_property
    def settings(self) -> Settings:
        assert self.cell.settings is not None, "only cells that are run are tuned"
        return self.cell.settings

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """Those that this cell has."""
        return self.space.of(self.settings)

    @cached_property
    def key(self) -> str:
        """64 hexadecimal digits."""
        identity = {
            "version": VERSION,
            "settings": self.settings.changed(),
            "parameters": [parameter.identity for parameter in self.parameters],
            **self.space.identity,
            "seed": self.seed,
            "warm": self.warm,
        }
        return hashlib.sha256(canonical_json(identity).encode()).hexdigest()

    @property
    def open(self) -> list[Tried]:
        """Trials that were suggested and have not ended."""
        return [tried for tried in self.within_budget if tried.status == "open"]

    @property
    def ended(self) -> int:
        """Trials that have ended, of the present budget."""
        return sum(tried.status != "open" for tried in self.within_budget)

    @property
    def failed(self) -> int:
        """Trials that have failed, of the present budget; they count against it."""
        return sum(tried.status == "failed" for tried in self.within_budget)

    @property
    def due(self) -> int:
        """How many trials are to be suggested now: a round, once the one before has ended; where trials are stopped
        early, one for each that has ended, since the others of its round would hold up its worker."""
        busy = len(self.open)
        if busy and self.space.halving is None:
            return 0
        return max(0, min(self.space.parallel - busy, self.space.budget - len(self.tried)))

    @property
    def within_budget(self) -> tuple[Tried, ...]:
        """A budget that was cut leaves the later trials out of account."""
        return self.tried[: self.space.budget]

    @property
    def finished(self) -> bool:
        """Whether the budget is spent."""
        return self.ended == self.space.budget

    @property
    def hopeless(self) -> bool:
        """Whether the budget is spent and every trial has failed."""
        return self.finished and self.best is None

    @property
    def best(self) -> Tried | None:
        """The trial of the highest validation accuracy so far; the earliest of equals."""
        done = [tried for tried in self.within_budget if tried.status == "done"]
        return max(done, key=lambda tried: (tried.val_accuracy, -tried.number), default=None)

    def twin(self, tried: Tried) -> Tried | None:
        """An earlier trial of the same values that ended without a result: it would end so again."""
        lost = (other for other in self.within_budget if other.status in ("failed", "stopped"))
        return next((other for other in lost if other.number < tried.number and other.values == tried.values), None)

    def trial(self, tried: Tried) -> Trial:
        """What is to be run for it. Raises InvalidError for values that do not go together."""
        settings = suggested(self.settings, self.parameters, tried.values)
        return Trial(self.cell, settings, 0, tuning_seed(self.seed), tried.number)

    def tuned(self) -> Settings | None:
        """The cell's settings at the best values, None as long as the tuning has not ended."""
        best = self.best if self.finished else None
        return suggested(self.settings, self.parameters, best.values) if best else None

    def ending(self, tried: Tried) -> "Tuning":
        """The same, with one trial replaced by how it ended."""
        return replace(self, tried=tuple(tried if old.number == tried.number else old for old in self.tried))


def load(study: Study, store: Store) -> list[Tuning]:
    """The tunings of all cells that can begin, in order of cells; none where nothing is tuned."""
    if study.space is None:
        return []
    baseline = _loaded(Tuning(study.baseline, study.space, study.grid.seed, None), store)
    if study.space.warm_start and not baseline.finished:
        return [baseline]
    warm = baseline.best.values if study.space.warm_start and baseline.best else None
    others = [cell for cell in study.cells[1:] if cell.excluded is None]
    return [baseline, *(_loaded(Tuning(cell, study.space, study.grid.seed, warm), store) for cell in others)]


def save(tuning: Tuning, store: Store) -> None:
    """Write how far it has come, so that a kill loses nothing."""
    record: dict[str, Any] = {"cell": tuning.cell.name, "trials": [asdict(tried) for tried in tuning.tried]}
    record["importances"] = dict(tuning.importances)
    store.write(_path(tuning), json.dumps(record, indent=1).encode())


def trials(tunings: list[Tuning]) -> list[Trial]:
    """The trials suggested so far that could be run."""
    found = []
    for tuning in tunings:
        for tried in tuning.tried:
            try:
                found.append(tuning.trial(tried))
            except InvalidError:  # ended as failed, with the reason
                continue
    return found


def to_come(study: Study, tunings: Iterable[Tuning]) -> tuple[int, int]:
    """How many tuning trials have not been suggested yet, and how many replicates wait for a tuning to end."""
    if study.space is None:
        return 0, 0
    known = {one.cell.name: one for one in tunings}
    suggested = sum(len(one.within_budget) for one in known.values())
    unfinished = 0 if study.space.searches else len(study.included) - sum(one.finished for one in known.values())
    return len(study.included) * study.space.budget - suggested, unfinished * study.grid.least_replicates


def _loaded(tuning: Tuning, store: Store) -> Tuning:
    data = store.read(_path(tuning))
    if data is None:
        return tuning
    try:
        record = json.loads(data)
        tried = tuple(Tried(**one) for one in record["trials"])
        return replace(tuning, tried=tried, importances=record.get("importances", {}))
    except (TypeError, KeyError, ValueError):
        message = "is not what tuning writes; remove it: it is made again from stored results"
        raise StudyError(f"{store}/{_path(tuning)} {message}") from None


def _path(tuning: Tuning) -> str:
    return f"tuning/{tuning.key}.json"
