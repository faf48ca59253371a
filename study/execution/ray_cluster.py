"""Starts Ray on this machine, or joins a cluster."""

import atexit
import contextlib
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from study.design.resources import Resources
from study.execution import ray_token
from study.utils import stale_dirs
from study.utils.cpus import usable_cpus
from study.utils.errors import Advice, StudyError
from study.utils.private_folder import private_folder
from study.utils.process import children, current_process, marked
from study.utils.text import plural

T = TypeVar("T")

SLOW = 10.0  # seconds: a start that failed later hit Ray's time limit of half a minute and may succeed the second time,
# with all files in memory; one that failed earlier would fail again
FIRST_NODE_SECONDS = 900.0  # to wait for a cluster's first worker node: a cloud machine starts and installs in minutes
PROBE_SECONDS = 5.0  # to connect to the address of a cluster
JOB_FILES = "working_dir_files"  # the folder into which Ray unpacks a job's working directory
MARK = "STUDY_DRIVER"  # in the environment of the processes of a Ray: the driver that started it
PACKAGE = Path(__file__).resolve().parents[1]  # `study`, which is sent to a cluster's workers

_SESSION: list[Path] = []  # the session folder of the Ray that this process started, if any


@dataclass(frozen=True)
class Cluster:
    """The resources on which a sweep runs."""

    cpus: float
    gpus: float

    def gpus_per_trial(self, resources: Resources) -> float:
        """The requested GPUs; by default one if the cluster has any."""
        return resources.gpu if resources.gpu is not None else float(self.gpus > 0)

    def at_once(self, resources: Resources) -> int:
        """How many trials fit at the same time, all nodes together."""
        gpus = self.gpus_per_trial(resources)
        slots = [self.cpus / resources.cpu] + ([self.gpus / gpus] if gpus else [])
        return max(1, int(min(slots)))


def connect(
    address: str | None, on_wait: Callable[[], None] = lambda: None, on_start: Callable[[], None] = lambda: None
) -> Cluster:
    """Start Ray on this machine, or join the cluster at `address` (`auto`: the cluster of this machine).

    Waits up to FIRST_NODE_SECONDS for a cluster that has no CPUs yet, because its worker nodes may still be starting;
    `on_wait` is called once before that. `on_start` is called when Ray has installed its handlers of signals.

    Raises StudyError if Ray does not start or the cluster cannot be joined, KeyboardInterrupt on SIGTERM meanwhile.
    """
    if address is not None and address.startswith("ray://"):
        raise StudyError(
            f"--address {address}: the driver must run on the cluster, where the store is, but Ray Client runs it "
            "outside; run this on a machine of the cluster with --address auto, or submit that command as a job: "
            "ray job submit --working-dir . -- COMMAND"
        )
    try:
        if address is None:
            _start()
        else:
            _join(address)
    except SystemExit:  # of Ray's handler of SIGTERM
        raise KeyboardInterrupt from None
    on_start()
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # failures are reported once, by this project
    found = _resources()
    if address is not None and not found.get("CPU"):
        on_wait()
        deadline = time.monotonic() + FIRST_NODE_SECONDS
        while not (found := _resources()).get("CPU") and time.monotonic() < deadline:
            time.sleep(1)
    return Cluster(found.get("CPU", 0.0), found.get("GPU", 0.0))


def _start() -> None:
    began, before = time.monotonic(), children()
    ray_token.provide()
    folder = _ray_folder()
    try:
        with stale_dirs.pending(folder):
            try:
                context = _init_local(folder)
            except Exception:
                if time.monotonic() - began < SLOW:
                    raise
                _kill_new_children(before)
                context = _init_local(folder)
            _SESSION.append(Path(context.address_info["session_dir"]))
            stale_dirs.claim(_SESSION[0])
    except UnicodeEncodeError as error:
        _kill_new_children(before)
        raise StudyError(
            f"cannot start Ray on this machine: {error.object!a} is not valid text in the encoding of file names "
            f"({sys.getfilesystemencoding()}), and Ray requires it; set PYTHONUTF8=1, or rename the file or folder"
        ) from error
    except Exception as error:  # Ray raises bare exceptions, too
        _kill_new_children(before)
        raise StudyError(
            f"cannot start Ray on this machine: {_first_line(error)}; run the same command again when the machine is "
            "less busy",
            Advice("to check for other causes", "doctor"),
        ) from error
    except (KeyboardInterrupt, SystemExit):
        _kill_new_children(before)
        raise
    stale_dirs.remove_stale(_SESSION[0].parent)


