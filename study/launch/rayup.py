"""The common parts of `ray up` cluster files (AWS, GCP, own hosts), and the script that runs the study on the head."""

from collections.abc import Mapping
from typing import Any

from study.launch import mlflow_server
from study.launch.cluster import Cluster, Place
from study.launch.text import PRIVATE_TOKEN, assignments, generate_token
from study.utils import telemetry

HOME = "~/study"  # the repository on the machines
PYTHON = "~/study-env/bin/python"
RAY = "~/study-env/bin/ray"
TOKEN = "~/.ray/auth_token"
ENVIRONMENT = " ".join(f"{name}={value}" for name, value in {"RAY_AUTH_MODE": "token", **telemetry.RAY}.items())
COMMIT = "git describe --always --dirty --abbrev=40 --exclude='*'"  # the commit without tags
UBUNTU = (  # compiler and headers, for torch.compile
    "sudo apt-get -o DPkg::Lock::Timeout=300 update && "
    "sudo DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install --yes "
    "python3-venv python3-dev gcc rsync"
)

BODY = r"""
export RAY_AUTH_MODE=token RAY_ADDRESS=http://127.0.0.1:8265
ray=$HOME/study-env/bin/ray
last=$HOME/study-job

case "${1:-}" in
  start)
    job=study-$(date -u +%Y%m%dT%H%M%S)
    "$ray" job submit --no-wait --submission-id "$job" -- \
      env --chdir="$HOME/study" STUDY_COMMIT="$(cat "$HOME/study/$folder/commit")" \
      "$HOME/study-env/bin/${driver[0]}" "${driver[@]:1}"
    echo "$job" >"$last"
    ;;
  watch) exec "$ray" job logs --follow "$(cat "$last")" ;;
  stop) exec "$ray" job stop "$(cat "$last")" ;;
  *)
    echo "usage: ${0##*/} start|watch|stop" >&2
    exit 2
    ;;
esac
"""


def common(place: Place, python: str, packages: list[str]) -> dict[str, Any]:
    """The parts of a cluster file that do not depend on the provider."""
    names = " ".join(f"'{name}'" for name in ["ray[default]", *packages])
    return {
        "file_mounts": {
            f"{HOME}/study": "study",
            f"{HOME}/pyproject.toml": "pyproject.toml",
            f"{HOME}/requirements.lock": "requirements.lock",
            f"{HOME}/README.md": "README.md",
            f"{HOME}/LICENSE": "LICENSE",
            f"{HOME}/{place.folder}": str(place.folder),
            TOKEN: TOKEN,
        },
        "rsync_exclude": ["__pycache__", "postgres_password"],
        "setup_commands": [
            PRIVATE_TOKEN,
            f"test -x {PYTHON} || {python} -m venv ~/study-env",
            f"{PYTHON} -m pip install --quiet --constraint {HOME}/requirements.lock --editable {HOME} {names}",
        ],
        "head_setup_commands": [],
        "worker_setup_commands": [],
    }


def start_commands(head_options: str, worker_options: str) -> dict[str, list[str]]:
    """The commands that start Ray on the head and on a worker, with options such as ` --num-gpus=2`."""
    start = f"ulimit -n 65536; {ENVIRONMENT} {RAY} start"
    config = "--autoscaling-config=~/ray_bootstrap_config.yaml"
    head = f"{start} --head --port=6379 --dashboard-host=127.0.0.1 {config}{head_options}"
    return {
        "head_start_ray_commands": [f"{RAY} stop", head],
        "worker_start_ray_commands": [f"{RAY} stop", f"{start} --address=$RAY_HEAD_IP:6379{worker_options}"],
    }


def files(cluster: Cluster, place: Place) -> Mapping[str, str]:
    """The files besides the cluster file."""
    script = "#!/usr/bin/env bash\n# Runs the study as a Ray job on the head: start (also to resume), watch, stop.\n"
    values = {"folder": str(place.folder), "driver": cluster.run("python", f"{place.folder}/grid.yaml")}
    return {
        "sweep.sh": f"{script}set -euo pipefail\n\n{assignments(values)}{BODY}",
        **mlflow_server.compose_files(cluster, place),
    }


def prepare(packages: list[str]) -> str:
    """The commands that set up a machine to start clusters."""
    names = " ".join(f"'{name}'" for name in ["ray[default]", *packages])
    return f"python -m pip install --constraint requirements.lock --editable . {names}\n{generate_token()}"


def steps(place: Place) -> dict[str, str]:
    """Start, watch, resume and stop."""
    cluster = f"{place.folder}/cluster.yaml"
    sweep = f"bash {HOME}/{place.folder}/sweep.sh"
    return {
        "start": (f"{COMMIT} >{place.folder}/commit\nray up --yes {cluster}\nray exec {cluster} '{sweep} start'"),
        "watch": (
            f"ray exec {cluster} '{sweep} watch'\n"
            f"ray exec {cluster} '{ENVIRONMENT} {RAY} status'  # machines and pending work\n"
            f"ray dashboard {cluster}  # http://localhost:8265, through SSH; requires the token"
        ),
        "resume": (f"ray up --yes --no-restart {cluster}  # adds missing machines\nray exec {cluster} '{sweep} start'"),
        "stop": f"ray exec {cluster} '{sweep} stop'\nray down --yes {cluster}",
        "fetch": f"ray rsync-down {cluster} study/reports/ reports/",
    }


def notes(on_demand: bool) -> tuple[str, ...]:
    """Notes on the cost of machines, and on spot machines."""
    cost = "The machines cost money until `ray down`; they keep running when the study has finished."
    if on_demand:
        return (cost,)
    return (
        cost,
        "Workers are spot machines: a reclaimed one is replaced, and its stages are retried.",
        "The head is not a spot machine and runs no stages, only the driver.",
    )
