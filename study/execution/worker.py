"""What a worker process does with a bundle of stages."""

import json
import time
import traceback
from typing import Any

import ray
from ray import tune

from study.design.resources import Resources
from study.design.stages import Stage
from study.execution.scheduler import Ending
from study.store.results import Store, StoreError
from study.utils.errors import StudyError

REPORT_EVERY = 1.0  # seconds between a worker's reports: each costs a round trip to the driver


def work(config: dict[str, Any], store: str, commit: str, resources: Resources) -> None:
    """Run stages one after the other; every error is a message to the driver, so that none is lost or retried."""
    import torch

    torch.set_num_threads(max(1, int(resources.cpu)))
    device = "cuda" if ray.get_gpu_ids() and torch.cuda.is_available() else "cpu"
    reports = Reports(config["can_stop_early"])
    for spec in config["stages"]:
        unwritten = _run(spec, store, device, commit, resources, reports)
        if unwritten:
            break
    reports.send()


def _run(spec: str, store: str, device: str, commit: str, resources: Resources, reports: "Reports") -> bool:
    """Run one stage. Returns whether the store did not take it."""
    from study.execution.run_stage import run_stage

    reports.begin()
    try:
        stage = Stage.from_spec(json.loads(spec))
        reports.epochs = stage.epochs
        run_stage(stage, Store(store), device, reports.add, commit, resources.checkpoint_seconds)
    except Exception as error:
        unwritten = isinstance(error, StoreError)
        reports.end(_describe(error), unwritten)
        return unwritten
    reports.end(None, False)
    return False


class Reports:
    """Collects what is to be reported and sends it at most every REPORT_EVERY seconds.

    Epochs of a stage that can stop early are reported one by one, with the accuracy; in that call it may be stopped.
    Its last epoch goes with its result, for a stage that has come so far is to be kept.
    """

    def __init__(self, can_stop_early: bool = False) -> None:
        self.epochs = 0  # of the whole stage
        self._can_stop_early = can_stop_early
        self._rows: list[dict[str, float]] = []  # of epochs since the last report
        self._said: list[Ending] = []
        self._began = self._sent = time.monotonic()

    def begin(self) -> None:
        """A stage begins."""
        self._began = time.monotonic()

    def add(self, row: dict[str, float]) -> None:
        """One of its epochs has ended."""
        self._rows.append(row)
        if self._can_stop_early:
            if row["epoch"] < self.epochs:
                self.send({"epoch": int(row["epoch"]), "val_accuracy": row["val_accuracy"]})
        else:
            self._send_if_due()

    def end(self, error: str | None, unwritten: bool) -> None:
        """It has ended."""
        self._say_epochs()
        self._said.append({"ended": True, "error": error, "seconds": self._seconds, "unwritten": unwritten})
        self._send_if_due()

    def send(self, metrics: dict[str, float] | None = None) -> None:
        """Report what there is."""
        self._say_epochs()
        said, self._said = self._said, []
        if said:
            tune.report({"said": json.dumps(said), **(metrics or {})})
            self._sent = time.monotonic()

    def _send_if_due(self) -> None:
        if time.monotonic() - self._sent >= REPORT_EVERY:
            self.send()

    def _say_epochs(self) -> None:
        if self._rows:
            self._said.append({"epochs": self._rows, "seconds": self._seconds})
            self._rows = []

    @property
    def _seconds(self) -> float:
        return time.monotonic() - self._began


def _describe(error: Exception) -> str:
    """One line for tables, then the traceback for whoever looks closer."""
    if isinstance(error, StudyError):
        return str(error)
    return f"{type(error).__name__}: {error}\n{''.join(traceback.format_exception(error))}"
