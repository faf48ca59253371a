"""The interface of the vision transformer to the harness, with torch: trains one stage in a worker."""

from typing import Any

from torch import Tensor

from study.vit import subject
from study.vit.data import combined, describe, how_read, load
from study.vit.settings import Pretrain
from study.vit.stages import StageSettings
from study.vit.training import Diverged, Execution, InvalidSnapshot, Snapshot, Trained, finetune, pace, pretrain
from study.vit.training.loop import OnEpoch
from study.vit.training.pace import Pace
from study.vit.training.snapshots import check_progress

__all__ = [
    "Diverged",
    "Execution",
    "InvalidSnapshot",
    "OnEpoch",
    "Pace",
    "Snapshot",
    "Trained",
    "check_progress",
    "how_data_were_read",
    "load_data",
    "measure",
    "model_config",
    "train",
]


def load_data(stage: StageSettings, device: str) -> str:
    """Load a stage's data set onto a device and cache it for `train`. Returns its SHA-256 digest.

    The digest identifies the content: user data may change under the same path. Raises StudyError if the data cannot be
    read.
    """
    return load(stage.dataset, stage.encoder.image_size, device).digest


def how_data_were_read(stage: StageSettings, device: str) -> str:
    """How a stage's data set was read, in one line with exact numbers; loads it if `load_data` has not."""
    name, size = stage.data
    found = combined(describe(name), load(name, size, device, stage.resampling.split).info)
    return how_read(found, size) + subject.how_resampled(name, stage.resampling.split is not None)


def train(
    stage: StageSettings,
    parent: dict[str, Tensor] | None,
    seed: int,
    device: str,
    on_epoch: OnEpoch,
    execution: Execution,
) -> Trained:
    """Train one stage from the weights of its parent stage, or from random weights if `parent` is None.

    Raises StudyError if the data set does not fit the recipe, InvalidSnapshot if `execution.start` does not, Diverged
    if a loss becomes NaN or inf, and torch.OutOfMemoryError.
    """
    if isinstance(stage.recipe, Pretrain):
        return pretrain(stage.encoder, stage.recipe, seed, device, on_epoch, execution, stage.resampling)
    return finetune(stage.encoder, stage.recipe, parent, seed, device, on_epoch, execution, stage.resampling)


def model_config(stage: StageSettings, trained: Trained) -> dict[str, Any]:
    """The config stored with the weights: encoder settings, normalization, data set with the names of its classes and
    the size of its images, and number of classes."""
    config: dict[str, Any] = {
        "encoder": stage.encoder.model_dump(mode="json"),
        "normalization": trained.normalization,
        "dataset": stage.dataset,
        **trained.data,
    }
    if not isinstance(stage.recipe, Pretrain):
        config["num_classes"] = subject.num_classes(stage)
    return config


def measure(stage: StageSettings, device: str, budget: float = 2.0) -> Pace:
    """Time and memory of a stage, from training it for about `budget` seconds (at least one step)."""
    return pace.measure(stage.encoder, stage.recipe, device, budget)
