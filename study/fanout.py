"""Fans stages out over processors and GPUs with Ray Tune; the only file that imports Ray.

One Tune experiment runs all stages. A searcher hands a stage out once its parent is stored, so there is no barrier
between pre-training and fine-tuning and no two workers share a key. Tune is only the fan-out: what it writes is thrown
away, and running again means asking the store again.
"""

import json
import logging
import os
import shutil
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from study import leftovers
from study.config import Resources
from study.errors import StudyError
from study.halving import Halving
from study.leases import Leases
from study.outcome import Listener, Outcome
from study.stages import Stage
from study.store import Store, StoreError
from study.work import Work

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no telemetry
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")  # Tune's banner: progress is shown by us
os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")  # parquet:PATH may be relative: workers stay where we are
os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")  # Ctrl-C is heeded in study/interrupt.py
os.environ.setdefault("TUNE_DISABLE_STRICT_METRIC_CHECKING", "1")  # a pre-training has no accuracy to be judged by
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")  # per-trial files that nobody reads
os.environ.setdefault(
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0"
)  # Ray's coming default, said aloud to silence a warning

import ray
from ray import tune
from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import ASHAScheduler, TrialScheduler
from ray.tune.search import Searcher
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

T = TypeVar("T")

FEW = 10  # stages that are looked up one by one; more with one listing
PAUSE = 0.5  # seconds between questions while nothing runs here
REPORT_EVERY = 1.0  # seconds between a worker's reports: each costs a round trip to the driver
PATIENCE = 900.0  # seconds for a cluster's first worker node: a machine in a cloud starts and installs in minutes
ATTEMPTS = 3  # a stage's workers that may die, by kill, lack of memory or loss of their machine, before it has failed
DEATH = "its worker process died (killed, out of memory, or its machine was lost)"


_SESSION: list[Path] = []  # the folder of the Ray that this process has started, if it has


@dataclass(frozen=True)
class Cluster:
    """Where a sweep runs."""

    cpus: float
    gpus: float

    def gpus_per_trial(self, resources: Resources) -> float:
        """What was asked for; where nothing was, one GPU if there is any."""
        return resources.gpu if resources.gpu is not None else float(self.gpus > 0)


def connect(address: str | None, on_wait: Callable[[], None] = lambda: None) -> Cluster:
    """Start Ray on this machine, or join the cluster at `address` (`auto`: the one this machine belongs to).

    A cluster whose head is up but has no processors to give is waited for, `PATIENCE` seconds at the most, because its
    other machines may still be starting; `on_wait` is called once before that.

    Raises StudyError where no cluster answers there.
    """
    if address is not None and address.startswith("ray://"):
        raise StudyError(
            f"--address {address}: a sweep's driver must be on the cluster, where the store is, and Ray Client keeps "
            "it outside; run this on one of its machines with --address auto, or send it there with: "
            "ray job submit --working-dir . -- python -m study run GRID --address auto"
        )
    options: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
    if address is None:
        options |= {"include_dashboard": False, "address": "local"}
    else:
        options |= {"address": address, "runtime_env": {"py_modules": [str(Path(__file__).resolve().parent)]}}
    try:
        with leftovers.coming(_ray_folder()) if address is None else nullcontext():
            context: Any = ray.init(**options)
            if address is None:
                _SESSION.append(Path(context.address_info["session_dir"]))
                leftovers.claim(_SESSION[0])
    except Exception as error:  # Ray raises bare ones, too
        if address is None:
            ray.shutdown()
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise StudyError(
                f"Ray could not be started on this machine: {reason}; run the same command again when the machine is "
                "less busy; python -m study doctor looks for other causes"
            ) from error
        if not isinstance(error, ValueError | ConnectionError | RuntimeError):
            raise
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise StudyError(
            f"--address {address}: no Ray cluster can be joined there: {reason}; it can be auto or HOST:PORT "
            "of a running cluster, and a cluster with a token wants RAY_AUTH_MODE=token here too "
            "(see: python -m study doctor); leave it out to use this machine alone"
        ) from None
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # failures are told once, by us
    if address is None:
        leftovers.sweep_up(_SESSION[0].parent)
    found = _resources()
    if address is not None and not found.get("CPU"):
        on_wait()
        deadline = time.monotonic() + PATIENCE
        while not (found := _resources()).get("CPU") and time.monotonic() < deadline:
            time.sleep(1)
    return Cluster(found.get("CPU", 0.0), found.get("GPU", 0.0))


