"""Switches off what dependencies would report about their use, for this process and those that it starts.

Called when `study` is imported: most of these variables are read when a package is imported, also by a script of a user
that imports it later. A variable that is set already keeps its value.
"""

import os

NOWHERE = "http://127.0.0.1:9/"  # the discard port: nothing listens there

RAY = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_USAGE_STATS_REPORT_URL": NOWHERE,  # clusters of `ray start` report once that their statistics are off
}
VARIABLES = {
    **RAY,
    "DO_NOT_TRACK": "true",  # several packages
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "ORT_DISABLE_TELEMETRY": "1",  # onnxruntime would write an id to the home folder, and queue events
}


def switch_off() -> None:
    """Set the variables."""
    for name, value in VARIABLES.items():
        os.environ.setdefault(name, value)
