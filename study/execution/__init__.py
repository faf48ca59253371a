"""Runs stages: fans them out with Ray Tune, trains them, stores them. The only room that imports Ray.

ray_cluster    starts or joins a Ray cluster
ray_tune       one Tune experiment that distributes all stages
scheduler      decides which stages a free worker runs next: parents before children, short stages in bundles
worker         runs a bundle of stages in a worker process
messages       the messages from a worker to the driver
run_stage      one stage: look up, load its parent, train, store
checkpoint     checkpoints of long stages
machine        the machine that computes a stage: host, device, GPU, instruction set
export_models  trained models as ONNX, measured

Ray is imported on first use: `run_stage` works on machines that have torch but not Ray.
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

# Ray reads some of these when it is imported
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # Ray's future default; unset, it logs a warning
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")  # no Tune banner: study/cli/progress.py shows the progress
os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")  # parquet:PATH may be relative: workers keep the working folder
os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")  # study/cli/signals.py handles Ctrl-C
os.environ.setdefault("TUNE_DISABLE_STRICT_METRIC_CHECKING", "1")  # a pre-training reports no accuracy
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")  # no log files per trial

if TYPE_CHECKING:
    from study.execution.ray_cluster import Cluster as Cluster
    from study.execution.ray_cluster import check_persistent as check_persistent
    from study.execution.ray_cluster import check_resources as check_resources
    from study.execution.ray_cluster import connect as connect
    from study.execution.ray_cluster import disconnect as disconnect
    from study.execution.ray_cluster import on_every_node as on_every_node
    from study.execution.ray_tune import fan_out as fan_out
    from study.execution.scheduler import ATTEMPTS as ATTEMPTS

_HOMES = {
    "ray_cluster": ("Cluster", "check_persistent", "check_resources", "connect", "disconnect", "on_every_node"),
    "ray_tune": ("fan_out",),
    "scheduler": ("ATTEMPTS",),
}


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"study.execution.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
