"""Mirrors a study in MLflow; the only package that imports MLflow.

An experiment per study, a parent run per invocation, a nested run per stage. The store is the truth: a run can always
be written from it, so a server that is down or slow costs nothing but a later `study sync`. All writing is done by one
thread of the driver, because many writers lock SQLite, and so that a slow server does not hold up the sweep.
"""

from study.tracking.mirror import PARENT
from study.tracking.server import check_uri, default_uri, model_of
from study.tracking.tracker import LAST_SECONDS, Tracker
from study.tracking.waiting import undelivered

__all__ = ["LAST_SECONDS", "PARENT", "Tracker", "check_uri", "default_uri", "model_of", "undelivered"]
