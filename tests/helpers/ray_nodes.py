"""A Ray cluster of several nodes on this machine: each is a `ray start` with its own session of processes."""

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
from helpers.ports import free_port

from study.design.stages import Stage
from study.store.results import Store

ATTEMPTS = 5  # `ray start` waits half a minute for a raylet, which no setting changes; a busy machine needs longer
STARTED = b"Ray runtime started"
PATIENCE = {
    # a killed node refuses connections and is lost after five health checks, within two or three seconds; a node that
    # is only slow has ten seconds for each check
    "RAY_health_check_initial_delay_ms": "500",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_timeout_ms": "10000",
    "RAY_health_check_failure_threshold": "5",
    "RAY_gcs_server_port_wait_time_s": "120",
    "RAY_worker_register_timeout_seconds": "180",
}

Node = subprocess.Popen[bytes]  # `ray start`; all its processes are in its session


class Nodes:
    """A cluster with its own ports, folder and token. Nodes are started one after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.address = f"127.0.0.1:{self.port}"
        token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(24)}
        self.environment = os.environ | PATIENCE | token
        self._started: list[Node] = []

    def head(self, *options: str) -> Node:
        """The head, without CPUs for stages."""
        return self._start("--head", f"--port={self.port}", "--num-cpus=0", *options)

    def worker(self) -> Node:
        """A node with one CPU."""
        return self._start(f"--address={self.address}", "--num-cpus=1")

    def stop(self) -> None:
        for node in reversed(self._started):
            lose(node)

    def _start(self, *options: str) -> Node:
        """Start a node and wait until it is up; retries `ray start`."""
        for _ in range(ATTEMPTS):
            node, log = self._try(*options)
            while node.poll() is None:
                if STARTED in log.read_bytes():
                    return node
                time.sleep(0.1)
            lose(node)  # its raylet may still be starting
        raise TimeoutError(f"ray start gave up {ATTEMPTS} times: {log.read_text()}")

    def _try(self, *options: str) -> tuple[Node, Path]:
        ray = Path(sys.executable).with_name("ray")
        own = self.folder / str(len(self._started))  # each node unpacks packages into its own folder
        log = own.with_suffix(".log")
        limits = ["--disable-usage-stats", "--object-store-memory=100000000"]
        ports = ["--min-worker-port=0", "--max-worker-port=0", "--dashboard-agent-listen-port=0"]
        with log.open("wb") as out:
            command = [str(ray), "start", *options, f"--temp-dir={own}", *limits, *ports, "--block"]
            node = subprocess.Popen(command, stdout=out, stderr=out, env=self.environment, start_new_session=True)
        self._started.append(node)
        return node, log


@contextlib.contextmanager
def cluster() -> Iterator[Nodes]:
    """A cluster without nodes; on leaving, all its nodes are stopped and their files removed."""
    folder = Path(tempfile.mkdtemp(prefix="r", dir="/tmp"))  # Ray's sockets need short paths
    nodes = Nodes(folder)
    try:
        yield nodes
    finally:
        nodes.stop()
        shutil.rmtree(folder, ignore_errors=True)


def lose(leader: "subprocess.Popen[bytes] | subprocess.Popen[str]") -> None:
    """Kill all processes of a session (SIGKILL), orphans included."""
    while alive := members(leader.pid):
        for process in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        psutil.wait_procs(alive, timeout=1)
    leader.wait(10)


def lose_while_training(node: Node, others: list[Node], store: Store, stages: list[Stage]) -> Stage:
    """Kill a node in the middle of a stage; returns that stage. Independent of how fast the machine is.

    All nodes are suspended, and only `node` continues until it writes a checkpoint: that stage runs on the node. It is
    suspended again, and killed if the stage has not ended meanwhile. The grid must set `checkpoint_seconds: 0`, so that
    each epoch writes a checkpoint.
    """
    while True:
        with suspended(node, *others):
            before = checkpoints(store)
            send(signal.SIGCONT, node)
            stage = wait_for_checkpoint(before, store, stages)
            send(signal.SIGSTOP, node)
            if stage is not None and not store.has(stage):
                lose(node)
                return stage
        time.sleep(0.2)  # the node is between two stages


def wait_for_checkpoint(before: dict[str, int], store: Store, stages: list[Stage]) -> Stage | None:
    """The stage whose checkpoint is written next; None if there is none within a second."""
    deadline = time.monotonic() + 1.0
    while time.monotonic() < deadline:
        now = checkpoints(store)
        for stage in stages:
            if now.get(stage.key, 0) > before.get(stage.key, 0):
                return stage
    return None


def checkpoints(store: Store) -> dict[str, int]:
    """Keys of unfinished stages, and when their checkpoints were written, in nanoseconds."""
    found = {}
    for path in (store.root / "unfinished").glob("*"):
        with contextlib.suppress(FileNotFoundError):
            found[path.name] = path.stat().st_mtime_ns
    return found


@contextlib.contextmanager
def suspended(*nodes: Node) -> Iterator[None]:
    """Suspend all processes of these nodes, for a time that is short enough for Ray's health checks."""
    send(signal.SIGSTOP, *nodes)
    try:
        yield
    finally:
        send(signal.SIGCONT, *nodes)


def send(number: signal.Signals, *nodes: Node) -> None:
    for node in nodes:
        for process in members(node.pid):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)


def members(session: int) -> list[psutil.Process]:
    """The running processes of a session."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found
