"""A small HTTP server that answers as MLflow's does, with some answers replaced: broken, slow or hostile."""

import contextlib
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

API, ARTIFACTS = "/api/2.0/mlflow/", "/api/2.0/mlflow-artifacts/artifacts"
Answer = Callable[["Handler", Any], None]


class Handler(BaseHTTPRequestHandler):
    server: "Listener"

    def log_message(self, *_: object) -> None:
        pass

    def body(self) -> bytes:
        """Of the request, which MLflow sends in chunks if it is a file."""
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        return b"".join(parts)

    def reply(self, body: bytes, status: int = 200, kind: str = "application/json", **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def handle_request(self) -> None:
        state, body = self.server.state, self.body()
        name = state.name_of(self.command, self.path)
        state.requests.append(name)
        if name == "/login":
            html(self, None)
            return
        if name in state.replaced:
            good = None if name == "upload" else state.good(name, self.path, body)
            state.replaced[name](self, good)
            return
        good = state.good(name, self.path, body)
        self.reply(good if isinstance(good, bytes) else json.dumps(good).encode())

    do_GET = do_POST = do_PUT = do_PATCH = handle_request


@dataclass
class BrokenServer:
    """The replaced answers, by the name of the endpoint, and what was received."""

    replaced: dict[str, Answer] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)  # uploaded, by path
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    uri: str = ""

    def name_of(self, method: str, path: str) -> str:
        address = urlsplit(path).path
        if address.startswith(ARTIFACTS):
            return {"PUT": "upload", "GET": "list" if address == ARTIFACTS else "download"}[method]
        return address.removeprefix(API)

    def good(self, name: str, path: str, body: bytes) -> Any:
        """What MLflow's server would answer."""
        if name in ("upload", "list", "download"):
            return self._artifacts(name, path, body)
        if name == "experiments/get-by-name":
            experiment = {"experiment_id": "1", "name": "tiny", "lifecycle_stage": "active"}
            return {"experiment": {**experiment, "artifact_location": "mlflow-artifacts:/1"}}
        if name == "runs/create":
            return {"run": self._create(json.loads(body))}
        if name == "runs/get":
            return {"run": self.runs[parse_qs(urlsplit(path).query)["run_id"][0]]}
        if name == "runs/update":
            self.runs[json.loads(body)["run_id"]]["info"]["status"] = json.loads(body)["status"]
        return {}

    def _create(self, request: dict[str, Any]) -> dict[str, Any]:
        run_id = uuid.uuid4().hex
        info = {"run_id": run_id, "run_uuid": run_id, "experiment_id": "1", "status": "RUNNING"}
        info["artifact_uri"] = f"mlflow-artifacts:/1/{run_id}/artifacts"
        self.runs[run_id] = {"info": info, "data": {"tags": request.get("tags", [])}}
        return self.runs[run_id]

    def _artifacts(self, name: str, path: str, body: bytes) -> Any:
        parts = urlsplit(path)
        file = parts.path.removeprefix(f"{ARTIFACTS}/")
        if name == "upload":
            self.files[file] = body
            return {}
        if name == "download":
            return self.files[file]
        folder = parse_qs(parts.query)["path"][0]
        found = [one for one in self.files if one.startswith(f"{folder}/")]
        return {
            "files": [{"path": f.rpartition("/")[2], "is_dir": False, "file_size": len(self.files[f])} for f in found]
        }


class Listener(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, state: BrokenServer) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.state = state


@contextlib.contextmanager
def broken_server(**replaced: Answer) -> Iterator[BrokenServer]:
    """replaced: answers by the name of the endpoint with `__` for `/` and `_` for `-`."""
    state = BrokenServer({name.replace("__", "/").replace("_", "-"): answer for name, answer in replaced.items()})
    with Listener(state) as listener:
        state.uri = f"http://127.0.0.1:{listener.server_port}"
        threading.Thread(target=listener.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield state
        finally:
            listener.shutdown()


def nonsense(handler: Handler, _: Any) -> None:
    handler.reply(b'}{"\xff', kind="application/json")


def html(handler: Handler, _: Any) -> None:
    handler.reply(b"<html><body>" + b"<p>Please log in.</p>\n" * 500, kind="text/html")


def error_500(handler: Handler, _: Any) -> None:
    handler.reply(b"<h1>Internal\nServer Error</h1>", 500, "text/html")


def redirect(handler: Handler, _: Any) -> None:
    """To a page of another program. 302 turns every method into GET."""
    handler.reply(b"", 302, Location="/login")


def endless_redirect(handler: Handler, _: Any) -> None:
    handler.reply(b"", 307, Location=handler.path)


def json_list(handler: Handler, _: Any) -> None:
    handler.reply(b"[1, 2]")


def hang_up(handler: Handler, _: Any) -> None:
    handler.connection.close()


def silent(handler: Handler, _: Any) -> None:
    time.sleep(600)


def trickle(handler: Handler, _: Any) -> None:
    """A byte per second, so that no read of the client takes long."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    with contextlib.suppress(OSError):
        while True:
            handler.wfile.write(b" ")
            time.sleep(0.2)


def changed(change: Callable[[Any], Any]) -> Answer:
    """The good answer with every text, or what is in its place, changed."""

    def walk(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: walk(one) for key, one in value.items()}
        return [walk(one) for one in value] if isinstance(value, list) else change(value)

    return lambda handler, good: handler.reply(json.dumps(walk(good)).encode())


def with_location(location: str) -> Answer:
    """The good answer with another artifact location, of the experiment or the run."""

    def answer(handler: Handler, good: Any) -> None:
        if "experiment" in good:
            good["experiment"]["artifact_location"] = location
        else:
            good["run"]["info"]["artifact_uri"] = location
        handler.reply(json.dumps(good).encode())

    return answer


BROKEN: dict[str, Answer] = {
    "nonsense": nonsense,
    "html": html,
    "500": error_500,
    "redirect": redirect,
    "endless redirect": endless_redirect,
    "list": json_list,
    "hang up": hang_up,
    "empty object": lambda handler, _: handler.reply(b"{}"),
    "empty body": lambda handler, _: handler.reply(b""),
    "null": changed(lambda _: None),
    "empty fields": changed(lambda value: "" if isinstance(value, str) else value),
    "numbers": changed(lambda value: 7 if isinstance(value, str) else value),
    "objects": changed(lambda value: {"a": [value]}),
}
