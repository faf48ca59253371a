"""Mirrors a study in MLflow; the only file that imports MLflow.

An experiment per study, a parent run per invocation, a nested run per stage. The store is the truth: a run can always
be written from it, so a server that is down or slow costs nothing but a later `study sync`. All writing is done by one
thread of the driver, because many writers lock SQLite, and so that a slow server does not hold up the sweep.
"""

import contextlib
import json
import logging
import os
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from study.courier import Courier
from study.data import describe
from study.design import Study, Trial
from study.errors import StudyError
from study.ledger import Ledger, server_of
from study.outcome import Listener, Outcome
from study.owner import gone, me
from study.secrets import masked
from study.stages import Stage, unique_stages, users_of
from study.store import Result, Store
from study.wanted import everything, stage_name

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, Metric, Param, RunInfo, RunTag

FLUSH_EVERY = 3.0  # seconds between a running stage's deliveries of epochs
FLUSH_SECONDS = 60.0  # that the end of a sweep waits for a slow server, before it leaves the rest to `study sync`;
# a file of this machine takes as long as it takes: thousands of runs of very short stages, some minutes
LAST_SECONDS = 15.0  # that the end of a sweep waits for its own run to be closed
LONGEST_SWEEP = 24 * 3600.0  # after which another machine's driver that left a run open is taken for dead
MAX_PARAM = 6000  # characters MLflow takes for a parameter
MAX_BATCH = 1000  # metrics, parameters and tags MLflow takes at a time
SCHEMES = ("http", "https", "sqlite", "postgresql", "mysql", "mssql")
PARENT = "mlflow.parentRunId"


def default_uri(store: Store) -> str:
    """`MLFLOW_TRACKING_URI`, or a SQLite file in the store; in `.study` on this machine for a store at an address."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(store.root / 'mlflow.db').resolve()}"


def check_uri(uri: str) -> None:
    """Raise StudyError for an address that no MLflow server or database can have."""
    scheme = urlsplit(uri).scheme.partition("+")[0]
    if scheme not in SCHEMES:
        raise StudyError(
            f"tracking URI {masked(uri)!r} is not possible; it can begin with {', '.join(f'{s}:' for s in SCHEMES)}, "
            "as in sqlite:///mlflow.db or http://localhost:5000"
        )


@contextlib.contextmanager
def model_of(run_id: str, uri: str) -> Iterator[Path]:
    """The model that a stage's run holds, in a folder for as long as the context lasts. Raises StudyError."""
    check_uri(uri)
    if not _exists(uri):
        raise StudyError(f"run {run_id} is not to be had: there is no MLflow database at {masked(uri)}")
    client = _client(uri)
    from mlflow.exceptions import MlflowException

    with tempfile.TemporaryDirectory(prefix="study-model-") as folder:
        try:
            path = client.download_artifacts(run_id, "model", folder)
        except (MlflowException, OSError) as error:
            problem = " ".join(str(error).split())[:200]
            raise StudyError(f"MLflow at {masked(uri)} has no model of run {run_id}: {masked(problem)}") from None
        yield Path(path)


def undelivered(study: Study, store: Store, uri: str) -> list[Stage]:
    """Finished stages of a study that the server does not have; asks the ledger, not the server."""
    delivered = Ledger(store, study.name).runs(uri) if _exists(uri) else {}
    stages = unique_stages(everything(study, store))
    return [stage for stage in stages if stage.key not in delivered and store.has(stage)]


def _exists(uri: str) -> bool:
    return not _is_file(uri) or Path(uri.removeprefix("sqlite:///")).exists()


def _is_file(uri: str) -> bool:
    return uri.startswith("sqlite:///")


