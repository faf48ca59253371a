"""A stage's settings, data set and epochs as MLflow parameters, inputs and metrics."""

import json
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from study.design.stages import Stage
from study.tracking.ledger import server_of
from study.utils import escape
from study.vit.subject import describe

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput, Metric, Param

MAX_PARAM = 6000  # characters per parameter that MLflow accepts


def params_of(stage: Stage) -> "list[Param]":
    """All settings, flattened."""
    from mlflow.entities import Param

    flat = _flatten({**stage.settings.by_section(), "seed": stage.seed})
    return [Param(key, escape.line(str(value))[:MAX_PARAM]) for key, value in flat]


def dataset_of(stage: Stage) -> "DatasetInput":
    """The training data set."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    info = describe(stage.dataset)
    profile = json.dumps({"classes": info.classes, "channels": info.channels})
    name = escape.line(info.name)
    data = Dataset(name[:500], server_of(info.name), "study", name, profile=profile)
    return DatasetInput(data, [InputTag("mlflow.data.context", stage.kind)])


def metrics_of(epochs: Iterable[Mapping[str, float]]) -> "list[Metric]":
    """Each number of an epoch as `epoch/NAME`, the epoch as its step."""
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    return [
        Metric(f"epoch/{name}", float(value), now, int(row["epoch"]))
        for row in epochs
        for name, value in row.items()
        if name != "epoch"
    ]


def _flatten(data: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in data.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
