"""A Ray cluster of several nodes on this machine: each is a `ray start` with a session of processes of its own."""

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

ATTEMPTS = (
    5  # `ray start` gives a raylet up after half a minute, which no setting changes: on a busy machine it is late
)
STARTED = b"Ray runtime started"
PATIENCE = {
    # a node whose processes were killed refuses to be asked, and is given up after five questions, in two or three
    # seconds; one that lives but gets no processor has ten seconds for each answer
    "RAY_health_check_initial_delay_ms": "500",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_timeout_ms": "10000",
    "RAY_health_check_failure_threshold": "5",
    "RAY_gcs_server_port_wait_time_s": "120",
    "RAY_worker_register_timeout_seconds": "180",
}

Node = subprocess.Popen[bytes]  # the `ray start`; all that it starts is of its session


class Nodes:
    """A cluster with ports, a folder and a token of its own. Nodes are started one after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.address = f"127.0.0.1:{self.port}"
        token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(24)}
        self.environment = os.environ | PATIENCE | token
        self._started: list[Node] = []

    def head(self, *options: str) -> Node:
        """The head, without processors for stages."""
        return self._start("--head", f"--port={self.port}", "--num-cpus=0", *options)

    def worker(self) -> Node:
        """A node of one processor."""
        return self._start(f"--address={self.address}", "--num-cpus=1")

    def stop(self) -> None:
        for node in reversed(self._started):
            lose(node)

    def _start(self, *options: str) -> Node:
        """A node that is up; `ray start` is tried again where it gave up."""
        for _ in range(ATTEMPTS):
            node, log = self._try(*options)
            while node.poll() is None:
                if STARTED in log.read_bytes():
                    return node
                time.sleep(0.1)
            lose(node)  # its raylet may come up after all
        raise TimeoutError(f"ray start gave up {ATTEMPTS} times: {log.read_text()}")

    def _try(self, *options: str) -> tuple[Node, Path]:
        ray = Path(sys.executable).with_name("ray")
        own = self.folder / str(len(self._started))  # as on a machine of its own: packages are unpacked there
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
    """No node yet; all are stopped and their files removed in the end."""
    folder = Path(tempfile.mkdtemp(prefix="r", dir="/tmp"))  # Ray's sockets need short paths
    made = Nodes(folder)
    try:
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder, ignore_errors=True)


def lose(leader: "subprocess.Popen[bytes] | subprocess.Popen[str]") -> None:
    """kill -9 of all processes of a session, orphans too, at once."""
    while alive := members(leader.pid):
        for process in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        psutil.wait_procs(alive, timeout=1)
    leader.wait(10)


def members(session: int) -> list[psutil.Process]:
    """Its living processes."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found
