"""Arguments and options that several verbs have."""

from pathlib import Path
from typing import Annotated

import typer

from study.utils.paths import expanded_option

STORE = ".study"
REPORTS = Path("reports")

GridPath = Annotated[
    Path, typer.Argument(metavar="GRID", callback=expanded_option, help="Grid file, such as grids/quickstart.yaml.")
]
StorePath = Annotated[
    str,
    typer.Option(
        "--store",
        envvar="STUDY_STORE",
        help="Where finished stages are stored: a folder, s3://BUCKET/NAME or gs://BUCKET/NAME.",
    ),
]
ReportsPath = Annotated[
    Path, typer.Option("--reports", callback=expanded_option, help="Folder for the reports of all studies.")
]
TrackingUri = Annotated[
    str | None,
    typer.Option(
        envvar="MLFLOW_TRACKING_URI", help="URI of the MLflow server.", show_default="a SQLite file in the store"
    ),
]
AcceptMixedData = Annotated[
    bool,
    typer.Option("--accept-mixed-data", help="Compare results that were trained on different images or labels, too."),
]
Replace = Annotated[
    bool,
    typer.Option("--replace", help="Replace the report of another study with this name; add to its MLflow experiment."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Yes = Annotated[bool, typer.Option("--yes", help="Remove it. Without this, nothing is removed.")]