def _kill_new_children(before: set[int]) -> None:
    """Kill the processes that a failed start left running: Ray itself does not."""
    ray.shutdown()
    _kill((children() - before) | marked(MARK, current_process()))  # also children of theirs


def _kill(processes: set[int]) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def _join(address: str) -> None:
    _check_listening(address)
    try:
        _init(address=address, runtime_env={"py_modules": [str(PACKAGE)]})
    except (ValueError, ConnectionError, RuntimeError) as error:
        raise StudyError(
            f"--address {address}: cannot join a Ray cluster: {_first_line(error)}; give auto or HOST:PORT of a "
            "running cluster, set RAY_AUTH_MODE=token if it uses token authentication, or omit --address to use this "
            "machine only",
            Advice("to check the token", "doctor"),
        ) from None


def _check_listening(address: str) -> None:
    """Raise StudyError within seconds if nothing listens at HOST:PORT: Ray itself retries for minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():  # auto
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=PROBE_SECONDS).close()
    except (OSError, OverflowError) as error:  # OverflowError: no such port number
        raise StudyError(
            f"--address {address}: no Ray cluster is listening there ({error}); give auto or HOST:PORT of a running "
            "cluster, or omit --address to use this machine only"
        ) from None


def _init_local(folder: Path) -> Any:
    os.environ[MARK] = current_process()
    try:
        return _init(address="local", include_dashboard=False, num_cpus=usable_cpus(), _temp_dir=str(folder))
    finally:
        del os.environ[MARK]


def _init(**options: Any) -> Any:
    return ray.init(logging_level="ERROR", log_to_driver=False, **options)  # type: ignore[arg-type]  # Ray accepts level names


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def _ray_folder() -> Path:
    """The folder in which Ray creates a folder per session, with sockets and logs.

    It is in a private folder, because Ray lets everybody write to all its folders.
    """
    parent = Path(os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp").absolute()
    return private_folder(parent / f"ray-{os.getuid()}", "set RAY_TMPDIR to another folder") / "ray"


def session() -> Path | None:
    """The session folder of the Ray that this process started; it is removed by `disconnect`."""
    return _SESSION[0] if _SESSION else None


def _resources() -> dict[str, float]:
    """The resources of all nodes."""
    return dict(ray.cluster_resources())  # type: ignore[no-untyped-call]  # Ray leaves it untyped


def check_persistent(folder: Path) -> None:
    """Raise StudyError for a folder in Ray's copy of a job's working directory, which Ray deletes after the job."""
    if JOB_FILES in folder.resolve().parts:
        raise StudyError(
            f"--store {folder} is in Ray's temporary copy of the job's working directory and would be deleted with it; "
            "give the absolute path of a folder that all machines share, or an address such as s3://BUCKET/NAME"
        )


def check_resources(resources: Resources, cluster: Cluster) -> None:
    """Raise StudyError if no node of the cluster is large enough for a trial: it would never start."""
    requested = {"CPU": resources.cpu, "GPU": cluster.gpus_per_trial(resources)}
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    if any(all(node.get(kind, 0.0) >= number for kind, number in requested.items()) for node in nodes):
        return
    available = "; ".join(map(_amounts, nodes))
    raise StudyError(
        f"resources: a trial requests {_amounts(requested)}, but the nodes have: {available}; lower "
        "resources in the grid"
    )


def _amounts(resources: Mapping[str, float]) -> str:
    return f"{plural(resources.get('CPU', 0), 'CPU')} and {plural(resources.get('GPU', 0), 'GPU')}"


def on_every_node(address: str, function: Callable[[], T]) -> dict[str, T]:
    """Call a function once on every node of a cluster. Returns the results by node id."""
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


def disconnect(lost: bool = False) -> None:
    """Leave the cluster, or stop Ray on this machine and remove its session folder (megabytes of files).

    lost: Ray has died. Then what is left of it is killed, because any call could end this process at once.
    """
    if lost:
        atexit.unregister(ray.shutdown)
        _kill(marked(MARK, current_process()))
    else:
        ray.shutdown()
    while _SESSION:
        stale_dirs.remove(_SESSION.pop())
