"""Runs a bundle of stages in a worker process."""

import json
import time
import traceback
from dataclasses import dataclass
from typing import Any

import ray
from ray import tune

from study.design.resources import Resources
from study.design.stages import Stage
from study.execution.messages import EpochsEnded, Message, StageEnded, StoreFailed, encode
from study.store.code import present_code
from study.store.results import Store, StoreError
from study.utils.errors import StudyError
from study.utils.provenance import NO_COMMIT, now, provenance

REPORT_SECONDS = 1.0  # between a worker's reports: each costs a round trip to the driver


@dataclass(frozen=True)
class Driver:
    """The code of the driver. Workers may import another copy: then its commit is not theirs."""

    commit: str
    code: str  # digest, see `study.store.code`

    @property
    def own_commit(self) -> str:
        """The commit of this process."""
        return self.commit if present_code().digest == self.code else NO_COMMIT


def run_bundle(config: dict[str, Any], store: str, driver: Driver, resources: Resources) -> None:
    """Run stages one after the other. Errors are sent to the driver as messages, so that Ray does not retry them."""
    import torch

    torch.set_num_threads(max(1, int(resources.cpu)))
    device = "cuda" if ray.get_gpu_ids() and torch.cuda.is_available() else "cpu"
    reporter = Reporter(config["can_stop_early"])
    for spec in config["stages"]:
        if not _run(spec, store, device, driver.own_commit, resources, reporter):
            break
    reporter.send()


def _run(spec: str, store: str, device: str, commit: str, resources: Resources, reporter: "Reporter") -> bool:
    """Run one stage. Returns whether the worker can go on: False if the store could not be written."""
    from study.execution.machine import machine
    from study.execution.run_stage import run_stage
    from study.vit.runner import Diverged

    reporter.start_stage()
    started = now()
    try:
        stage = Stage.from_spec(json.loads(spec))
        reporter.total_epochs = stage.epochs
        run_stage(stage, Store(store), device, reporter.add_epoch, commit, resources.checkpoint_seconds)
    except StoreError as error:
        reporter.end_stage(StoreFailed(str(error), reporter.seconds))
        return False
    except Exception as error:
        origin = provenance(commit, machine(device), started) | {"code": present_code().digest}
        if certain := isinstance(error, Diverged):
            origin["data"] = error.data
        reporter.end_stage(StageEnded(_describe(error), reporter.seconds, origin, certain))
    else:
        reporter.end_stage(StageEnded(None, reporter.seconds))
    return True


class Reporter:
    """Collects messages and sends them to the driver at most every REPORT_SECONDS.

    A prunable stage reports each epoch at once together with the metric that early stopping compares: Tune may stop it
    in that call. Its last epoch is sent with its result, because a stage that completes all epochs is always kept.
    """

    def __init__(self, prunable: bool = False) -> None:
        self.total_epochs = 0
        self._prunable = prunable
        self._epochs: list[dict[str, float]] = []  # not yet in a message
        self._messages: list[Message] = []  # not yet sent
        self._started = self._sent = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the stage started."""
        return time.monotonic() - self._started

    def start_stage(self) -> None:
        self._started = time.monotonic()

    def add_epoch(self, record: dict[str, float]) -> None:
        """Report an epoch that has ended."""
        self._epochs.append(record)
        if not self._prunable:
            self._send_if_due()
        elif record["epoch"] < self.total_epochs:
            self.send({"epoch": int(record["epoch"]), "val_accuracy": record["val_accuracy"]})

    def end_stage(self, message: StageEnded | StoreFailed) -> None:
        self._add_epochs_message()
        self._messages.append(message)
        self._send_if_due()

    def send(self, metrics: dict[str, float] | None = None) -> None:
        """Send all collected messages, with the metrics for early stopping."""
        self._add_epochs_message()
        if self._messages:
            messages, self._messages = self._messages, []
            tune.report({"messages": encode(messages), **(metrics or {})})
            self._sent = time.monotonic()

    def _send_if_due(self) -> None:
        if time.monotonic() - self._sent >= REPORT_SECONDS:
            self.send()

    def _add_epochs_message(self) -> None:
        if self._epochs:
            self._messages.append(EpochsEnded(self._epochs, self.seconds))
            self._epochs = []


def _describe(error: Exception) -> str:
    """One line for tables, then the traceback."""
    if isinstance(error, StudyError):
        return str(error)
    return f"{type(error).__name__}: {error}\n{''.join(traceback.format_exception(error))}"
