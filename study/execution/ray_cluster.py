"""Ray, on this machine or on many."""

import contextlib
import logging
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from study.design.resources import Resources
from study.utils import stale_dirs
from study.utils.errors import StudyError
from study.utils.process import children

T = TypeVar("T")

SLOW = 10.0  # seconds: a start that failed after as many was too slow for Ray, which waits for half a minute, and may
# do better with all files in memory; one that failed sooner would fail again
PATIENCE = 900.0  # seconds for a cluster's first worker node: a machine in a cloud starts and installs in minutes
JOB_FILES = "working_dir_files"  # Ray's name for where it unpacks them
PACKAGE = Path(__file__).resolve().parents[1]  # `study`, which a cluster's workers are sent

_SESSION: list[Path] = []  # the folder of the Ray that this process has started, if it has


@dataclass(frozen=True)
class Cluster:
    """Where a sweep runs."""

    cpus: float
    gpus: float

    def gpus_per_trial(self, resources: Resources) -> float:
        """What was asked for; where nothing was, one GPU if there is any."""
        return resources.gpu if resources.gpu is not None else float(self.gpus > 0)

    def at_once(self, resources: Resources) -> int:
        """How many trials there is room for, nodes taken together."""
        gpus = self.gpus_per_trial(resources)
        room = [self.cpus / resources.cpu] + ([self.gpus / gpus] if gpus else [])
        return max(1, int(min(room)))


def connect(address: str | None, on_wait: Callable[[], None] = lambda: None) -> Cluster:
    """Start Ray on this machine, or join the cluster at `address` (`auto`: the one this machine belongs to).

    A cluster whose head is up but has no processors to give is waited for, `PATIENCE` seconds at the most, because its
    other machines may still be starting; `on_wait` is called once before that.

    Raises StudyError where no cluster answers there.
    """
    if address is not None and address.startswith("ray://"):
        raise StudyError(
            f"--address {address}: a sweep's driver must be on the cluster, where the store is, and Ray Client keeps "
            "it outside; run this on one of its machines with --address auto, or send it there with: "
            "ray job submit --working-dir . -- python -m study run GRID --address auto --store /SHARED/STORE"
        )
    if address is None:
        _start()
    else:
        _join(address)
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # failures are told once, by us
    found = _resources()
    if address is not None and not found.get("CPU"):
        on_wait()
        deadline = time.monotonic() + PATIENCE
        while not (found := _resources()).get("CPU") and time.monotonic() < deadline:
            time.sleep(1)
    return Cluster(found.get("CPU", 0.0), found.get("GPU", 0.0))


def _start() -> None:
    began, before = time.monotonic(), children()
    try:
        with stale_dirs.coming(_ray_folder()):
            try:
                context = _init(address="local", include_dashboard=False)
            except Exception:
                if time.monotonic() - began < SLOW:
                    raise
                _clear(before)
                context = _init(address="local", include_dashboard=False)
            _SESSION.append(Path(context.address_info["session_dir"]))
            stale_dirs.claim(_SESSION[0])
    except Exception as error:  # Ray raises bare ones, too
        _clear(before)
        raise StudyError(
            f"Ray could not be started on this machine: {_first_line(error)}; run the same command again when the "
            "machine is less busy; python -m study doctor looks for other causes"
        ) from error
    stale_dirs.sweep_up(_SESSION[0].parent)


def _clear(before: set[int]) -> None:
    """End what a start that failed has left running: Ray itself forgets it."""
    ray.shutdown()
    for process in children() - before:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def _join(address: str) -> None:
    try:
        _init(address=address, runtime_env={"py_modules": [str(PACKAGE)]})
    except (ValueError, ConnectionError, RuntimeError) as error:
        raise StudyError(
            f"--address {address}: no Ray cluster can be joined there: {_first_line(error)}; it can be auto or "
            "HOST:PORT of a running cluster, and a cluster with a token wants RAY_AUTH_MODE=token here too "
            "(see: python -m study doctor); leave it out to use this machine alone"
        ) from None


def _init(**options: Any) -> Any:
    return ray.init(logging_level="ERROR", log_to_driver=False, **options)  # type: ignore[arg-type]  # a name is taken


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def _ray_folder() -> Path:
    """Where Ray makes a folder for each session."""
    return Path(os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp", "ray")


def session() -> Path | None:
    """The folder of the Ray that this process has started; it is removed with it."""
    return _SESSION[0] if _SESSION else None


def _resources() -> dict[str, float]:
    """What all nodes have together."""
    return dict(ray.cluster_resources())  # type: ignore[no-untyped-call]  # Ray leaves it untyped


def check_kept(folder: Path) -> None:
    """Raise StudyError for a folder in the copy of the working directory that Ray makes for a job: it goes with it."""
    if JOB_FILES in folder.resolve().parts:
        raise StudyError(
            f"--store {folder} is in the copy of the working directory that Ray makes for a job, and would be lost "
            "with it; name a folder that all machines share by its whole path, or an address such as s3://BUCKET/NAME"
        )


def check_resources(resources: Resources, cluster: Cluster) -> None:
    """Raise StudyError if no node of the cluster could ever run a trial, which would wait for ever."""
    wanted = {"CPU": resources.cpu, "GPU": cluster.gpus_per_trial(resources)}
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    if any(all(node.get(kind, 0.0) >= number for kind, number in wanted.items()) for node in nodes):
        return
    has = "; ".join(f"{node.get('CPU', 0):g} CPUs and {node.get('GPU', 0):g} GPUs" for node in nodes)
    asked = f"{wanted['CPU']:g} CPUs and {wanted['GPU']:g} GPUs"
    raise StudyError(f"resources: a trial asks for {asked}, but the nodes have: {has}; ask for less in the grid")


def on_every_node(address: str, function: Callable[[], T]) -> dict[str, T]:
    """Call a function once on every living node of a cluster; what it returned, by the node's id."""
    connect(address)
    try:
        nodes = [node["NodeID"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
        call: Any = ray.remote(num_cpus=0)(_call)
        placed = [call.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)) for node in nodes]
        found = ray.get([task.remote(function) for task in placed], timeout=120)
        return dict(zip(nodes, found, strict=True))
    finally:
        disconnect()


def _call(function: Callable[[], T]) -> T:
    return function()


def disconnect() -> None:
    """Leave the cluster, or stop Ray on this machine and remove its files: each session leaves megabytes of them."""
    ray.shutdown()
    while _SESSION:
        stale_dirs.remove(_SESSION.pop())
