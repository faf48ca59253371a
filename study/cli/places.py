"""Where a study runs and where its outputs go."""

from dataclasses import dataclass
from pathlib import Path

from study.utils.command_line import UNKNOWN, Invocation


@dataclass(frozen=True)
class Places:
    """The reports folder, the MLflow server, and the Ray cluster."""

    reports: Path
    tracking_uri: str
    address: str | None = None  # of a Ray cluster; None: this machine
    replace: bool = False  # whether the report and experiment of another study with the same name may be used
    invocation: Invocation = UNKNOWN  # for the commands that messages suggest
