"""One Tune experiment that runs all stages of a sweep.

A searcher assigns each stage once its parent is stored: there is no barrier between pre-training and fine-tuning, and
no two workers run the same key. Tune only distributes the work. Its files are deleted afterwards; resuming means
asking the store which stages are missing.
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
from study.execution import ray_health, worker
from study.execution.messages import decode
from study.execution.ray_cluster import Cluster, session
from study.execution.scheduler import Scheduler
from study.planning.events import Listener, Outcome
from study.planning.stage_source import StageSource
from study.store.code import present_code
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
    """Run the stages that are not stored, parents before children; `stages` may add more as they end.

    Waits for stages that another driver of the same store is running, and takes over their results.

    Returns an outcome for each stage that ended, and whether the sweep was interrupted: Ctrl-C ends it after current
    writes, and stages without an outcome were not run. A failed stage stops only the stages that start from it. A
    stage whose worker dies is retried, up to `ATTEMPTS` workers.

    Raises StoreError, after the running stages have ended, if the store cannot be written; likewise any exception of
    `stages` or `listener`. Raises RayLostError if Ray dies.
    """
    work = stages if isinstance(stages, StageSource) else StageSource(stages)
    with Leases(store) as leases:
        store.remove_abandoned(leases.keys())
        scheduler = Scheduler(work, store, leases, listener, cluster.at_once(resources))
        _tune(scheduler, store, resources, cluster, commit)
        with contextlib.suppress(StoreError):  # what killed workers left of stages that are stored by now
            store.remove_abandoned(leases.keys())
    if scheduler.error is not None:
        raise scheduler.error
    if scheduler.store_error is not None:
        raise StoreError(
            f"{scheduler.store_error}; the sweep has stopped, finished stages are kept; "
            "run the same command again to resume"
        )
    return scheduler.outcomes, not scheduler.exhausted


def _tune(scheduler: Scheduler, store: Store, resources: Resources, cluster: Cluster, commit: str) -> None:
    gpus, schedule = cluster.gpus_per_trial(resources), scheduler.work.early_stopping
    scratch = Path(tempfile.mkdtemp(prefix="study-tune-", dir=session()))
    driver = worker.Driver(commit, present_code().digest)
    bundle = tune.with_parameters(worker.run_bundle, store=store.address, driver=driver, resources=resources)
    tuner = tune.Tuner(
        tune.with_resources(bundle, {"cpu": resources.cpu, "gpu": gpus}),
        tune_config=tune.TuneConfig(
            search_alg=_Stages(scheduler),
            scheduler=_EarlyStopping(scheduler, schedule, scheduler.work.learning_curves()) if schedule else None,
            num_samples=-1,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name="sweep", storage_path=str(scratch), verbose=0, callbacks=[_Forwarder(scheduler)]
        ),
    )
    try:
        with ray_health.watched(own=session() is not None):
            tuner.fit()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


class _NotPickled:
    """Tune pickles its searcher and callbacks to restore them later; this project restores from the store instead."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class _Stages(_NotPickled, Searcher):
    """The scheduler as Tune's searcher: Tune asks for the next trial whenever a worker is free."""

    def __init__(self, scheduler: Scheduler) -> None:
        super().__init__(metric="messages", mode="max")  # required by Tune; never compared
        self._scheduler = scheduler

    def suggest(self, trial_id: str) -> Any:  # a config, None to wait, or Searcher.FINISHED
        stages = self._scheduler.assign(trial_id)
        if stages:
            specs = [json.dumps(stage.spec()) for stage in stages]
            return {"stages": specs, "can_stop_early": self._scheduler.work.can_stop_early(stages[0])}
        return Searcher.FINISHED if self._scheduler.finished else None

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        self._scheduler.worker_ended(trial_id, died=error)

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save, see `_NotPickled`."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore, see `_NotPickled`."""


@dataclass(frozen=True)
class _EarlierTrial:
    """Represents a trial of an earlier sweep in Tune's scheduler."""

    trial_id: str


class _EarlyStopping(_NotPickled, ASHAScheduler):
    """ASHA over prunable stages, including those of earlier sweeps. Reports pruned stages to the scheduler.

    Stages that do not report their accuracy after each epoch are never pruned.
    """

    def __init__(
        self, scheduler: Scheduler, schedule: SuccessiveHalving, learning_curves: list[Mapping[int, float]]
    ) -> None:
        super().__init__(
            "epoch",
            "val_accuracy",
            "max",
            max_t=schedule.epochs,
            grace_period=schedule.grace,
            reduction_factor=schedule.reduction,
        )
        self._scheduler = scheduler
        controller: Any = None  # ASHA does not use Tune's controller
        for number, curve in enumerate(learning_curves):
            earlier: Any = _EarlierTrial(f"earlier {number}")
            self.on_trial_add(controller, earlier)
            for epoch, accuracy in sorted(curve.items()):
                super().on_trial_result(controller, earlier, {"epoch": epoch, "val_accuracy": accuracy})

    def on_trial_result(self, controller: Any, trial: TuneTrial, result: dict[str, Any]) -> str:
        decision: str = super().on_trial_result(controller, trial, result)
        if decision == TrialScheduler.STOP:
            self._scheduler.prune(trial.trial_id)
        return decision


class _Forwarder(_NotPickled, tune.Callback):
    """Forwards Tune's events to the scheduler."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    def on_trial_start(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        self._scheduler.start(trial.trial_id)

    def on_trial_result(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, result: dict[str, Any], **info: Any
    ) -> None:
        self._scheduler.handle(trial.trial_id, decode(result["messages"]))
