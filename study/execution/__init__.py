"""Runs stages on CPUs and GPUs with Ray Tune; the only package that imports Ray."""

ray_cluster    starts or joins a Ray cluster
ray_tune       one Tune experiment that distributes all stages
scheduler      the queue of stages: parents before children, short stages in batches
worker         what runs inside a Tune trial
run_stage      one stage: look up, load its parent, train, store
checkpoint     checkpoints of long stages
export_models  trained models as ONNX, measured

Ray is imported on first use: `run_stage` works on machines that have torch but not Ray.
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

# must be set before Ray is imported
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no telemetry
# Ray's future default; setting it silences a warning
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")  # Tune's banner: the command line shows the progress
os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")  # parquet:PATH may be relative to the working folder
os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")  # study/cli/signals.py handles Ctrl-C
os.environ.setdefault("TUNE_DISABLE_STRICT_METRIC_CHECKING", "1")  # pre-training reports no accuracy
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")  # unused per-trial files

from study.execution.ray_cluster import Cluster, check_persistent, check_resources, connect, disconnect, on_every_node
from study.execution.ray_tune import fan_out
from study.execution.scheduler import ATTEMPTS

__all__ = [
    "ATTEMPTS",
    "Cluster",
    "check_persistent",
    "check_resources",
    "connect",
    "disconnect",
    "fan_out",
    "on_every_node",
]
