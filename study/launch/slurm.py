"""SLURM: one batch script. `ray symmetric-run` starts Ray on all nodes of the job, and the driver on the first."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field

from study.launch import mlflow_server
from study.launch.cluster import Cluster, Location, PathText, Place, Steps, Word
from study.launch.text import assignments, generate_token
from study.utils import telemetry
from study.utils.frozen_model import PositiveInt

GRACE = 300  # seconds before the time limit at which the driver is interrupted; Ray needs over a minute to stop


def _check_time(value: str) -> str:
    found = re.fullmatch(r"(?:([0-9]{1,3})-)?([0-9]{1,3}):([0-5][0-9]):([0-5][0-9])", value)
    if found is None:
        raise ValueError(f"invalid value {value!r}: must be HH:MM:SS or D-HH:MM:SS")
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    if ((days * 24 + hours) * 60 + minutes) * 60 + seconds < 2 * GRACE:
        raise ValueError(f"{value} is too short: the last {GRACE} seconds are needed to stop; give at least 00:10:00")
    return value


Duration = Annotated[str, AfterValidator(_check_time)]

BODY = r"""
cd "$SLURM_SUBMIT_DIR"
export PATH="$PWD/$environment/bin:$PATH" RAY_USAGE_STATS_REPORT_URL="$nowhere"

# All nodes must use the same token. It is in a file on a file system that all nodes share.
export RAY_AUTH_MODE=token
export RAY_AUTH_TOKEN_PATH="${RAY_AUTH_TOKEN_PATH:-$HOME/.ray/auth_token}"
if [ ! -s "$RAY_AUTH_TOKEN_PATH" ]; then
  echo "no Ray token in $RAY_AUTH_TOKEN_PATH: create it with '(umask 077; ray get-auth-token --generate)'" >&2
  exit 2
fi

# This script runs on the first node of the job. symmetric-run starts Ray's head and the driver on the node with the
# address below: the local address of the route to the job's last node. Finding it sends no packet.
last=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | tail -n 1)
head=$(python - "$last" <<'PYTHON'
import socket
import sys

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
    probe.connect((sys.argv[1], 1))
    print(probe.getsockname()[0])
PYTHON
)
export RAY_ADDRESS="$head:$((20000 + SLURM_JOB_ID % 10000))"
export RAY_SYMMETRIC_RUN_CLUSTER_WAIT_TIMEOUT=600  # seconds; a cold environment on a network file system is slow

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Shortly before the time limit SLURM sends USR1 to this script; the driver then completes its current writes.
out_of_time=
trap 'out_of_time=yes; kill -INT "$(cat "$scratch/driver")" || true' USR1

# Ray lets everybody write to its folders: they are in a private one on each node.
private="/tmp/ray-$SLURM_JOB_ID"

# shellcheck disable=SC2016  # the inner shells expand them: the last records its own PID, then becomes the driver
srun --nodes="$nodes" --ntasks="$nodes" --ntasks-per-node=1 --output="$folder/$SLURM_JOB_ID-node%t.log" \
  bash -c 'mkdir -p -m 700 "$1" && [ -O "$1" ] && [ ! -L "$1" ] && chmod 700 "$1" && shift && exec "$@"' \
  private "$private" \
  ray symmetric-run --address "$RAY_ADDRESS" "${ray[@]}" --temp-dir="$private/ray" -- \
  bash -c 'echo $$ >"$1"; shift; exec "$@"' driver "$scratch/driver" "${driver[@]}" &
steps=$!
code=0
wait "$steps" || code=$?
if [ -n "$out_of_time" ]; then
  code=0
  wait "$steps" || code=$?  # the signal interrupted the first wait
  if [ "$code" -ne 0 ]; then
    echo "time limit reached before the study was finished: the job is requeued and resumes from the store"
    scontrol requeue "$SLURM_JOB_ID"
    exit 0
  fi
fi
if [ ! -s "$scratch/driver" ]; then
  echo "Ray did not start on all nodes, so the study was not run: see $folder/$SLURM_JOB_ID-node*.log" >&2
  exit 1  # symmetric-run exits with 0 in this case
fi
exit "$code"
"""


class Slurm(Cluster):
    """A SLURM job on whole nodes that share a file system with the repository and its environment."""

    title: ClassVar[str] = "SLURM"
    example: ClassVar[Mapping[str, Any]] = {
        "nodes": 2,
        "gpus": 4,
        "partition": "gpu",
        "account": "lab",
        "tracking_uri": "http://mlflow.example.org:5000",
    }

    cpus: PositiveInt = Field(8, description="CPUs per node")
    store: Location = Field(".study", description="folder that all nodes share, or s3:// or gs:// address")
    environment: PathText = Field(".venv", description="virtual environment in the repository")
    time: Duration = Field("24:00:00", description="time limit of one job; at the limit it is requeued")
    partition: Word | None = Field(None, description="SLURM partition")
    account: Word | None = Field(None, description="SLURM account")

    @property
    def cpus_per_node(self) -> int | None:
        return self.cpus

    def files(self, place: Place) -> Mapping[str, str]:
        ray = ["--min-nodes", str(self.nodes), f"--num-cpus={self.cpus}", f"--num-gpus={self.gpus}"]
        values = assignments(
            {
                "environment": self.environment,
                "folder": str(place.folder),
                "nodes": str(self.nodes),
                "nowhere": telemetry.NOWHERE,
                "ray": [*ray, "--disable-usage-stats"],
                "driver": self.run("python", f"{place.folder}/grid.yaml"),
            }
        )
        script = "\n".join(["#!/bin/bash", *self._directives(place), "set -euo pipefail", "", values]) + BODY
        return {"job.sh": script, **mlflow_server.compose_files(self, place)}

    def _directives(self, place: Place) -> list[str]:
        options: dict[str, object] = {
            "job-name": place.name,
            "nodes": self.nodes,
            "ntasks-per-node": 1,
            "cpus-per-task": self.cpus,
            "gpus-per-node": self.gpus or None,
            "mem": 0,  # all of a node's memory
            "time": self.time,
            "partition": self.partition,
            "account": self.account,
            "signal": f"B:USR1@{GRACE}",
            "open-mode": "append",
            "output": f"{place.folder}/%j.log",
        }
        set_options = [f"#SBATCH --{name}={value}" for name, value in options.items() if value is not None]
        # When it ends, Ray stops all Ray processes of its user on a node, so nodes must not be shared
        return [*set_options, "#SBATCH --exclusive", "#SBATCH --requeue"]

    def steps(self, place: Place) -> Steps:
        job, name = f"{place.folder}/job.sh", place.name
        return Steps(
            prepare=(
                f"python3.11 -m venv {self.environment}\n"
                f"{self.environment}/bin/python -m pip install --constraint requirements.lock --editable .\n"
                f"{generate_token(f'{self.environment}/bin/ray')}"
            ),
            start=f"sbatch {job}",
            watch=f"squeue --me --name={name}\ntail --follow=name {place.folder}/*-node0.log",
            resume=f"sbatch {job}",
            stop=f"scancel --me --name={name}",
            fetch=f"ls reports/{place.study}/report.html",
            mlflow=mlflow_server.compose_help(self, place),
            notes=(
                "A job that reaches its time limit or is preempted is requeued and resumes from the store.",
                "The job uses whole nodes: when `ray symmetric-run` ends, it stops all your Ray processes on its "
                "nodes, also those of other jobs.",
            ),
        )
