"""A reproducibility and ablation-study harness for lightweight vision transformers.

    model = study.load("3f2a90")  # from a stage key, an MLflow run id or a folder; see study.tracking.trained_models

Packages, each importing only those below it:

cli                            the command line
report, launch                 reports; files that start a study on a cluster
execution, tracking, tuning    running stages with Ray; MLflow; Optuna
planning                       which trials and stages a study needs
analysis, store                statistics; results on disk or in object storage
design                         grid files, designs, trials and stages
vit                            the vision transformers under study
utils                          helpers without dependencies on other packages
"""

import importlib
import time
from typing import TYPE_CHECKING, Any

from study.utils import telemetry
from study.utils.version import __version__ as __version__

telemetry.switch_off()
BEGAN = time.monotonic()  # about when this process started: run times include imports

if TYPE_CHECKING:
    from study.tracking.trained_models import load as load


def __getattr__(name: str) -> Any:
    """Import `study.load` on first use, because it imports PyTorch."""
    if name == "load":
        return importlib.import_module("study.tracking.trained_models").load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
