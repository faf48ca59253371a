"""Mirrors a study in MLflow; the only package that imports MLflow.

An experiment per study, a parent run per invocation, a nested run per stage. The store is the source of truth: every
run can be rebuilt from it, so a server that is down or slow only means running `study sync` later. One thread of the
driver does all the writing, because many writers lock SQLite, and a slow server must not slow the sweep down.
"""

from study.tracking.artifact_locations import is_own
from study.tracking.deliveries import Deliveries
from study.tracking.experiment import AnotherStudyError, check_early
from study.tracking.removed_experiment import StudyExperiment, find_experiment
from study.tracking.run_keys import key_of_run
from study.tracking.server import check_file, check_uri, default_uri, exists, inspect_file, model_of, set_aside
from study.tracking.sqlite import normalised, path_of
from study.tracking.stage_runs import PARENT
from study.tracking.tracker import FLUSH_SECONDS, LAST_SECONDS, Tracker
from study.tracking.undelivered import in_order, undelivered

__all__ = [
    "FLUSH_SECONDS",
    "LAST_SECONDS",
    "PARENT",
    "AnotherStudyError",
    "Deliveries",
    "StudyExperiment",
    "Tracker",
    "check_early",
    "check_file",
    "check_uri",
    "default_uri",
    "exists",
    "find_experiment",
    "in_order",
    "inspect_file",
    "is_own",
    "key_of_run",
    "model_of",
    "normalised",
    "path_of",
    "set_aside",
    "undelivered",
]
