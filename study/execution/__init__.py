"""Fans stages out over processors and GPUs with Ray Tune; the only package that imports Ray."""

import os

# before Ray is imported, which reads some of these then
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no telemetry
# Ray's coming default, said aloud to silence a warning
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")  # Tune's banner: progress is shown by us
os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")  # parquet:PATH may be relative: workers stay where we are
os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")  # Ctrl-C is heeded in study/interrupt.py
os.environ.setdefault("TUNE_DISABLE_STRICT_METRIC_CHECKING", "1")  # a pre-training has no accuracy to be judged by
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")  # per-trial files that nobody reads

from study.execution.ray_cluster import Cluster, check_kept, check_resources, connect, disconnect, on_every_node
from study.execution.ray_tune import fan_out
from study.execution.scheduler import ATTEMPTS

__all__ = ["ATTEMPTS", "Cluster", "check_kept", "check_resources", "connect", "disconnect", "fan_out", "on_every_node"]
