"""What the store says of a study's trials, as the table that claims are judged from."""

from typing import TYPE_CHECKING

from study.design import Trial
from study.factors import METRICS
from study.stages import Stage, stages_of
from study.store import CorruptError, Result, Store

if TYPE_CHECKING:
    import pandas as pd

NOT_KNOWN = dict.fromkeys(METRICS, float("nan"))


def evidence(trials: list[Trial], store: Store) -> "pd.DataFrame":
    """One row per trial: a column of labels per factor, replicate, status (done, failed or missing), and METRICS."""
    import pandas as pd  # only where there is something to judge: a plan is made without it

    return pd.DataFrame(
        [{**trial.cell.labels, "replicate": trial.replicate, **_outcome(trial, store)} for trial in trials]
    )


def was_run(trial: Trial, store: Store) -> bool:
    """Whether a trial has a result, or has failed."""
    stages = stages_of(trial)
    return store.has(stages[-1]) or any(store.failure(stage) is not None for stage in stages)


def _outcome(trial: Trial, store: Store) -> dict[str, object]:
    *parents, last = stages_of(trial)
    result, damaged = _found(last, store)
    if result is None:
        failed = damaged or was_run(trial, store)
        return {"status": "failed" if failed else "missing", **NOT_KNOWN}
    metrics = {name: value for name, value in result.metrics.items() if name in METRICS}
    for parent in parents:
        pretrained, _ = _found(parent, store)
        metrics["pretrain_seconds"] = (
            pretrained.metrics.get("train_seconds", float("nan")) if pretrained else float("nan")
        )
    return {"status": "done", **NOT_KNOWN, **metrics}


def _found(stage: Stage, store: Store) -> tuple[Result | None, bool]:
    """What is stored of a stage, and whether it is damaged."""
    try:
        return store.find(stage), False
    except CorruptError:
        return None, True
