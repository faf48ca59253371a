"""What a store holds of a study's trials at one moment: their stages, status, metrics and origin."""

from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from study.design.stages import Stage
from study.design.study import Trial
from study.planning.contents import Contents
from study.planning.other_data import OTHER_DATA, OtherData, other_data
from study.store.results import Store, UnusableError

if TYPE_CHECKING:
    import pandas as pd

    from study.analysis.stats.image_results import RightImages

NAN = float("nan")
THREADS = 16  # reading and hashing release the GIL; object storage has latency


@dataclass(frozen=True)
class _Stored:
    """What is kept in memory of a result."""

    metrics: Mapping[str, float]
    origin: Mapping[str, str]  # the texts of its provenance: commit, device, code and others


# a stored result never changes, and a sweep reads the store once per round
_read_by_store: WeakKeyDictionary[Store, dict[str, _Stored]] = WeakKeyDictionary()
_right_by_store: "WeakKeyDictionary[Store, dict[str, RightImages | None]]" = WeakKeyDictionary()


class Observations:
    """The keys that have a result when this is made, and the stages of each trial, made once."""

    def __init__(self, store: Store, contents: Contents | None = None, accept_mixed_data: bool = False) -> None:
        self.store = store
        self.contents = contents or Contents(store)
        self.accept_mixed_data = accept_mixed_data
        self.stored = store.keys()
        self._by_trial: dict[tuple[str, int, int], list[Stage]] = {}
        self._by_key: dict[str, Stage] = {}

    def stages_of(self, trial: Trial) -> list[Stage]:
        """The stages of a trial, in order. Trials that share a stage share the object."""
        name = (trial.cell.name, trial.replicate, trial.tuning)
        if name not in self._by_trial:
            self._by_trial[name] = [
                self._by_key.setdefault(stage.key, stage) for stage in self.contents.stages_of(trial, self._is_stored)
            ]
        return self._by_trial[name]

    def _is_stored(self, stage: Stage) -> bool:
        return stage.key in self.stored

    def is_done(self, trial: Trial) -> bool:
        """Whether the trial's last stage has a result."""
        return self.stages_of(trial)[-1].key in self.stored

    def origins(self, stages: Iterable[Stage]) -> dict[str, Mapping[str, str]]:
        """The texts of the provenance of those stages that are stored and undamaged, by key, in order."""
        stored = [stage for stage in stages if stage.key in self.stored]
        with ThreadPoolExecutor(THREADS) as pool:
            found = zip(stored, pool.map(self._read, stored), strict=True)
            return {stage.key: one.origin for stage, one in found if one is not None}

    def has_failed(self, trial: Trial) -> bool:
        """Whether the trial has no result and has failed."""
        return not self.is_done(trial) and self._has_ended(trial)

    def all_ended(self, trials: Iterable[Trial]) -> bool:
        """Whether every trial has a result or has failed."""
        return all(self._has_ended(trial) for trial in trials)

    def table(self, trials: list[Trial], metrics: Collection[str]) -> "pd.DataFrame":
        """One row per trial: a column of labels per factor, replicate, status, and metrics.

        The status is done, failed, missing or other data.
        """
        import pandas as pd  # slow to import; a plan without results does not need it

        other = self.other_data(stage for trial in trials for stage in self.stages_of(trial))
        return pd.DataFrame(
            [
                {**trial.cell.labels, "replicate": trial.replicate, **self._row(trial, metrics, other.excluded)}
                for trial in trials
            ]
        )

    def right_images(self, trials: list[Trial]) -> "dict[tuple[str, int], RightImages]":
        """By cell and replicate, what finished trials classify correctly; without those that lack usable predictions.

        Raises StoreError.
        """
        done = [trial for trial in trials if self.is_done(trial)]
        with ThreadPoolExecutor(THREADS) as pool:
            found = list(pool.map(self._right_images, [self.stages_of(trial)[-1] for trial in done]))
        return {(trial.cell.name, trial.replicate): one for trial, one in zip(done, found, strict=True) if one}

    def _right_images(self, stage: Stage) -> "RightImages | None":
        from study.analysis.stats.image_results import RightImages

        known = _right_by_store.setdefault(self.store, {})
        if stage.key not in known:
            try:
                made = self.store.predictions(stage)
            except UnusableError:
                return None
            known[stage.key] = RightImages(made.images, made.predicted_N == made.labels_N) if made else None
        return known[stage.key]

    def other_data(self, stages: Iterable[Stage]) -> OtherData:
        """Which of the stages were trained on other data than the rest. Raises StoreError."""
        by_key = {stage.key: stage for stage in stages}
        trained_on = {
            by_key[key]: origin["data"] for key, origin in self.origins(by_key.values()).items() if "data" in origin
        }
        return other_data(trained_on, self.contents.decoded, self.accept_mixed_data)

    def _has_ended(self, trial: Trial) -> bool:
        return self.is_done(trial) or any(self.store.failure(stage) is not None for stage in self.stages_of(trial))

    def _row(self, trial: Trial, metrics: Collection[str], other: Mapping[str, str]) -> dict[str, object]:
        *parents, last = stages = self.stages_of(trial)
        if last.key not in self.stored:
            status = "failed" if self._has_ended(trial) else "missing"
            return {"status": status, **dict.fromkeys(metrics, NAN)}
        if any(stage.key in other for stage in stages):
            return {"status": OTHER_DATA, **dict.fromkeys(metrics, NAN)}
        one = self._read(last)
        if one is None:  # damaged
            return {"status": "failed", **dict.fromkeys(metrics, NAN)}
        row: dict[str, object] = {"status": "done", **{name: one.metrics.get(name, NAN) for name in metrics}}
        if "pretrain_seconds" in metrics and parents and parents[0].key in self.stored:
            before = self._read(parents[0])
            row["pretrain_seconds"] = before.metrics.get("train_seconds", NAN) if before else NAN
        return row

    def _read(self, stage: Stage) -> _Stored | None:
        """A stored result, None if it cannot be used."""
        known = _read_by_store.setdefault(self.store, {})
        if stage.key not in known:
            try:
                result = self.store.find(stage)
            except UnusableError:
                return None
            if result is None:
                return None
            origin = {name: value for name, value in result.provenance.items() if isinstance(value, str)}
            known[stage.key] = _Stored(result.metrics, origin)
        return known[stage.key]
