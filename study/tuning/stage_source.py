"""Tuning trials as stages: round by round for every cell, then each cell's replicates at its best values."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from study.design.early_stopping import SuccessiveHalving
from study.design.overrides import InvalidError
from study.design.search_space import VAL_ACCURACY
from study.design.stages import Stage
from study.design.study import Study
from study.planning import tuning_state
from study.planning.contents import Contents
from study.planning.events import Outcome
from study.planning.stage_source import StageSource
from study.planning.state import StudyState
from study.planning.tuning_state import Tuning, TuningTrial
from study.store.results import Result, Store
from study.tuning.importance import importances
from study.tuning.sampler import suggest

Name = tuple[str, int]  # of a tuning: its cell and its replicate


class TuningStageSource(StageSource):
    """Suggests trials as earlier ones end, and records every step in the store."""

    def __init__(self, study: Study, store: Store, contents: Contents | None = None) -> None:
        super().__init__([])
        self._study, self._store, self._contents = study, store, contents or Contents(store)
        self._searches = study.space is not None and study.space.searches
        self._given: set[str] = set()  # keys of stages
        self._waiting: dict[str, list[tuple[Name, int]]] = {}  # key of a stage -> its tunings and numbers of trials
        self._tunings: dict[Name, Tuning] = {}
        self._changed = True  # whether a trial has ended since the last call of `more`
        self._latencies: dict[str, float] = {}  # milliseconds by shape of the model
        for tuning in tuning_state.load(study, store, self._contents.of):
            self._tunings[tuning.name] = tuning
            if tuning.all_failed:  # failed trials are retried by the next run
                self._save(replace(tuning, trials=()))

    @property
    def total(self) -> int:
        """Stages so far, plus one per remaining trial: how many pre-trainings those share is unknown."""
        return len(self._given) + sum(tuning_state.num_remaining(self._study, self._tunings.values()))

    def more(self) -> list[Stage]:
        if not self._changed:
            return []
        self._changed = False
        if len(self._tunings) < tuning_state.num_tunings(self._study):
            for tuning in tuning_state.load(self._study, self._store, self._contents.of):
                self._tunings.setdefault(tuning.name, tuning)
        stages = [stage for name in self._tunings for stage in self._advance(name)]
        if self._searches or any(tuning.finished for tuning in self._tunings.values()):
            stages += StudyState.look(self._study, self._store, self._contents).stages.values()
        return self._new(stages)

    def ended(self, outcome: Outcome) -> None:
        for name, number in self._waiting.pop(outcome.stage.key, []):
            trial = self._tunings[name].trials[number - 1]
            self._end(name, self._with_outcome(trial, outcome))
            self._changed = True

    @property
    def early_stopping(self) -> SuccessiveHalving | None:
        return self._study.space.early_stopping if self._study.space else None

    def can_stop_early(self, stage: Stage) -> bool:
        return self.early_stopping is not None and stage.key in self._waiting

    def learning_curves(self) -> list[Mapping[int, float]]:
        curves: list[Mapping[int, float]] = []
        for tuning in self._tunings.values():
            for trial in tuning.trials:
                if trial.status == "stopped":
                    curves.append({int(epoch): accuracy for epoch, accuracy in trial.learning_curve.items()})
                elif trial.status == "done" and (
                    result := self._store.find(self._contents.stages_of(tuning.trial(trial), self._store.has)[-1])
                ):
                    curves.append({int(row["epoch"]): row["val_accuracy"] for row in result.history})
        return curves

    def _advance(self, name: Name) -> Iterator[Stage]:
        """Suggest trials until some have to run; yields their stages. Trials with a known ending need no run."""
        while True:
            for trial in self._tunings[name].open:
                yield from self._start(name, trial)
            tuning = self._tunings[name]
            if not tuning.num_to_suggest:
                return
            self._save(replace(tuning, trials=(*tuning.trials, *suggest(tuning))))

    def _start(self, name: Name, trial: TuningTrial) -> list[Stage]:
        """The stages of a trial; none if its result is stored or its values exclude each other, which ends it."""
        tuning = self._tunings[name]
        try:
            stages = self._contents.stages_of(tuning.trial(trial), self._store.has)
        except InvalidError as error:
            self._end(name, _failed(trial, f"{error.path}: {error.message}"))
            return []
        last = stages[-1]
        if self._store.has(last):
            self._end(name, self._with_result(trial, last))
            return []
        if twin := tuning.duplicate_of(trial):
            self._end(name, replace(twin, number=trial.number, attributes=trial.attributes))
            return []
        waiting = self._waiting.setdefault(last.key, [])
        if (name, trial.number) not in waiting:
            waiting.append((name, trial.number))
        return stages

    def _with_outcome(self, trial: TuningTrial, outcome: Outcome) -> TuningTrial:
        if outcome.error is not None:
            return _failed(trial, outcome.error)
        if outcome.status == "stopped":
            curve = {str(int(row["epoch"])): row["val_accuracy"] for row in outcome.learning_curve}
            last = outcome.learning_curve[-1]["val_accuracy"]
            return replace(trial, status="stopped", val_accuracy=last, learning_curve=curve)
        return self._with_result(trial, outcome.stage)

    def _with_result(self, trial: TuningTrial, stage: Stage) -> TuningTrial:
        result = self._store.find(stage)
        if result is None:
            return _failed(trial, "result not found in the store")
        costs = self._costs(stage, result) if self._searches else {}
        return replace(trial, status="done", val_accuracy=result.metrics["val_accuracy"], costs=costs)

    def _costs(self, stage: Stage, result: Result) -> dict[str, float]:
        """All objectives but accuracy."""
        assert self._study.space is not None
        costs = (name for name in self._study.space.objectives if name != VAL_ACCURACY)
        return {name: self._latency(stage) if name == "latency" else result.facts[name] for name in costs}

    def _latency(self, stage: Stage) -> float:
        """Milliseconds for one image on one CPU thread; measured once for each shape of model."""
        shape = stage.settings.model_shape
        if shape not in self._latencies:
            from study.vit.model_files import latency_ms  # imports torch, which other objectives do not need

            with self._store.folder(stage) as folder:
                self._latencies[shape] = latency_ms(folder)
        return self._latencies[shape]

    def _end(self, name: Name, trial: TuningTrial) -> None:
        self._save(self._tunings[name].with_trial(trial))

    def _save(self, tuning: Tuning) -> None:
        if self._searches and tuning.finished:
            tuning = replace(tuning, importances=importances(tuning))
        self._tunings[tuning.name] = tuning
        tuning_state.save(tuning, self._store)

    def _new(self, stages: list[Stage]) -> list[Stage]:
        """Stages that were not given before and have no result yet, each once."""
        new = {stage.key: stage for stage in stages if stage.key not in self._given and not self._store.has(stage)}
        self._given |= new.keys()
        return list(new.values())


def _failed(trial: TuningTrial, error: str) -> TuningTrial:
    return replace(trial, status="failed", error=error.splitlines()[0])