def _ray_folder() -> Path:
    """Where Ray makes a folder for each session."""
    return Path(os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp", "ray")


def _resources() -> dict[str, float]:
    """What all nodes have together."""
    return dict(ray.cluster_resources())  # type: ignore[no-untyped-call]  # Ray leaves it untyped


def check_resources(resources: Resources, cluster: Cluster) -> None:
    """Raise StudyError if no node of the cluster could ever run a trial, which would wait for ever."""
    wanted = {"CPU": resources.cpu, "GPU": cluster.gpus_per_trial(resources)}
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    if any(all(node.get(kind, 0.0) >= number for kind, number in wanted.items()) for node in nodes):
        return
    has = "; ".join(f"{node.get('CPU', 0):g} CPUs and {node.get('GPU', 0):g} GPUs" for node in nodes)
    asked = f"{wanted['CPU']:g} CPUs and {wanted['GPU']:g} GPUs"
    raise StudyError(f"resources: a trial asks for {asked}, but the nodes have: {has}; ask for less in the grid")


def fan_out(
    stages: list[Stage] | Work,
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
    `ATTEMPTS` workers at the most. Ctrl-C ends the sweep after what is
    being written; stages without an outcome were not run.
    """
    with Leases(store) as leases:
        store.sweep(leases.keys())
        queue = _Queue(stages if isinstance(stages, Work) else Work(stages), store, leases, listener)
        _tune(queue, store, resources, cluster, commit)
    if queue.error is not None:
        raise queue.error
    if queue.broken is not None:
        raise StoreError(f"{queue.broken}; the sweep has stopped, finished stages are kept, and running again goes on")
    return queue.outcomes, not queue.exhausted


def _tune(queue: "_Queue", store: Store, resources: Resources, cluster: Cluster, commit: str) -> None:
    gpus = cluster.gpus_per_trial(resources)
    scratch = Path(tempfile.mkdtemp(prefix="study-tune-", dir=_SESSION[0] if _SESSION else None))
    work = tune.with_parameters(_work, store=store.address, commit=commit, resources=resources)
    tuner = tune.Tuner(
        tune.with_resources(work, {"cpu": resources.cpu, "gpu": gpus}),
        tune_config=tune.TuneConfig(search_alg=queue, scheduler=_scheduler(queue), num_samples=-1, reuse_actors=True),
        run_config=tune.RunConfig(
            name="sweep", storage_path=str(scratch), verbose=0, callbacks=[_Relay(queue, queue.listener)]
        ),
    )
    try:
        tuner.fit()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _scheduler(queue: "_Queue") -> "_Asha | None":
    halving = queue.work.halving
    return _Asha(queue, halving, queue.work.courses()) if halving else None


class _Unsaved:
    """Tune pickles its searcher and callbacks to restore them later; here the store is what is restored from."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class _Queue(_Unsaved, Searcher):
    """Hands out stages in order of dependency. Tune asks for the next one whenever a worker is free."""

    def __init__(self, work: Work, store: Store, leases: Leases, listener: Listener) -> None:
        super().__init__(metric="ended", mode="max")
        self.waiting: deque[Stage] = deque()
        self.running: dict[str, Stage] = {}  # by Tune's trial id
        self.outcomes: list[Outcome] = []
        self._open: set[str] = set()  # neither done nor failed
        self._failed: dict[str, str] = {}
        self._deaths: Counter[str] = Counter()  # of a stage's workers
        self.broken: str | None = None  # why the store cannot be written; then nothing more is handed out
        self.error: Exception | None = None  # what went wrong here; Tune would take it for the trial's and ask again
        self.stopped: set[str] = set()  # Tune's trials that fell behind
        self._courses: dict[str, list[dict[str, float]]] = {}  # epochs of judged stages, by Tune's trial id
        self.work, self._store, self._leases, self.listener = work, store, leases, listener
        self._settle()

    def suggest(self, trial_id: str) -> Any:  # a config, None to wait, or Searcher.FINISHED
        stopping = self.broken is not None or self.error is not None
        stage = None if stopping else self._next()
        if stage is not None:
            self.waiting.remove(stage)
            self.running[trial_id] = stage
            return {"stage": json.dumps(stage.spec()), "judged": self.work.judged(stage)}
        if stopping and not self.running:
            return Searcher.FINISHED
        if self._open and not self.running:
            time.sleep(PAUSE)  # another driver is awaited, and Tune would ask again at once
        return None if self._open else Searcher.FINISHED  # what is running may want more, or have to be run again

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        try:
            self._complete(trial_id, self.running.pop(trial_id), result or {}, error)
        except Exception as problem:
            self.error = self.error or problem

    def heard(self, trial_id: str, rows: list[dict[str, float]]) -> None:
        """Epochs of a stage have ended."""
        if self.work.judged(self.running[trial_id]):
            self._courses.setdefault(trial_id, []).extend(rows)
        self.listener.on_epochs(self.running[trial_id], rows)

    def _complete(self, trial_id: str, stage: Stage, last: dict[str, Any], error: bool) -> None:
        course = self._courses.pop(trial_id, [])
        message = last.get("error")
        if error and not message:
            self._deaths[stage.key] += 1
            if self._deaths[stage.key] < ATTEMPTS:
                self.waiting.appendleft(stage)
                self.listener.on_lost(stage, DEATH)
                return
            message = f"{DEATH}, {ATTEMPTS} times"
        if last.get("unwritten"):
            self.broken = message  # no stage of its own has failed: none could be kept
            return
        if message or last.get("ended"):
            self._end(stage, message or None, last.get("seconds", 0.0))
            self._settle()
        elif trial_id in self.stopped:  # otherwise the sweep is being stopped: neither done nor failed
            self._store.drop_unfinished(stage)
            self._close(Outcome(stage, "stopped", None, last.get("seconds", 0.0), course=tuple(course)))
            self._settle()

    @property
    def exhausted(self) -> bool:
        """Whether every stage has ended."""
        return not self._open

    def _settle(self) -> None:
        """Take what has come to be wanted and end what starts from a failure, until neither brings anything new."""
        before = -1
        while before != len(self.outcomes):
            before = len(self.outcomes)
            self._take_more()
            self._fail_orphans()

    def _take_more(self) -> None:
        while more := self.work.more():
            stored = self._store.keys() if len(more) > FEW else None
            for stage in more:
                if (
                    self._store.has(stage) if stored is None else stage.key in stored
                ):  # by now: another sweep may share the store
                    self.work.ended(Outcome(stage, "done"))
                else:
                    self.waiting.append(stage)
                    self._open.add(stage.key)

    def _next(self) -> Stage | None:
        """The first stage that can be started here and now."""
        for stage in list(self.waiting):
            ready = stage.key in self._open and (stage.parent is None or stage.parent.key not in self._open)
            if ready and self._leases.take(stage) and not self._ended_elsewhere(stage):
                return stage
        return None

    def _ended_elsewhere(self, stage: Stage) -> bool:
        error = None if (stored := self._store.has(stage)) else self._leases.failure(stage)
        if not stored and error is None:
            return False
        self.waiting.remove(stage)
        self._close(Outcome(stage, "failed" if error else "done", error, elsewhere=True))
        self._settle()
        return True

    def _fail_orphans(self) -> None:
        for stage in [stage for stage in self.waiting if stage.parent and stage.parent.key in self._failed]:
            self.waiting.remove(stage)
            parent = stage.parent.key if stage.parent else ""
            self._end(stage, f"its pre-training {parent[:12]} failed: {self._failed[parent]}", 0.0)

    def _end(self, stage: Stage, error: str | None, seconds: float) -> None:
        if error is not None:
            try:
                self._store.fail(stage, error)
            except StoreError as unwritten:
                self.broken = str(unwritten)
        self._close(Outcome(stage, "failed" if error else "done", error, seconds))

    def _close(self, outcome: Outcome) -> None:
        self._open.discard(outcome.stage.key)
        if outcome.error is not None:
            self._failed[outcome.stage.key] = outcome.error.splitlines()[0]
        self._leases.release(outcome.stage)
        self.outcomes.append(outcome)
        self.listener.on_done(outcome)
        self.work.ended(outcome)

    def save(self, checkpoint_path: str) -> None:
        """See `_Unsaved`."""

    def restore(self, checkpoint_path: str) -> None:
        """See `_Unsaved`."""


@dataclass(frozen=True)
class _Ended:
    """Stands for a trial of an earlier sweep, before Tune's scheduler."""

    trial_id: str


class _Asha(_Unsaved, ASHAScheduler):
    """Stops judged stages that fall behind, and tells the queue which; those of earlier sweeps are in the comparison.

    What does not report its accuracy, epoch by epoch, goes on to its end.
    """

    def __init__(self, queue: _Queue, halving: Halving, courses: list[Mapping[int, float]]) -> None:
        super().__init__(
            "epoch",
            "val_accuracy",
            "max",
            max_t=halving.epochs,
            grace_period=halving.grace,
            reduction_factor=halving.reduction,
        )
        self._queue = queue
        nobody: Any = None  # it asks nothing of Tune's controller
        for number, course in enumerate(courses):
            past: Any = _Ended(f"earlier {number}")
            self.on_trial_add(nobody, past)
            for epoch, accuracy in sorted(course.items()):
                super().on_trial_result(nobody, past, {"epoch": epoch, "val_accuracy": accuracy})

    def on_trial_result(self, controller: Any, trial: TuneTrial, result: dict[str, Any]) -> str:
        decision: str = super().on_trial_result(controller, trial, result)
        if decision == TrialScheduler.STOP:
            self._queue.stopped.add(trial.trial_id)
        return decision


class _Relay(_Unsaved, tune.Callback):
    """Passes Tune's events on to the listener."""

    def __init__(self, queue: _Queue, listener: Listener) -> None:
        self._queue, self._listener = queue, listener

    def on_trial_start(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        self._listener.on_start(self._queue.running[trial.trial_id])

    def on_trial_result(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, result: dict[str, Any], **info: Any
    ) -> None:
        rows = json.loads(result.get("epochs", "[]"))
        if rows:
            self._queue.heard(trial.trial_id, rows)


def _work(config: dict[str, Any], store: str, commit: str, resources: Resources) -> None:
    """What a worker does with one stage; every error is a message to the driver, so that none is lost or retried."""
    import torch

    from study.run import run_stage

    torch.set_num_threads(max(1, int(resources.cpu)))
    batch, began = _Batch(config["judged"]), time.monotonic()
    try:
        device = "cuda" if ray.get_gpu_ids() and torch.cuda.is_available() else "cpu"
        stage = Stage.from_spec(json.loads(config["stage"]))
        batch.epochs = stage.recipe.epochs
        run_stage(stage, Store(store), device, batch.add, commit, resources.checkpoint_seconds)
    except Exception as error:
        ending: dict[str, Any] = {"ended": 0, "error": _describe(error), "unwritten": isinstance(error, StoreError)}
    else:
        ending = {"ended": 1}
    tune.report(ending | {"epochs": batch.take(), "seconds": time.monotonic() - began})


class _Batch:
    """Collects epochs and reports them at most every REPORT_EVERY seconds.

    Those of a stage that is judged are reported one by one, with what it is judged by: in that call it may be stopped.
    Its last epoch goes with its result, for a stage that has come so far is to be kept.
    """

    def __init__(self, judged: bool = False) -> None:
        self.epochs = 0  # of the whole stage
        self._judged = judged
        self._rows: list[dict[str, float]] = []
        self._began = self._reported = time.monotonic()

    def add(self, row: dict[str, float]) -> None:
        self._rows.append(row)
        if self._judged:
            if row["epoch"] < self.epochs:
                judged = {"epoch": int(row["epoch"]), "val_accuracy": row["val_accuracy"]}
                seconds = time.monotonic() - self._began
                tune.report({"ended": 0, "epochs": self.take(), "seconds": seconds, **judged})
        elif time.monotonic() - self._reported >= REPORT_EVERY:
            tune.report({"ended": 0, "epochs": self.take()})
            self._reported = time.monotonic()

    def take(self) -> str:
        rows, self._rows = self._rows, []
        return json.dumps(rows)


def _describe(error: Exception) -> str:
    """One line for tables, then the traceback for whoever looks closer."""
    import traceback

    if isinstance(error, StudyError):
        return str(error)
    return f"{type(error).__name__}: {error}\n{''.join(traceback.format_exception(error))}"


def on_every_node(address: str, function: Callable[[], T]) -> dict[str, T]:
    """Call a function once on every living node of a cluster; what it returned, by the node's id."""
    connect(address)
    try:
        nodes = [node["NodeID"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
        call: Any = ray.remote(num_cpus=0)(_call)
        placed = [call.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)) for node in nodes]
        found = ray.get([task.remote(function) for task in placed], timeout=120)
        return dict(zip(nodes, found, strict=True))
    finally:
        disconnect()


def _call(function: Callable[[], T]) -> T:
    return function()


def disconnect() -> None:
    """Leave the cluster, or stop Ray on this machine and remove its files: each session leaves megabytes of them."""
    ray.shutdown()
    while _SESSION:
        leftovers.remove(_SESSION.pop())
