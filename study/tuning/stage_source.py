"""Suggests hyper-parameters with Optuna; the only file that imports it.

A round of suggestions is a function of the grid and of the rounds before it: the sampler is seeded anew for every
trial from named axes, and Optuna's study is made anew from what was recorded. So a sweep that was killed, or whose
record was lost, comes to the same suggestions, whose results the store then holds. Not so where trials are stopped
early: who is stopped, and what is suggested then, depends on who came first.
"""

import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator, get_param_importances
from optuna.samplers import BaseSampler, NSGAIISampler, TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from study.design.early_stopping import Halving
from study.design.overrides import InvalidError
from study.design.search_space import VAL_ACCURACY, Parameter
from study.design.stages import Stage, stages_of
from study.design.study import Study, named_seed
from study.planning import tuning_state
from study.planning.events import Outcome
from study.planning.stage_source import Work
from study.planning.trials import wanted
from study.planning.tuning_state import Tried, Tuning
from study.store.results import Result, Store
from study.utils.canonical_json import canonical_json

POPULATION = 10  # trials of a generation of NSGA-II
STATES = {
    "open": TrialState.RUNNING,
    "done": TrialState.COMPLETE,
    "failed": TrialState.FAIL,
    "stopped": TrialState.PRUNED,
}
STARTUP = 5  # trials drawn at random before the sampler models anything: a quarter of a usual budget

optuna.logging.set_verbosity(optuna.logging.WARNING)  # every trial is told by us


def suggest(cell: Tuning) -> list[Tried]:
    """The next open trials of a cell's tuning: as many as are due."""
    space = {parameter.name: _distribution(parameter) for parameter in cell.parameters}
    study = _study(cell, space)
    first = len(cell.tried) + 1
    return [_asked(study, space, cell, number) for number in range(first, first + cell.due)]


def importances(cell: Tuning) -> dict[str, dict[str, dict[str, float]]]:
    """By objective, method and parameter: the share of an objective's variation that a parameter brings about.

    fANOVA (Hutter et al. 2014) over the whole space; PED-ANOVA (Watanabe et al., arXiv 2304.10255), which asks what
    separates good trials from the rest, as a cross-check. Empty for an objective that does not vary, and where fewer
    than two trials are done.
    """
    study = _study(cell, {parameter.name: _distribution(parameter) for parameter in cell.parameters})
    done = [trial for trial in study.trials if trial.state == TrialState.COMPLETE]
    found: dict[str, dict[str, dict[str, float]]] = {}
    for position, objective in enumerate(cell.space.objectives):
        if len({trial.values[position] for trial in done}) < 2:
            continue
        target = _cost_at(position, -1.0 if objective == VAL_ACCURACY else 1.0)
        fanova = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0), target=target)
        found[objective] = {"fanova": fanova, "ped_anova": _ped_anova(study, target)}
    return found


