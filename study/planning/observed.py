"""What a store holds of a study's trials at one moment: their stages, their status and their metrics."""

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from study.design.stages import Stage, stages_of
from study.design.study import Trial
from study.store.results import CorruptError, Store

if TYPE_CHECKING:
    import pandas as pd

NAN = float("nan")

# the metrics of a stored stage never change, and a sweep reads the store once per round
_metrics_by_store: WeakKeyDictionary[Store, dict[str, dict[str, float]]] = WeakKeyDictionary()


class Observations:
    """The keys that have a result when this is made, and the stages of each trial, made once."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.stored = store.keys()
        self._by_trial: dict[tuple[str, int, int], list[Stage]] = {}
        self._by_key: dict[str, Stage] = {}

    def stages_of(self, trial: Trial) -> list[Stage]:
        """The stages of a trial, in order. Trials that share a stage share the object."""
        name = (trial.cell.name, trial.replicate, trial.tuning)
        if name not in self._by_trial:
            self._by_trial[name] = [self._by_key.setdefault(stage.key, stage) for stage in stages_of(trial)]
        return self._by_trial[name]

    def is_done(self, trial: Trial) -> bool:
        """Whether the trial's last stage has a result."""
        return self.stages_of(trial)[-1].key in self.stored

    def all_ended(self, trials: Iterable[Trial]) -> bool:
        """Whether every trial has a result or has failed."""
        return all(self._has_ended(trial) for trial in trials)

    def table(self, trials: list[Trial], metrics: Collection[str]) -> "pd.DataFrame":
        """One row per trial: a column of labels per factor, replicate, status (done, failed, missing), and metrics."""
        import pandas as pd  # slow to import; a plan without results does not need it

        return pd.DataFrame(
            [{**trial.cell.labels, "replicate": trial.replicate, **self._row(trial, metrics)} for trial in trials]
        )

    def _has_ended(self, trial: Trial) -> bool:
        return self.is_done(trial) or any(self.store.failure(stage) is not None for stage in self.stages_of(trial))

    def _row(self, trial: Trial, metrics: Collection[str]) -> dict[str, object]:
        *parents, last = self.stages_of(trial)
        if last.key not in self.stored:
            status = "failed" if self._has_ended(trial) else "missing"
            return {"status": status, **dict.fromkeys(metrics, NAN)}
        found = self._metrics(last)
        if found is None:  # damaged
            return {"status": "failed", **dict.fromkeys(metrics, NAN)}
        row: dict[str, object] = {"status": "done", **{name: found.get(name, NAN) for name in metrics}}
        if "pretrain_seconds" in metrics and parents and parents[0].key in self.stored:
            row["pretrain_seconds"] = (self._metrics(parents[0]) or {}).get("train_seconds", NAN)
        return row

    def _metrics(self, stage: Stage) -> dict[str, float] | None:
        """The metrics of a stored stage, None if it is damaged."""
        known = _metrics_by_store.setdefault(self.store, {})
        if stage.key not in known:
            try:
                result = self.store.find(stage)
            except CorruptError:
                return None
            if result is None:
                return None
            known[stage.key] = dict(result.metrics)
        return known[stage.key]
