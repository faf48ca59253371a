"""Suggests hyper-parameters with Optuna; the only file that imports it.

A round of suggestions is a function of the grid and of the rounds before it: the sampler is seeded anew for every
trial from named axes, and Optuna's study is made anew from what was recorded. So a sweep that was killed, or whose
record was lost, comes to the same suggestions, whose results the store then holds.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from study import tuning
from study.design import Study, named_seed
from study.outcome import Outcome
from study.overlay import InvalidError
from study.space import Parameter
from study.stages import Stage, canonical_json, stages_of
from study.store import Store
from study.tuning import Tried, Tuning
from study.wanted import wanted
from study.work import Work

STARTUP = 5  # trials drawn at random before the sampler models anything: a quarter of a usual budget

optuna.logging.set_verbosity(optuna.logging.WARNING)  # every trial is told by us


def suggest(cell: Tuning) -> list[Tried]:
    """The next round of a cell's tuning: as many open trials as run at once, fewer where the budget ends."""
    study = optuna.create_study(direction="maximize")
    space = {parameter.name: _distribution(parameter) for parameter in cell.parameters}
    for tried in cell.tried:
        study.add_trial(_frozen(tried, space))
    first = len(cell.tried) + 1
    return [
        _asked(study, space, cell, number)
        for number in range(first, min(first + cell.space.parallel, cell.space.budget + 1))
    ]


def _asked(study: optuna.Study, space: Mapping[str, BaseDistribution], cell: Tuning, number: int) -> Tried:
    study.sampler = _sampler(named_seed(f"tuning={cell.key}/trial={number}"))
    if cell.warm and number == 1:
        study.enqueue_trial({name: _optuna(space[name], value) for name, value in cell.warm.items() if name in space})
    trial = study.ask(dict(space))
    values = {name: _plain(space[name], value) for name, value in trial.params.items()}
    return Tried(number, {name: values[name] for name in space}, attributes=dict(study.trials[-1].system_attrs))


def _sampler(seed: int) -> BaseSampler:
    # the constant liar keeps the trials of one round apart
    return TPESampler(seed=seed, n_startup_trials=STARTUP, constant_liar=True)


def _distribution(parameter: Parameter) -> BaseDistribution:
    if parameter.kind == "choice":
        return CategoricalDistribution([canonical_json(choice) for choice in parameter.choices])
    assert parameter.low is not None
    assert parameter.high is not None
    if parameter.kind == "float":
        return FloatDistribution(parameter.low, parameter.high, log=parameter.log)
    return IntDistribution(int(parameter.low), int(parameter.high), log=parameter.log, step=parameter.step or 1)


def _optuna(distribution: BaseDistribution, value: Any) -> Any:
    """Choices are told to Optuna as text: lists and mappings are none of its values."""
    return canonical_json(value) if isinstance(distribution, CategoricalDistribution) else value


def _plain(distribution: BaseDistribution, value: Any) -> Any:
    return json.loads(value) if isinstance(distribution, CategoricalDistribution) else value


def _frozen(tried: Tried, space: Mapping[str, BaseDistribution]) -> FrozenTrial:
    return create_trial(
        state=TrialState.FAIL if tried.val_accuracy is None else TrialState.COMPLETE,
        value=tried.val_accuracy,
        params={name: _optuna(space[name], value) for name, value in tried.values.items()},
        distributions=dict(space),
        system_attrs=dict(tried.attributes),
    )


class TuningWork(Work):
    """The tuning trials of all cells, round by round, and each cell's replicates once its tuning has ended."""

    def __init__(self, study: Study, store: Store) -> None:
        super().__init__([])
        self._study, self._store = study, store
        self._given: set[str] = set()
        self._waiting: dict[str, list[tuple[str, int]]] = {}  # by key of a stage: cells and numbers of trials
        self._tunings: dict[str, Tuning] = {}
        self._dirty = True
        for one in tuning.load(study, store):
            self._tunings[one.cell.name] = one
            if one.hopeless:  # what failed is tried again by the next run
                self._keep(replace(one, tried=()))

    @property
    def total(self) -> int:
        """Those to come count as a fine-tuning each: how many pre-trainings they share is not known yet."""
        return len(self._given) + sum(tuning.to_come(self._study, self._tunings.values()))

    def more(self) -> list[Stage]:
        if not self._dirty:
            return []
        self._dirty = False
        if len(self._tunings) < len(self._study.included):
            for one in tuning.load(self._study, self._store):
                self._tunings.setdefault(one.cell.name, one)
        found = [stage for name in self._tunings for stage in self._advance(name)]
        if any(one.finished for one in self._tunings.values()):
            found += [stage for trial in wanted(self._study, self._store) for stage in stages_of(trial)]
        return self._new(found)

    def ended(self, outcome: Outcome) -> None:
        for name, number in self._waiting.pop(outcome.stage.key, []):
            tried = self._tunings[name].tried[number - 1]
            self._end(
                name, self._read(tried, outcome.stage) if outcome.error is None else _failed(tried, outcome.error)
            )
            self._dirty = True

    def _advance(self, name: str) -> Iterator[Stage]:
        """Ask for rounds until one has to be waited for; gives the stages of that one."""
        while not self._tunings[name].finished:
            for tried in self._tunings[name].open:
                yield from self._begin(name, tried)
            if self._tunings[name].open:
                return
            one = self._tunings[name]
            self._keep(replace(one, tried=(*one.tried, *suggest(one))))

    def _begin(self, name: str, tried: Tried) -> list[Stage]:
        """What has to be run for a trial; nothing where its result is stored, or its values do not go together."""
        try:
            stages = stages_of(self._tunings[name].trial(tried))
        except InvalidError as error:
            self._end(name, _failed(tried, f"{error.path}: {error.message}"))
            return []
        last = stages[-1]
        if self._store.has(last):
            self._end(name, self._read(tried, last))
            return []
        waiting = self._waiting.setdefault(last.key, [])
        if (name, tried.number) not in waiting:
            waiting.append((name, tried.number))
        return stages

    def _read(self, tried: Tried, stage: Stage) -> Tried:
        result = self._store.find(stage)
        if result is None:
            return _failed(tried, "its result is not in the store")
        return replace(tried, status="done", val_accuracy=result.metrics["val_accuracy"])

    def _end(self, name: str, tried: Tried) -> None:
        self._keep(self._tunings[name].ending(tried))

    def _keep(self, one: Tuning) -> None:
        self._tunings[one.cell.name] = one
        tuning.save(one, self._store)

    def _new(self, stages: list[Stage]) -> list[Stage]:
        """Those not given before that have no result yet."""
        new = {stage.key: stage for stage in stages if stage.key not in self._given and not self._store.has(stage)}
        self._given |= new.keys()
        return list(new.values())


def _failed(tried: Tried, error: str) -> Tried:
    return replace(tried, status="failed", error=error.splitlines()[0])