def _ped_anova(study: optuna.Study, target: Callable[[FrozenTrial], float]) -> dict[str, float]:
    """Nothing where so many trials are equally good that the best cannot be told from the rest."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "PedAnovaImportanceEvaluator computes")  # said of every target: low is good
        warnings.filterwarnings("error", "Target and region quantiles select the same")
        try:
            return get_param_importances(study, evaluator=PedAnovaImportanceEvaluator(), target=target)
        except UserWarning:
            return {}


def _cost_at(position: int, sign: float) -> Callable[[FrozenTrial], float]:
    """An objective as a cost: PED-ANOVA asks what brings it low."""
    return lambda trial: sign * float(trial.values[position])


def _study(cell: Tuning, space: Mapping[str, BaseDistribution]) -> optuna.Study:
    directions = ["maximize" if objective == VAL_ACCURACY else "minimize" for objective in cell.space.objectives]
    study = optuna.create_study(directions=directions)  # type: ignore[arg-type]  # two of its literals
    for tried in cell.tried:
        study.add_trial(_frozen(tried, space, cell.space.objectives))
    return study


def _asked(study: optuna.Study, space: Mapping[str, BaseDistribution], cell: Tuning, number: int) -> Tried:
    study.sampler = _sampler(named_seed(f"tuning={cell.key}/trial={number}"), cell.space.sampler)
    if cell.warm and number == 1:
        study.enqueue_trial({name: _optuna(space[name], value) for name, value in cell.warm.items() if name in space})
    trial = study.ask(dict(space))
    values = {name: _plain(space[name], value) for name, value in trial.params.items()}
    return Tried(number, {name: values[name] for name in space}, attributes=dict(study.trials[-1].system_attrs))


def _sampler(seed: int, name: str) -> BaseSampler:
    if name == "nsga2":
        return NSGAIISampler(seed=seed, population_size=POPULATION)
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


def _frozen(tried: Tried, space: Mapping[str, BaseDistribution], objectives: Sequence[str]) -> FrozenTrial:
    scores = {VAL_ACCURACY: tried.val_accuracy, **tried.costs}
    return create_trial(
        state=STATES[tried.status],
        values=[float(scores[name] or 0.0) for name in objectives] if tried.status == "done" else None,
        intermediate_values={int(epoch): accuracy for epoch, accuracy in tried.course.items()},
        params={name: _optuna(space[name], value) for name, value in tried.values.items()},
        distributions=dict(space),
        system_attrs=dict(tried.attributes),
    )


class TuningWork(Work):
    """The tuning trials of all cells, round by round, and each cell's replicates once its tuning has ended."""

    def __init__(self, study: Study, store: Store) -> None:
        super().__init__([])
        self._study, self._store = study, store
        self._searches = study.space is not None and study.space.searches
        self._given: set[str] = set()
        self._waiting: dict[str, list[tuple[str, int]]] = {}  # by key of a stage: cells and numbers of trials
        self._tunings: dict[str, Tuning] = {}
        self._dirty = True
        self._latencies = Latencies(store)
        for one in tuning_state.load(study, store):
            self._tunings[one.cell.name] = one
            if one.hopeless:  # what failed is tried again by the next run
                self._keep(replace(one, tried=()))

    @property
    def total(self) -> int:
        """Those to come count as a fine-tuning each: how many pre-trainings they share is not known yet."""
        return len(self._given) + sum(tuning_state.to_come(self._study, self._tunings.values()))

    def more(self) -> list[Stage]:
        if not self._dirty:
            return []
        self._dirty = False
        if len(self._tunings) < len(self._study.included):
            for one in tuning_state.load(self._study, self._store):
                self._tunings.setdefault(one.cell.name, one)
        found = [stage for name in self._tunings for stage in self._advance(name)]
        if self._searches or any(one.finished for one in self._tunings.values()):
            found += [stage for trial in wanted(self._study, self._store) for stage in stages_of(trial)]
        return self._new(found)

    def ended(self, outcome: Outcome) -> None:
        for name, number in self._waiting.pop(outcome.stage.key, []):
            tried = self._tunings[name].tried[number - 1]
            self._end(name, self._ended(tried, outcome))
            self._dirty = True

    @property
    def halving(self) -> Halving | None:
        return self._study.space.halving if self._study.space else None

    def judged(self, stage: Stage) -> bool:
        return self.halving is not None and stage.key in self._waiting

    def courses(self) -> list[Mapping[int, float]]:
        found: list[Mapping[int, float]] = []
        for one in self._tunings.values():
            for tried in one.tried:
                if tried.status == "stopped":
                    found.append({int(epoch): accuracy for epoch, accuracy in tried.course.items()})
                elif tried.status == "done" and (result := self._store.find(stages_of(one.trial(tried))[-1])):
                    found.append({int(row["epoch"]): row["val_accuracy"] for row in result.history})
        return found

    def _ended(self, tried: Tried, outcome: Outcome) -> Tried:
        if outcome.error is not None:
            return _failed(tried, outcome.error)
        if outcome.status == "stopped":
            course = {str(int(row["epoch"])): row["val_accuracy"] for row in outcome.course}
            return replace(tried, status="stopped", val_accuracy=outcome.course[-1]["val_accuracy"], course=course)
        return self._read(tried, outcome.stage)

    def _advance(self, name: str) -> Iterator[Stage]:
        """Ask for trials until some have to be waited for; gives the stages of those."""
        while True:
            for tried in self._tunings[name].open:
                yield from self._begin(name, tried)
            one = self._tunings[name]
            if not one.due:
                return
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
        if twin := self._tunings[name].twin(tried):
            self._end(name, replace(twin, number=tried.number, attributes=tried.attributes))
            return []
        waiting = self._waiting.setdefault(last.key, [])
        if (name, tried.number) not in waiting:
            waiting.append((name, tried.number))
        return stages

    def _read(self, tried: Tried, stage: Stage) -> Tried:
        result = self._store.find(stage)
        if result is None:
            return _failed(tried, "its result is not in the store")
        costs = self._costs(stage, result) if self._searches else {}
        return replace(tried, status="done", val_accuracy=result.metrics["val_accuracy"], costs=costs)

    def _costs(self, stage: Stage, result: Result) -> dict[str, float]:
        assert self._study.space is not None
        costs: dict[str, float] = {}
        for objective in self._study.space.objectives:
            if objective == "latency":
                costs[objective] = self._latencies.of(stage)
            elif objective != VAL_ACCURACY:
                costs[objective] = result.facts[objective]
        return costs

    def _end(self, name: str, tried: Tried) -> None:
        self._keep(self._tunings[name].ending(tried))

    def _keep(self, one: Tuning) -> None:
        if self._searches and one.finished:
            one = replace(one, importances=importances(one))
        self._tunings[one.cell.name] = one
        tuning_state.save(one, self._store)

    def _new(self, stages: list[Stage]) -> list[Stage]:
        """Those not given before that have no result yet."""
        new = {stage.key: stage for stage in stages if stage.key not in self._given and not self._store.has(stage)}
        self._given |= new.keys()
        return list(new.values())


def _failed(tried: Tried, error: str) -> Tried:
    return replace(tried, status="failed", error=error.splitlines()[0])


class Latencies:
    """Latencies of models on this machine, each shape measured once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, float] = {}

    def of(self, stage: Stage) -> float:
        """Milliseconds for one image on one thread."""
        shape = stage.settings.model_shape
        if shape not in self._known:
            from study.vit.model_files import latency_ms  # imports torch: a search by parameters does without

            with self._store.folder(stage) as folder:
                self._known[shape] = latency_ms(folder)
        return self._known[shape]