class Tracker(Listener):
    """Delivers a sweep as it runs. Use as a context manager; nothing here raises because of the server.

    Running stages are shown as they run. A stage that has ended before the server came to its start is delivered at one
    go, in half as many calls: so a slow server, or a sweep of very short stages, does not fall behind. A server that is
    away is tried again and again while the sweep goes on; what it missed waits in the store.
    """

    def __init__(self, study: Study, store: Store, uri: str, tags: Mapping[str, str]) -> None:
        self.uri = uri
        self._mirror = _Mirror(study, store, uri, tags)
        self._courier = Courier(self._mirror.connect, self._mirror.catch_up)
        self._mirror.hurried = self._courier.hurried.is_set
        self._late = False  # the server did not take everything in the time it was given

    @property
    def problem(self) -> str | None:
        """Why the server does not have everything; None where it has."""
        error = self._courier.problem
        if error is not None:
            return masked(f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")
        if self._mirror.unreadable:
            return next(iter(self._mirror.unreadable.values()))
        return "it is too slow" if self._late else None

    def __enter__(self) -> "Tracker":
        self._courier.start()
        return self

    @property
    def patience(self) -> float | None:
        """Seconds that the end of a sweep waits for the server."""
        return None if _is_file(self.uri) else FLUSH_SECONDS

    def expect(self, trials: list[Trial]) -> None:
        """Trials that are wanted now; more may be than when the sweep began."""
        self._mirror.expect(trials)

    def on_start(self, stage: Stage) -> None:
        self._courier.send(lambda: None if stage.key in self._mirror.ended else self._mirror.start(stage))

    def on_epochs(self, stage: Stage, rows: list[dict[str, float]]) -> None:
        self._courier.send(lambda: self._mirror.epochs(stage, rows))

    def on_lost(self, stage: Stage, reason: str) -> None:
        self._courier.send(lambda: self._mirror.lose(stage, reason))

    def on_done(self, outcome: Outcome) -> None:
        if outcome.elsewhere:
            return  # whoever ran it delivers it; what is missing at the end is delivered then
        self._mirror.ended.add(outcome.stage.key)
        if outcome.status != "done":
            self._mirror.unstored[outcome.stage.key] = outcome  # the store keeps no run of it: it waits here
        self._courier.send(lambda: self._mirror.end(outcome.stage))

    def flush(self, seconds: float | None = None) -> None:
        """Wait until all finished stages are delivered, those of earlier sweeps too, or the server has failed; for
        `seconds` at the most."""
        self._late = not self._courier.flush(seconds) and self._courier.problem is None

    def finish(self, status: str, report: Path | None) -> None:
        """Close the parent run as FINISHED, FAILED or KILLED, with the report if there is one. Nothing can follow."""
        self._late |= not self._courier.stop(lambda: self._mirror.close(status, report), LAST_SECONDS)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._courier.stop(lambda: None, 0.0 if self._late or kind is not None else LAST_SECONDS)


class _Mirror:
    """Writes runs; used by one thread only."""

    def __init__(self, study: Study, store: Store, uri: str, tags: Mapping[str, str]) -> None:
        self.ended: set[str] = set()  # keys of stages that have ended in this sweep, delivered or not
        self.unstored: dict[str, Outcome] = {}  # by key: stages failed or stopped that the server does not have yet
        self.unreadable: dict[str, str] = {}  # by key: stored stages that cannot be delivered, and why
        self.hurried: Callable[[], bool] = lambda: False
        self._study, self._store, self._uri = study, store, uri
        self._ledger, self._tags = Ledger(store, study.name), dict(tags)
        self._users: dict[str, list[Trial]] = {}
        self.expect(everything(study, store))
        self._live: dict[str, _LiveRun] = {}
        self._others = False  # whether other drivers are at work on this study
        self._connects = 0
        self._delivered: set[str] = set()
        self._refused: Counter[str] = Counter()  # how often the delivery of a stage has failed
        self._client: MlflowClient
        self._experiment = self._parent = ""

    def connect(self) -> None:
        """Make sure of the experiment and this sweep's own run, end what nobody is writing."""
        self._live.clear()
        self._connects += 1
        self._client = _client(self._uri)
        self._experiment = self._find_experiment()
        self._close_abandoned()
        if not self._parent:
            tags = {**self._tags, "driver": me(), "mlflow.note.content": self._study.grid.question}
            run = self._client.create_run(self._experiment, run_name=f"{self._study.name} {_clock()}", tags=tags)
            self._parent = run.info.run_id

    def expect(self, trials: list[Trial]) -> None:
        """Learn who uses which stage; a trial added later does not rename what earlier ones use."""
        self._users = users_of(trials) | self._users

    def _users_of(self, stage: Stage) -> list[Trial]:
        if stage.key not in self._users:  # tuning has suggested it since
            self.expect(everything(self._study, self._store))
        return self._users[stage.key]

    def start(self, stage: Stage) -> None:
        self._live[stage.key] = self._create(stage)
        self._live[stage.key].flush()

    def epochs(self, stage: Stage, rows: list[dict[str, float]]) -> None:
        if stage.key in self._live:
            self._live[stage.key].add(rows)

    def lose(self, stage: Stage, reason: str) -> None:
        """End a run whose worker is gone; the stage gets another one."""
        (self._live.pop(stage.key, None) or self._create(stage)).fail(reason)

    def end(self, stage: Stage) -> None:
        if outcome := self.unstored.get(stage.key):
            self._close_unstored(outcome)
        elif stage.key not in self._delivered:
            self._deliver(stage, ask=self._connects > 1)

    def close(self, status: str, report: Path | None) -> None:
        self._live.clear()
        self._close_abandoned()
        self._client.set_terminated(self._parent, status)  # before the report, which may take long
        if report is not None and report.is_dir():
            self._client.log_artifacts(self._parent, str(report), "report")

    def catch_up(self) -> None:
        """Deliver what waits in order; what was refused before comes last, so that it holds up nothing else. What
        another driver may be delivering at this moment is left to it."""
        self.expect(everything(self._study, self._store))
        waiting = undelivered(self._study, self._store, self._uri)
        for stage in sorted(waiting, key=lambda stage: self._refused[stage.key]):
            if self.hurried():
                return
            if stage.key in self._delivered or (self._others and stage.key not in self.ended):
                continue
            self._refused[stage.key] += 1
            self._deliver(stage, ask=True)
            del self._refused[stage.key]
        for outcome in list(self.unstored.values()):
            self._close_unstored(outcome)

    def _deliver(self, stage: Stage, ask: bool) -> None:
        """Deliver a stored stage; `ask` the server first whether it has it, where whoever delivered it may have been
        killed, or cut off, before it could note so."""
        run = self._live.pop(stage.key, None)
        if ask and run is None:
            runs = self._client.search_runs([self._experiment], f"tags.key = '{stage.key}'")
            if finished := [found for found in runs if found.info.status == "FINISHED"]:
                self._note(stage, finished[0].info.run_id)
                return
        self._complete(stage, run or self._create(stage))

    def _complete(self, stage: Stage, run: "_LiveRun") -> None:
        try:
            result = self._store.find(stage)
            self._store.weights(stage)
        except StudyError as error:  # damaged since it was stored: the server is not to blame
            self.unreadable[stage.key] = str(error)
            run.fail(str(error))
            return
        if result is None:
            raise StudyError(f"stage {stage.key} has ended but is not stored")
        with self._store.folder(stage) as folder:
            run.complete(result, folder)
        self._note(stage, run.run_id)

    def _close_unstored(self, outcome: Outcome) -> None:
        run = self._live.pop(outcome.stage.key, None) or self._create(outcome.stage)
        if outcome.status == "stopped":
            run.stop(outcome)
        else:
            run.fail(outcome.error or "")
        self.unstored.pop(outcome.stage.key, None)

    def _note(self, stage: Stage, run_id: str) -> None:
        self._ledger.add(self._uri, stage, run_id)
        self._delivered.add(stage.key)

    def _find_experiment(self) -> str:
        found = self._client.get_experiment_by_name(self._study.name)
        if found is not None and found.lifecycle_stage == "deleted":
            self._client.restore_experiment(found.experiment_id)
        if found is not None:
            return str(found.experiment_id)
        local = self._uri.startswith("sqlite:")
        place = (self._store.root / "mlartifacts" / self._study.name).resolve().as_uri() if local else None
        return str(self._client.create_experiment(self._study.name, artifact_location=place))

    def _close_abandoned(self) -> None:
        """End the runs left RUNNING by drivers of this machine that were killed, and this one's own of which it knows
        nothing any more: its answer got lost, or the server was away since."""
        self._others = False
        for run in self._client.search_runs([self._experiment], "attributes.status = 'RUNNING'", max_results=10_000):
            owner, run_id = run.data.tags.get("driver", ""), run.info.run_id
            if owner == me() and PARENT not in run.data.tags:
                self._parent = self._parent or run_id
            if run_id != self._parent and (owner == me() or gone(owner)):
                self._client.set_terminated(run_id, "KILLED")
            recent = time.time() - run.info.start_time / 1000 < LONGEST_SWEEP
            self._others |= recent and owner != me() and not gone(owner)

    def _create(self, stage: Stage) -> "_LiveRun":
        run = self._client.create_run(self._experiment, run_name=self._name(stage), tags=self._stage_tags(stage))
        return _LiveRun(self._client, run.info, self._uri, stage)

    def _name(self, stage: Stage) -> str:
        return stage_name(stage.key, self._users_of(stage))[:250]

    def _stage_tags(self, stage: Stage) -> dict[str, str]:
        users = self._users_of(stage)
        return {
            **self._tags,
            PARENT: self._parent,
            "driver": me(),
            "stage": stage.kind,
            "key": stage.key,
            "parent_key": stage.parent.key if stage.parent else "",
            "cell": "; ".join(trial.cell.name for trial in users)[:4000],
            "role": "tuning" if all(trial.tuning for trial in users) else "replicate",
            **({"tuning": str(users[0].tuning)} if users[0].tuning else {"replicate": str(users[0].replicate)}),
        }


class _LiveRun:
    """A nested run being written: data set and parameters first, epochs as they come, the rest at the end."""

    def __init__(self, client: "MlflowClient", run: "RunInfo", uri: str, stage: Stage) -> None:
        self.run_id: str = run.run_id
        self._client, self._uri, self._artifacts = client, uri, run.artifact_uri
        self._params = _params(stage)  # to go with the next batch, as the epochs
        self._epochs: list[dict[str, float]] = []
        self._logged: set[float] = set()  # epochs delivered; a stage that went on did not report its first ones
        self._flushed = time.monotonic()
        client.log_inputs(self.run_id, [_dataset(stage)])

    def add(self, rows: list[dict[str, float]]) -> None:
        self._epochs += rows
        if time.monotonic() - self._flushed >= FLUSH_EVERY:
            self.flush()

    def flush(self) -> None:
        """Deliver what waits."""
        self._deliver(_metrics_of(self._epochs), [])

    def complete(self, result: Result, folder: Path) -> None:
        """Epochs not yet delivered, final metrics, the model, the end."""
        from mlflow.entities import Metric, RunTag
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        self._epochs = [row for row in result.history if row["epoch"] not in self._logged]
        now = int(time.time() * 1000)
        final = {**result.metrics, **result.facts}
        metrics = [Metric(key, float(value), now, len(result.history)) for key, value in final.items()]
        tags = [RunTag(name, str(result.provenance[name])) for name in ("commit", "device")]
        self._deliver(_metrics_of(self._epochs) + metrics, tags)
        # client.log_artifacts would ask the server for the address that it has already told
        artifacts: Any = get_artifact_repository(self._artifacts, tracking_uri=self._uri)
        artifacts.log_artifacts(str(folder), "model")
        self._client.set_terminated(self.run_id, "FINISHED")

    def stop(self, outcome: Outcome) -> None:
        """The end of a stage that fell behind in a search."""
        self._epochs = [dict(row) for row in outcome.course if row["epoch"] not in self._logged]
        self.flush()
        self._client.set_tag(self.run_id, "stopped", "asha")
        self._client.set_terminated(self.run_id, "KILLED")

    def fail(self, error: str) -> None:
        self.flush()
        self._client.set_tag(self.run_id, "error", error[:4000])
        self._client.set_terminated(self.run_id, "FAILED")

    def _deliver(self, metrics: "list[Metric]", tags: "list[RunTag]") -> None:
        first = MAX_BATCH - len(self._params) - len(tags)
        if self._params or metrics or tags:
            self._client.log_batch(self.run_id, metrics=metrics[:first], params=self._params, tags=tags)
        for start in range(first, len(metrics), MAX_BATCH):
            self._client.log_batch(self.run_id, metrics=metrics[start : start + MAX_BATCH])
        self._logged |= {row["epoch"] for row in self._epochs}
        self._params, self._epochs, self._flushed = [], [], time.monotonic()


def _params(stage: Stage) -> "list[Param]":
    from mlflow.entities import Param

    spec = stage.spec()
    flat = _flatten({"encoder": spec["encoder"], stage.kind: spec["recipe"], "seed": spec["seed"]})
    return [Param(key, str(value)[:MAX_PARAM]) for key, value in flat]


def _dataset(stage: Stage) -> "DatasetInput":
    from mlflow.entities import Dataset, DatasetInput, InputTag

    info = describe(stage.recipe.dataset)
    profile = json.dumps({"classes": info.classes, "channels": info.channels})
    data = Dataset(info.name[:500], server_of(info.name), "study", info.name, profile=profile)
    return DatasetInput(data, [InputTag("mlflow.data.context", stage.kind)])


def _metrics_of(epochs: Iterable[dict[str, float]]) -> "list[Metric]":
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    return [
        Metric(f"epoch/{name}", float(value), now, int(row["epoch"]))
        for row in epochs
        for name, value in row.items()
        if name != "epoch"
    ]


def _client(uri: str) -> "MlflowClient":
    # no telemetry; a server that is down is noticed in seconds, not minutes; and no request is sent twice behind our
    # back: of a run whose creation was answered too late there would be two
    for name, value in {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # amid the progress, for every run
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    }.items():
        os.environ.setdefault(name, value)
    if _is_file(uri):
        Path(uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        _quicken_sqlite()
    from mlflow import MlflowClient

    logging.getLogger("mlflow").setLevel(logging.WARNING)  # "creating database tables" and the like
    logging.getLogger("alembic").setLevel(logging.WARNING)
    return MlflowClient(uri)


@cache
def _quicken_sqlite() -> None:
    """Let SQLite write ahead to a log: readers and writer do not wait for each other, and a commit, of which each stage
    needs a dozen, does not wait for the disk. A kill loses nothing; a power cut may lose the last commits, never
    the database."""
    from sqlalchemy import Engine, event

    def settings(connection: Any, _: Any) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")

    event.listen(Engine, "connect", settings)


def _flatten(data: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in data.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _clock() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
