"""Runs one stage with torch: what the harness uses of the vision transformer in a worker."""

from typing import Any

from torch import Tensor

from study.vit.data import load
from study.vit.settings import Pretrain
from study.vit.stages import StageSettings
from study.vit.subject import num_classes
from study.vit.training import Diverged, Execution, Snapshot, Trained, finetune, pace, pretrain
from study.vit.training.loop import OnEpoch
from study.vit.training.pace import Pace

__all__ = [
    "Diverged",
    "Execution",
    "OnEpoch",
    "Pace",
    "Snapshot",
    "Trained",
    "load_data",
    "measure",
    "model_config",
    "train",
]


def load_data(stage: StageSettings, device: str) -> str:
    """Load a stage's data set onto a device, where `train` finds it; returns its digest (SHA-256).

    The content of a user's own data may change under its path: the digest identifies what was trained on.
    Raises StudyError where the data cannot be read.
    """
    return load(stage.dataset, stage.encoder.image_size, device).digest


def train(
    stage: StageSettings,
    parent: dict[str, Tensor] | None,
    seed: int,
    device: str,
    on_epoch: OnEpoch,
    execution: Execution,
) -> Trained:
    """Train one stage, starting from the weights of its parent stage (None: from random weights).

    Raises StudyError for data that do not suit the recipe, Diverged where a loss is NaN or infinite, and
    torch.OutOfMemoryError.
    """
    if isinstance(stage.recipe, Pretrain):
        return pretrain(stage.encoder, stage.recipe, seed, device, on_epoch, execution)
    return finetune(stage.encoder, stage.recipe, parent, seed, device, on_epoch, execution)


def model_config(stage: StageSettings, trained: Trained) -> dict[str, Any]:
    """What is needed to build the model and to feed it: its settings, and how its images are normalised."""
    config: dict[str, Any] = {
        "encoder": stage.encoder.model_dump(mode="json"),
        "normalization": trained.normalization,
        "dataset": stage.dataset,
    }
    if not isinstance(stage.recipe, Pretrain):
        config["num_classes"] = num_classes(stage)
    return config


def measure(stage: StageSettings, device: str, budget: float = 2.0) -> Pace:
    """Train a stage for about `budget` seconds, one step at least, from random weights: its time and memory."""
    return pace.measure(stage.encoder, stage.recipe, device, budget)
