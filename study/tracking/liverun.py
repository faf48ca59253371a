"""A stage's run while it is written."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from study.design.stages import Stage
from study.planning.events import Outcome
from study.store.results import Result
from study.tracking.entities import dataset_of, metrics_of, params_of
from study.utils.redact import masked

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, RunInfo, RunTag

FLUSH_EVERY = 3.0  # seconds between a running stage's deliveries of epochs
MAX_BATCH = 1000  # metrics, parameters and tags MLflow takes at a time
STATUS = {"done": "FINISHED", "failed": "FAILED", "stopped": "KILLED"}  # MLflow's words


class LiveRun:
    """A nested run being written: data set and parameters first, epochs as they come, the rest at the end."""

    def __init__(self, client: "MlflowClient", run: "RunInfo", uri: str, stage: Stage) -> None:
        self.run_id: str = run.run_id
        self._client, self._uri, self._artifacts = client, uri, run.artifact_uri
        self._params = params_of(stage)  # to go with the next batch, as the epochs
        self._epochs: list[Mapping[str, float]] = []
        self._logged: set[float] = set()  # epochs delivered; a stage that went on did not report its first ones
        self._flushed = time.monotonic()
        client.log_inputs(self.run_id, [dataset_of(stage)])

    def add(self, rows: list[dict[str, float]]) -> None:
        self._epochs += rows
        if time.monotonic() - self._flushed >= FLUSH_EVERY:
            self.flush()

    def flush(self) -> None:
        """Deliver what waits."""
        self._deliver(metrics_of(self._epochs), [])

    def complete(self, result: Result, folder: Path) -> None:
        """Epochs not yet delivered, final metrics, the model, the end."""
        from mlflow.entities import Metric, RunTag
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        self._epochs = [row for row in result.history if row["epoch"] not in self._logged]
        now = int(time.time() * 1000)
        final = {**result.metrics, **result.facts}
        metrics = [Metric(key, float(value), now, len(result.history)) for key, value in final.items()]
        tags = [RunTag(name, str(result.provenance[name])) for name in ("commit", "device")]
        self._deliver(metrics_of(self._epochs) + metrics, tags)
        # client.log_artifacts would ask the server for the address that it has already told
        artifacts: Any = get_artifact_repository(self._artifacts, tracking_uri=self._uri)
        artifacts.log_artifacts(str(folder), "model")
        self._client.set_terminated(self.run_id, "FINISHED")

    def end(self, outcome: Outcome, name: str) -> None:
        """The end of a stage without a result: it failed, or fell behind in a search. `name` is that of its ending."""
        from mlflow.entities import RunTag

        if outcome.learning_curve:
            self._epochs = [row for row in outcome.learning_curve if row["epoch"] not in self._logged]
        why = RunTag("stopped", "asha") if outcome.status == "stopped" else RunTag("error", _error(outcome.error))
        self._deliver(metrics_of(self._epochs), [RunTag("ending", name), why])
        self._client.set_terminated(self.run_id, STATUS[outcome.status])

    def fail(self, error: str) -> None:
        """The end of this run, not of its stage: its worker is lost, or what is stored cannot be read."""
        self.flush()
        self._client.set_tag(self.run_id, "error", _error(error))
        self._client.set_terminated(self.run_id, "FAILED")

    def _deliver(self, metrics: "list[Metric]", tags: "list[RunTag]") -> None:
        first = MAX_BATCH - len(self._params) - len(tags)
        if self._params or metrics or tags:
            self._client.log_batch(self.run_id, metrics=metrics[:first], params=self._params, tags=tags)
        for start in range(first, len(metrics), MAX_BATCH):
            self._client.log_batch(self.run_id, metrics=metrics[start : start + MAX_BATCH])
        self._logged |= {row["epoch"] for row in self._epochs}
        self._params, self._epochs, self._flushed = [], [], time.monotonic()


def _error(text: str | None) -> str:
    return masked(text or "")[:4000]
