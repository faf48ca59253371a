"""The verb `ui`: serves MLflow's pages."""

import os
import sys

from rich.console import Console

from study.utils.escape import terminal as escape

LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")


def open_ui(uri: str, host: str, port: int, console: Console) -> None:
    """Replace this process by MLflow's web server. Warns if `host` is not this machine's loopback address."""
    if host not in LOCAL_HOSTS:
        console.print(
            f"[yellow]MLflow's pages will be open to everyone who can reach {escape(host)}:{port}[/]: they require no "
            "password, and runs can be changed and deleted there"
        )
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
    # not as an argument: other users can read a process's arguments, and the URI may contain a password
    os.environ["MLFLOW_BACKEND_STORE_URI"] = uri
    print(f"MLflow: http://{host}:{port} (Ctrl-C stops it)", flush=True)
    serve = ["--host", host, "--port", str(port), "--uvicorn-opts", "--log-level warning"]
    os.execv(sys.executable, [sys.executable, "-m", "mlflow", "ui", *serve])
