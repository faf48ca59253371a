"""A reproducibility and ablation-study harness for lightweight vision transformers.

model = study.load("3f2a90")  # a stage's key, an MLflow run or a folder; see study.tracking.trained_models.load
"""

import importlib
import time
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
BEGAN = time.monotonic()  # of this process, nearly: what a sweep says of its time includes its start-up

if TYPE_CHECKING:
    from study.tracking.trained_models import load as load


def __getattr__(name: str) -> Any:
    """`study.load`, imported when it is asked for: most parts of this package do without PyTorch."""
    if name == "load":
        return importlib.import_module("study.tracking.trained_models").load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
