"""Real MLflow servers that can be killed and restarted, and a slow connection to them."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from helpers.ports import free_port
from mlflow import MlflowClient


class Server:
    """`mlflow server` on SQLite, or another database, in its own process group."""

    def __init__(self, folder: Path, database: str = "") -> None:
        self.folder, self.port = folder, free_port()
        self._database = database or f"sqlite:///{folder / 'mlflow.db'}"
        self.uri = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)

    def start(self, wait: bool = True) -> None:
        command = [
            *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)),
            *("--workers", "1", "--backend-store-uri", self._database),
            *("--serve-artifacts", "--artifacts-destination", str(self.folder / "artifacts")),
        ]  # fmt: skip
        environment = os.environ | {
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "DO_NOT_TRACK": "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # nine unused processes
        }
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, env=environment, start_new_session=True, cwd=self.folder
            )
        if wait:
            self.wait()

    def wait(self, seconds: float = 120.0) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"{self.uri}/health", timeout=2):
                    return
            except OSError:
                time.sleep(0.2)
        raise TimeoutError(f"the MLflow server did not start: {(self.folder / 'server.log').read_text()[-2000:]}")

    def kill(self) -> None:
        """Kill the server and its workers (SIGKILL)."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        if self._process is not None:
            self._process.wait()
        self._process = None


@contextmanager
def slow_line(port: int, delay: float, at: int = 0) -> Iterator[int]:
    """A proxy for `port` on port `at` (0: any free one) that delays responses by `delay` seconds; yields its port."""
    listener = socket.create_server(("127.0.0.1", at))
    ended = threading.Event()

    def pipe(source: socket.socket, sink: socket.socket, pause: float) -> None:
        try:
            while data := source.recv(65536):
                if ended.wait(pause):
                    break
                sink.sendall(data)
        except OSError:
            pass  # one side has closed the connection
        finally:
            for end in (source, sink):
                end.close()

    def serve() -> None:
        while not ended.is_set():
            try:
                near, _ = listener.accept()
                far = socket.create_connection(("127.0.0.1", port))
            except OSError:
                continue
            for source, sink, pause in ((near, far, 0.0), (far, near, delay)):
                threading.Thread(target=pipe, args=(source, sink, pause), daemon=True).start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        ended.set()
        listener.close()
        thread.join(5)


class Reader:
    """A client for tests that only read. Its requests are retried: a server may close an idle connection at any moment.

    The environment variable is set for each call only, because the product makes its requests without retries (see
    `study.tracking.server.connect`).
    """

    def __init__(self, uri: str) -> None:
        self._client = MlflowClient(uri)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)

        def call(*arguments: object, **options: object) -> Any:
            with patch.dict(os.environ, MLFLOW_HTTP_REQUEST_MAX_RETRIES="3"):
                return method(*arguments, **options)

        return call
