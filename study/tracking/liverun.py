"""The MLflow run of one stage while it is written."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from study.design.stages import Stage
from study.planning.events import Outcome
from study.store.results import Result
from study.tracking.client import Client
from study.tracking.entities import dataset_of, metrics_of, params_of
from study.tracking.stage_runs import ENDING, RESULT
from study.utils import escape
from study.utils.redact import masked

if TYPE_CHECKING:
    from mlflow.entities import Metric, RunInfo, RunTag

FLUSH_EVERY = 3.0  # seconds between deliveries of a running stage's epochs
MAX_BATCH = 1000  # metrics, parameters and tags per call that MLflow accepts


class LiveRun:
    """A nested run being written: data set and parameters first, epochs as they end, the rest at the end."""

    def __init__(self, client: Client, run: "RunInfo", stage: Stage) -> None:
        self.run_id: str = run.run_id
        self._client, self._artifacts = client, run.artifact_uri
        self._params = params_of(stage)  # sent with the next batch, as the epochs
        self._epochs: list[Mapping[str, float]] = []
        self._logged: set[float] = set()  # epochs; a stage resumed from a checkpoint does not report its first ones
        self._flushed = time.monotonic()
        client.log_inputs(self.run_id, [dataset_of(stage)])

    def add(self, rows: list[dict[str, float]]) -> None:
        self._epochs += rows
        if time.monotonic() - self._flushed >= FLUSH_EVERY:
            self.flush()

    def flush(self) -> None:
        """Deliver the queued epochs."""
        self._deliver(metrics_of(self._epochs), [])

    def log_result(self, result: Result, fingerprint: str, folder: Path) -> None:
        """Deliver the remaining epochs, the final metrics and the model."""
        from mlflow.entities import Metric, RunTag

        self._epochs = [row for row in result.history if row["epoch"] not in self._logged]
        now = int(time.time() * 1000)
        final = {**result.metrics, **result.facts}
        metrics = [Metric(key, float(value), now, len(result.history)) for key, value in final.items()]
        tags = [RunTag(name, str(result.provenance[name])) for name in ("commit", "device")]
        self._deliver(metrics_of(self._epochs) + metrics, [*tags, RunTag(RESULT, fingerprint)])
        self._client.upload(self._artifacts, folder, "model")

    def log_ending(self, outcome: Outcome, name: str) -> None:
        """Deliver how a stage ended without a result: it failed or was stopped early. `name`: the id of this ending."""
        from mlflow.entities import RunTag

        if outcome.learning_curve:
            self._epochs = [row for row in outcome.learning_curve if row["epoch"] not in self._logged]
        reason = RunTag("stopped", "asha") if outcome.status == "stopped" else RunTag("error", _error(outcome.error))
        self._deliver(metrics_of(self._epochs), [RunTag(ENDING, name), reason])

    def fail(self, error: str) -> None:
        """Close this run as failed, though not its stage: the worker died, or the stored result cannot be read."""
        self.flush()
        self._client.set_tag(self.run_id, "error", _error(error))
        self._client.set_terminated(self.run_id, "FAILED")

    def _deliver(self, metrics: "list[Metric]", tags: "list[RunTag]") -> None:
        first = MAX_BATCH - len(self._params) - len(tags)
        if self._params or metrics or tags:
            self._client.log_batch(
                self.run_id, metrics=metrics[:first], params=self._params, tags=tags, synchronous=True
            )
        for start in range(first, len(metrics), MAX_BATCH):
            self._client.log_batch(self.run_id, metrics=metrics[start : start + MAX_BATCH], synchronous=True)
        self._logged |= {row["epoch"] for row in self._epochs}
        self._params, self._epochs, self._flushed = [], [], time.monotonic()


def _error(text: str | None) -> str:
    return escape.lines(masked(text or ""))[:4000]
