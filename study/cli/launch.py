"""The verb `launch`: the options of all kinds of clusters in one place; each kind takes its own and refuses others."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

ALL, SLURM, KUBERAY, CLOUD, OWN = "All", "SLURM", "KubeRay", "AWS and GCP", "Own hosts"


def _option(names: str, panel: str, text: str, **more: Any) -> Any:
    return typer.Option(*names.split(), help=text, rich_help_panel=panel, show_default=False, **more)


def launch(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="slurm, kuberay, aws, gcp or onprem")],
    grid: Annotated[Path, typer.Argument(metavar="GRID", help="a grid file, such as grids/quickstart.yaml")],
    nodes: Annotated[int | None, _option("--nodes", ALL, "machines that train (1)")] = None,
    gpus: Annotated[int | None, _option("--gpus", ALL, "GPUs of each machine (0)")] = None,
    store: Annotated[str | None, _option("--store", ALL, "folder that all machines see, or s3:// or gs://")] = None,
    tracking_uri: Annotated[
        str | None,
        _option("--tracking-uri", ALL, "MLflow server as the driver reaches it"),
    ] = None,
    output: Annotated[Path | None, _option("--output", ALL, "folder to write (launch/STUDY-KIND)")] = None,
    force: Annotated[bool, _option("--force", ALL, "write over these files where they have other content")] = False,
    cpus: Annotated[int | None, _option("--cpus", SLURM, "processors of each machine (8); also for KubeRay")] = None,
    environment: Annotated[
        str | None, _option("--environment", SLURM, "virtual environment on all nodes (.venv)")
    ] = None,
    time: Annotated[str | None, _option("--time", SLURM, "time limit of one job (24:00:00)")] = None,
    partition: Annotated[str | None, _option("--partition", SLURM, "partition")] = None,
    account: Annotated[str | None, _option("--account", SLURM, "account")] = None,
    image: Annotated[
        str | None, _option("--image", KUBERAY, "container image; on AWS and GCP the machine image")
    ] = None,
    claim: Annotated[str | None, _option("--claim", KUBERAY, "claim of a volume that many nodes may write")] = None,
    namespace: Annotated[str | None, _option("--namespace", KUBERAY, "namespace (default)")] = None,
    memory: Annotated[str | None, _option("--memory", KUBERAY, "memory of each worker (32Gi)")] = None,
    region: Annotated[str | None, _option("--region", CLOUD, "AWS: region (us-west-2)")] = None,
    profile: Annotated[str | None, _option("--profile", CLOUD, "AWS: instance profile (study-ray)")] = None,
    project: Annotated[str | None, _option("--project", CLOUD, "GCP: project that pays")] = None,
    zone: Annotated[str | None, _option("--zone", CLOUD, "GCP: zone (us-central1-a)")] = None,
    machine: Annotated[str | None, _option("--machine", CLOUD, "machine type of the workers")] = None,
    on_demand: Annotated[bool | None, _option("--on-demand", CLOUD, "no spot machines")] = None,
    host: Annotated[list[str] | None, _option("--host", OWN, "a host; once for each, the head first")] = None,
    user: Annotated[str | None, _option("--user", OWN, "user name on all hosts")] = None,
    key: Annotated[str | None, _option("--key", OWN, "private SSH key for all hosts")] = None,
    python: Annotated[str | None, _option("--python", OWN, "Python 3.11 to 3.13 on all hosts (python3)")] = None,
) -> None:
    """Write files that run a study on a Ray cluster: SLURM, KubeRay, AWS, GCP or own hosts. Starts nothing."""
    given = dict(locals())
    from study.launch import write

    own = {"kind", "grid", "output", "force"}
    asked = {name: value for name, value in given.items() if name not in own and value is not None}
    written = write(kind, grid, asked, output, force=force)
    console = Console(soft_wrap=True)
    console.print(f"{escape(str(written.folder))}: {escape(', '.join(written.files))}", highlight=False)
    for warning in written.warnings:
        console.print(f"[yellow]{escape(warning)}[/]", highlight=False)
    console.print(
        f"next: {escape(str(written.folder / 'README.md'))}, or\n{escape(written.steps.start)}", highlight=False
    )
