"""What the store says of a study's trials, as the table that claims are judged from."""

from collections.abc import Collection
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from study.design.stages import Stage, stages_of
from study.design.study import Trial
from study.store.results import CorruptError, Store

if TYPE_CHECKING:
    import pandas as pd

NAN = float("nan")

# what a stage measured never changes once it is stored; a study is looked at several times in one invocation
_measured: WeakKeyDictionary[Store, dict[str, dict[str, float]]] = WeakKeyDictionary()


def evidence(trials: list[Trial], store: Store, metrics: Collection[str]) -> "pd.DataFrame":
    """One row per trial: a column of labels per factor, replicate, status (done, failed or missing), and metrics."""
    import pandas as pd  # only where there is something to judge: a plan is made without it

    stored = store.keys()
    return pd.DataFrame(
        [
            {**trial.cell.labels, "replicate": trial.replicate, **_outcome(trial, store, stored, metrics)}
            for trial in trials
        ]
    )


def all_run(trials: list[Trial], store: Store) -> bool:
    """Whether every trial has a result, or has failed."""
    stored = store.keys()
    return all(_was_run(trial, store, stored) for trial in trials)


def _was_run(trial: Trial, store: Store, stored: frozenset[str]) -> bool:
    stages = stages_of(trial)
    return stages[-1].key in stored or any(store.failure(stage) is not None for stage in stages)


def _outcome(trial: Trial, store: Store, stored: frozenset[str], metrics: Collection[str]) -> dict[str, object]:
    *parents, last = stages_of(trial)
    if last.key not in stored:
        status = "failed" if _was_run(trial, store, stored) else "missing"
        return {"status": status, **dict.fromkeys(metrics, NAN)}
    found = _metrics(last, store)
    if found is None:  # damaged
        return {"status": "failed", **dict.fromkeys(metrics, NAN)}
    row: dict[str, object] = {"status": "done", **{name: found.get(name, NAN) for name in metrics}}
    if "pretrain_seconds" in metrics and parents and parents[0].key in stored:
        row["pretrain_seconds"] = (_metrics(parents[0], store) or {}).get("train_seconds", NAN)
    return row


def _metrics(stage: Stage, store: Store) -> dict[str, float] | None:
    """What a stored stage measured, None if it is damaged."""
    known = _measured.setdefault(store, {})
    if stage.key not in known:
        try:
            result = store.find(stage)
        except CorruptError:
            return None
        if result is None:
            return None
        known[stage.key] = dict(result.metrics)
    return known[stage.key]
