"""One Tune experiment that runs all stages of a sweep.

A searcher hands stages out once their parent is stored, so there is no barrier between pre-training and fine-tuning
and no two workers share a key. Tune is only the fan-out: what it writes is thrown away, and running again means asking
the store again.
"""

import contextlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import ASHAScheduler, TrialScheduler
from ray.tune.search import Searcher

from study.design.early_stopping import SuccessiveHalving
from study.design.resources import Resources
from study.design.stages import Stage
from study.execution import worker
from study.execution.ray_cluster import Cluster, session
from study.execution.scheduler import Queue
from study.planning.events import Listener, Outcome
from study.planning.stage_source import StageSource
from study.store.leases import Leases
from study.store.results import Store, StoreError


def fan_out(
    stages: list[Stage] | StageSource,
    store: Store,
    resources: Resources,
    cluster: Cluster,
    listener: Listener,
    commit: str,
) -> tuple[list[Outcome], bool]:
    """Run the stages that the store does not hold, parents before children; more may come as they end. What another
    driver of the store is at work on is waited for, and its result taken.

    Returns an outcome for each stage that ended, and whether the sweep was interrupted. Raises StoreError once what is
    running has ended, where the store could not be written; likewise whatever `stages` or `listener` raise.

    A stage that fails does not stop the others, save those that start from it; one whose worker dies is run again, by
    `ATTEMPTS` workers at the most. Ctrl-C ends the sweep after what is being written; stages without an outcome were
    not run.
    """
    work = stages if isinstance(stages, StageSource) else StageSource(stages)
    with Leases(store) as leases:
        store.remove_abandoned(leases.keys())
        queue = Queue(work, store, leases, listener, cluster.at_once(resources))
        _tune(queue, store, resources, cluster, commit)
        with contextlib.suppress(StoreError):  # what killed workers have left of stages that are stored by now
            store.remove_abandoned(leases.keys())
    if queue.error is not None:
        raise queue.error
    if queue.broken is not None:
        raise StoreError(f"{queue.broken}; the sweep has stopped, finished stages are kept, and running again goes on")
    return queue.outcomes, not queue.exhausted


def _tune(queue: Queue, store: Store, resources: Resources, cluster: Cluster, commit: str) -> None:
    gpus, early_stopping = cluster.gpus_per_trial(resources), queue.work.early_stopping
    scratch = Path(tempfile.mkdtemp(prefix="study-tune-", dir=session()))
    work = tune.with_parameters(worker.work, store=store.address, commit=commit, resources=resources)
    tuner = tune.Tuner(
        tune.with_resources(work, {"cpu": resources.cpu, "gpu": gpus}),
        tune_config=tune.TuneConfig(
            search_alg=_Stages(queue),
            scheduler=_Asha(queue, early_stopping, queue.work.learning_curves()) if early_stopping else None,
            num_samples=-1,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(name="sweep", storage_path=str(scratch), verbose=0, callbacks=[_Relay(queue)]),
    )
    try:
        tuner.fit()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


class _Unsaved:
    """Tune pickles its searcher and callbacks to restore them later; here the store is what is restored from."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class _Stages(_Unsaved, Searcher):
    """The queue as Tune's searcher. Tune asks for the next trial whenever a worker is free."""

    def __init__(self, queue: Queue) -> None:
        super().__init__(metric="said", mode="max")  # which nobody compares
        self._queue = queue

    def suggest(self, trial_id: str) -> Any:  # a config, None to wait, or Searcher.FINISHED
        stages = self._queue.take(trial_id)
        if stages:
            specs = [json.dumps(stage.spec()) for stage in stages]
            return {"stages": specs, "can_stop_early": self._queue.work.can_stop_early(stages[0])}
        return Searcher.FINISHED if self._queue.over else None

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        self._queue.leave(trial_id, died=error)

    def save(self, checkpoint_path: str) -> None:
        """See `_Unsaved`."""

    def restore(self, checkpoint_path: str) -> None:
        """See `_Unsaved`."""


@dataclass(frozen=True)
class _Ended:
    """Stands for a trial of an earlier sweep, before Tune's scheduler."""

    trial_id: str


class _Asha(_Unsaved, ASHAScheduler):
    """Stops stages early and reports them to the queue; learning curves of earlier sweeps are in the comparison.

    What does not report its accuracy, epoch by epoch, goes on to its end.
    """

    def __init__(
        self, queue: Queue, early_stopping: SuccessiveHalving, learning_curves: list[Mapping[int, float]]
    ) -> None:
        super().__init__(
            "epoch",
            "val_accuracy",
            "max",
            max_t=early_stopping.epochs,
            grace_period=early_stopping.grace,
            reduction_factor=early_stopping.reduction,
        )
        self._queue = queue
        nobody: Any = None  # it asks nothing of Tune's controller
        for number, curve in enumerate(learning_curves):
            past: Any = _Ended(f"earlier {number}")
            self.on_trial_add(nobody, past)
            for epoch, accuracy in sorted(curve.items()):
                super().on_trial_result(nobody, past, {"epoch": epoch, "val_accuracy": accuracy})

    def on_trial_result(self, controller: Any, trial: TuneTrial, result: dict[str, Any]) -> str:
        decision: str = super().on_trial_result(controller, trial, result)
        if decision == TrialScheduler.STOP:
            self._queue.fall_behind(trial.trial_id)
        return decision


class _Relay(_Unsaved, tune.Callback):
    """Passes Tune's events on to the queue."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    def on_trial_start(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        self._queue.begin(trial.trial_id)

    def on_trial_result(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, result: dict[str, Any], **info: Any
    ) -> None:
        self._queue.hear(trial.trial_id, json.loads(result["said"]))
