"""What trips sweeps, looked for before one starts: each finding says what was seen, and its cure.

Nothing is started here and neither Ray nor MLflow is imported: environment, files, sockets and one request to the
tracking server say enough. What must be seen from every node of a cluster is one function, `inspect_node`, that the
caller runs there.
"""

import functools
import importlib.util
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from study.design import study as design
from study.design.resources import Resources
from study.planning import plan
from study.utils.errors import StudyError
from study.utils.provenance import versions
from study.utils.redact import masked
from study.vit import subject

GIB = 2**30
SOCKET_BYTES = 107 if sys.platform == "linux" else 103  # sizeof(sun_path), less the closing zero
RAYS_OWN_PATH = "ray/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store"
NETWORK = {
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "lustre",
    "beegfs",
    "gpfs",
    "ceph",
    "glusterfs",
    "afs",
    "9p",
    "panfs",
}
CLOCK_SECONDS = 5.0
FILESYSTEMS = {"s3": "s3fs", "gs": "gcsfs"}  # scheme of a store's address to the package that opens it


@dataclass(frozen=True)
class Finding:
    """One thing looked at. `ok`: fine; `warn`: works, but not as it should; `bad`: a sweep fails or lies."""

    name: str
    status: Literal["ok", "warn", "bad"]
    what: str
    cure: str = ""


@dataclass(frozen=True)
class Node:
    """What one node of a cluster says of itself."""

    host: str
    clock: float  # seconds since 1970, when asked
    versions: Mapping[str, str]
    sees_store: bool
    findings: tuple[Finding, ...]


EachNode = Callable[[Callable[[], Node]], Mapping[str, Node]]  # runs a function once on every node of a cluster


def examine(
    store: Path | str,
    tracking_uri: str,
    address: str | None = None,
    grid: Path | None = None,
    each_node: EachNode | None = None,
) -> list[Finding]:
    """Look at this machine, at the store and the tracking server, and with `each_node` at every node of a cluster.

    With a grid, also at the data sets and resources that its study asks for. Raises StudyError for a grid that does
    not load.
    """
    study = design.load(grid) if grid else None
    datasets = tuple(plan.datasets(study)) if study else ()
    resources = study.grid.resources if study else Resources()
    found = [token(address), store_place(store), sqlite(tracking_uri), *server(tracking_uri), store_clock(store)]
    if each_node is not None:
        return [*found, *_nodes(each_node, store, datasets, resources)]
    found.extend(_machine(datasets, resources))
    if address is not None:
        cure = "run `python -m study doctor` on the other nodes too"
        found.append(Finding("nodes", "warn", "only this machine was looked at", cure))
    return [*found, disk("disk of the store", _existing(_local(store) or Path.cwd()))]


def token(address: str | None, environ: Mapping[str, str] = os.environ, home: Path | None = None) -> Finding:
    """Ray's token: who may run code on the cluster."""
    name, home = "token authentication", home or Path.home()
    mode = environ.get("RAY_AUTH_MODE", "").lower()
    if mode == "disabled":
        cure = "unset RAY_AUTH_MODE"
        return Finding(name, "warn", "is off: whoever reaches Ray's ports can run code as you", cure)
    if environ.get("RAY_AUTH_TOKEN"):
        return Finding(name, "ok", "the token is in RAY_AUTH_TOKEN")
    named = environ.get("RAY_AUTH_TOKEN_PATH")
    path = Path(named) if named else home / ".ray" / "auth_token"
    if path.exists() or named:
        return _token_file(name, path, address, mode)
    if address is not None:
        cure = "copy ~/.ray/auth_token from the cluster's head, or name the file in RAY_AUTH_TOKEN_PATH"
        return Finding(name, "bad", f"there is no token in {path}, and every node needs the same one", cure)
    if not _writable(path):
        cure = "make the home folder writable, or write a token to a file and name it in RAY_AUTH_TOKEN_PATH"
        return Finding(name, "bad", f"Ray cannot write its token to {path}", cure)
    return Finding(name, "ok", f"Ray will write a token to {path}")


def _token_file(name: str, path: Path, address: str | None, mode: str) -> Finding:
    try:
        empty = not path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        return Finding(name, "bad", f"{path} cannot be read: {reason}", "put it right, or name another file")
    if empty:
        return Finding(name, "bad", f"{path} is empty", f"rm {path}; ray get-auth-token --generate")
    if path.stat().st_mode & 0o077:
        return Finding(name, "warn", f"others on this machine may read {path}", f"chmod 600 {path}")
    if address not in {None, "auto"} and mode != "token":
        cure = "export RAY_AUTH_MODE=token"
        return Finding(name, "warn", f"Ray does not send the token to {address} unless told to", cure)
    return Finding(name, "ok", f"the token is in {path}")


def _machine(datasets: tuple[str, ...], resources: Resources) -> Iterator[Finding]:
    """What holds for one machine, whatever the cluster."""
    yield socket_path()
    yield shared_memory()
    yield threads(resources.cpu)
    yield gpus(resources.gpu or 0.0)
    yield disk("disk for temporary files", _existing(_temporary(os.environ)))
    for name in datasets:
        yield dataset(name)


def socket_path(environ: Mapping[str, str] = os.environ) -> Finding:
    """Ray's sockets lie in its temporary folder, and the system limits their paths."""
    length = len(os.fsencode(_temporary(environ) / RAYS_OWN_PATH))
    if length > SOCKET_BYTES:
        what = f"Ray's sockets would have paths of {length} bytes; the system takes {SOCKET_BYTES}"
        return Finding("socket path", "bad", what, "export RAY_TMPDIR=/tmp, or another short folder")
    return Finding("socket path", "ok", f"{length} of {SOCKET_BYTES} bytes")


def _temporary(environ: Mapping[str, str]) -> Path:
    """The folder below which Ray writes: RAY_TMPDIR, on Linux TMPDIR, else /tmp."""
    inherited = environ.get("TMPDIR") if sys.platform == "linux" else None
    return Path(environ.get("RAY_TMPDIR") or inherited or "/tmp")


def shared_memory(path: Path = Path("/dev/shm"), least: float = 1.0) -> Finding:
    """Ray keeps objects in shared memory; Docker gives 64 MiB of it. `least` is in GiB."""
    if not path.is_dir():
        return Finding("shared memory", "ok", f"this system has no {path}; Ray uses files")
    usage = shutil.disk_usage(path)
    what = f"{path} has {usage.total / GIB:.2g} GiB, {usage.free / GIB:.2g} free"
    if usage.free < least * GIB:
        cure = "Docker: --shm-size=4g; Kubernetes: an emptyDir with medium Memory on /dev/shm; else: clear it"
        return Finding("shared memory", "warn", f"{what}; Ray falls back to slower files", cure)
    return Finding("shared memory", "ok", what)


def fits(resources: Resources) -> list[Finding]:
    """What a stage asks for and this machine plainly lacks; PyTorch is not asked."""
    found = [threads(resources.cpu, {})]
    if resources.gpu and shutil.which("nvidia-smi") is None:
        found.append(gpus(resources.gpu))
    return [finding for finding in found if finding.status == "bad"]


def threads(per_stage: float, environ: Mapping[str, str] = os.environ, usable: int | None = None) -> Finding:
    """More threads than processors get in each other's way. `per_stage`: processors a stage takes."""
    usable = usable or _usable_processors()
    if per_stage > usable:
        what = f"a stage takes {per_stage:g} processors, but {usable} can be used here: it would wait for ever"
        return Finding("threads", "bad", what, "lower resources.cpu in the grid, or use a larger machine")
    given = environ.get("OMP_NUM_THREADS", "")
    if given.isdigit() and int(given) > max(1, int(per_stage)):
        what = f"OMP_NUM_THREADS={given}, but a stage takes {per_stage:g} of {usable} processors"
        return Finding("threads", "warn", what, "unset OMP_NUM_THREADS: each stage then has its share")
    return Finding("threads", "ok", f"{usable} processors, {per_stage:g} to a stage")


def _usable_processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def gpus(wanted: float, environ: Mapping[str, str] = os.environ) -> Finding:
    """What the driver has, what PyTorch sees of it, and what hides the rest. `wanted`: GPUs a stage asks for."""
    listed = _driver_gpus()
    if isinstance(listed, str):
        return Finding("GPUs", "bad", f"nvidia-smi fails: {listed}", "repair NVIDIA's driver, or restart the machine")
    if not listed:
        if wanted:
            cure = "set resources.gpu to 0 or null in the grid, or run on a machine with GPUs"
            return Finding("GPUs", "bad", f"a stage takes {wanted:g} of a GPU, but there is none here", cure)
        return Finding("GPUs", "ok", "none here: stages run on processors")
    if importlib.util.find_spec("torch") is None:
        return Finding("GPUs", "bad", f"{listed} here, but PyTorch is not installed", "install requirements.lock")
    import torch

    seen, hidden = torch.cuda.device_count(), environ.get("CUDA_VISIBLE_DEVICES")
    if torch.version.cuda is None:
        return Finding(
            "GPUs", "bad", f"{listed} here, but this PyTorch is built without CUDA", "install torch from PyPI"
        )
    if seen < listed and hidden is not None:
        what = f"PyTorch sees {seen} of {listed}: CUDA_VISIBLE_DEVICES={hidden!r}"
        return Finding("GPUs", "warn", what, "unset CUDA_VISIBLE_DEVICES, unless it is meant")
    if seen < listed:
        cure = f"PyTorch here is built for CUDA {torch.version.cuda}: the driver must be new enough for it"
        return Finding("GPUs", "bad", f"PyTorch sees {seen} of {listed}", cure)
    return Finding("GPUs", "ok", f"{seen}, PyTorch sees them all")


def _driver_gpus() -> int | str:
    """How many GPUs NVIDIA's driver lists, or its complaint."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return 0
    try:
        done = subprocess.run([program, "--list-gpus"], capture_output=True, text=True, timeout=20, check=False)
    except subprocess.TimeoutExpired:
        return "no answer in 20 seconds"
    if done.returncode:
        return (done.stdout + done.stderr).strip().splitlines()[-1]
    return sum(line.startswith("GPU ") for line in done.stdout.splitlines())


def disk(name: str, path: Path) -> Finding:
    """Free space where `path` lies; Ray stops writing objects on a disk that is 95 % full."""
    usage = shutil.disk_usage(path)
    what = f"{path}: {usage.free / GIB:.1f} GiB free of {usage.total / GIB:.1f}"
    if usage.free < GIB:
        return Finding(name, "bad", what, "free some, or use another disk")
    if usage.free < 5 * GIB or usage.used > 0.95 * usage.total:
        return Finding(name, "warn", what, "free some: stages and Ray write here")
    return Finding(name, "ok", what)


def dataset(name: str) -> Finding:
    """Whether a data set can be had here."""
    try:
        subject.available(name)
    except StudyError as error:
        return Finding(f"data set {name}", "bad", str(error), "make it available on every node")
    return Finding(f"data set {name}", "ok", "is here")


def store_place(store: Path | str) -> Finding:
    """Whether finished stages can be written."""
    folder = _local(store)
    if folder is None:
        package = FILESYSTEMS.get(str(store).partition(":")[0], "")
        if package and importlib.util.find_spec(package) is None:
            return Finding("store", "bad", f"{store} needs the package {package}", f"python -m pip install {package}")
        return Finding("store", "ok", str(store))
    if not _writable(folder):
        return Finding("store", "bad", f"{folder} cannot be written", "put its permissions right, or use --store")
    return Finding("store", "ok", f"{folder} on {filesystem(folder)}")


def sqlite(tracking_uri: str, mounts: str | None = None) -> Finding:
    """SQLite's locks do not hold on network file systems."""
    name = "MLflow database"
    if not tracking_uri.startswith("sqlite:///"):
        return Finding(name, "ok", "is the tracking server's own")
    path = Path(tracking_uri.removeprefix("sqlite:///"))
    kind = filesystem(path, mounts)
    if kind in NETWORK or (kind.startswith("fuse.") and kind != "fuse.fuse-overlayfs"):
        cure = "use a tracking server: --tracking-uri http://HOST:5000 (`study launch` writes an example)"
        return Finding(name, "bad", f"{path} is SQLite on {kind}, where its locks do not hold", cure)
    return Finding(name, "ok", f"SQLite on {kind}")


def filesystem(path: Path, mounts: str | None = None) -> str:
    """The kind of file system below a path, from /proc/mounts; `this disk` where the system has no such table."""
    if mounts is None:
        table = Path("/proc/mounts")
        mounts = table.read_text(encoding="utf-8", errors="replace") if table.exists() else ""
    target, best, kind = _existing(path).resolve(), -1, "this disk"
    for line in mounts.splitlines():
        _, point, found, *_ = line.split()
        where = Path(point.replace("\\040", " "))
        if target.is_relative_to(where) and len(where.parts) >= best:  # later mounts cover earlier ones
            best, kind = len(where.parts), found
    return kind


def server(tracking_uri: str, timeout: float = 5.0) -> list[Finding]:
    """One request to the tracking server: is it there, does it accept the name we call it by, is its clock ours."""
    if not tracking_uri.startswith(("http://", "https://")):
        return []
    name, shown = "MLflow server", masked(tracking_uri)
    if shown != tracking_uri:
        cure = "put them into ~/.mlflow/credentials, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        return [Finding(name, "warn", f"{shown} has a user name or password in it, which others can see", cure)]
    url = f"{tracking_uri.rstrip('/')}/api/2.0/mlflow/experiments/search?max_results=1"
    before = time.time()
    try:
        with urllib.request.urlopen(url, timeout=timeout) as answer:  # http or https, as checked above
            return [Finding(name, "ok", f"{shown} answers"), *_server_clock(answer.headers.get("Date"), before)]
    except urllib.error.HTTPError as error:
        with error:
            return [_refusal(name, shown, error)]
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        cure = "start it, or put the address right; until then training goes on, and `study sync` delivers later"
        return [Finding(name, "warn", f"{shown} cannot be reached: {reason}", cure)]


def _refusal(name: str, shown: str, error: urllib.error.HTTPError) -> Finding:
    text = error.read(200).decode(errors="replace")
    if error.code == 403 and "host" in text.lower():
        cure = "start it with --allowed-hosts, or MLFLOW_SERVER_ALLOWED_HOSTS, naming the host as it is called here"
        return Finding(name, "bad", f"{shown} does not accept that name of it", cure)
    if error.code in {401, 403}:
        cure = "put user name and password into ~/.mlflow/credentials"
        return Finding(name, "bad", f"{shown} asks who we are ({error.code})", cure)
    return Finding(name, "warn", f"{shown} answers {error.code}", "look into its log; `study sync` delivers later")


def _server_clock(date: str | None, before: float) -> Iterator[Finding]:
    if date is not None:
        apart = parsedate_to_datetime(date).timestamp() - before
        yield _clock("clock of the MLflow server", apart)


def store_clock(store: Path | str) -> Finding:
    """A file server stamps files with its own clock."""
    name, folder = "clock of the store", _local(store)
    if folder is None or not folder.is_dir() or not os.access(folder, os.W_OK):
        return Finding(name, "ok", "not looked at: there is no folder yet")
    before = time.time()
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".doctor-") as probe:
        return _clock(name, os.stat(probe.name).st_mtime - before)


def _clock(name: str, apart: float) -> Finding:
    if abs(apart) > CLOCK_SECONDS:
        what = f"{abs(apart):.0f} seconds {'ahead of' if apart > 0 else 'behind'} this machine"
        return Finding(name, "warn", what, "synchronise clocks (chrony or systemd-timesyncd) on all machines")
    return Finding(name, "ok", "as here")


def inspect_node(datasets: tuple[str, ...], resources: Resources, marker: str | None) -> Node:
    """What a node of a cluster says of itself. `marker` is a file in the store that the driver has just written."""
    asked = Resources(cpu=resources.cpu, gpu=0.0)  # a node without GPUs may be the head
    return Node(
        host=socket.gethostname(),
        clock=time.time(),
        versions=versions(),
        sees_store=marker is None or Path(marker).exists(),
        findings=tuple(_machine(datasets, asked)),
    )


def _nodes(
    each_node: EachNode, store: Path | str, datasets: tuple[str, ...], resources: Resources
) -> Iterator[Finding]:
    folder = _local(store)
    if folder is None or not folder.is_dir():
        yield from _compared(each_node, functools.partial(inspect_node, datasets, resources, None))
        if folder is not None:
            cure = f"mkdir {folder}, then look again"
            yield Finding("store", "warn", "there is no folder yet, so whether all nodes see it is unknown", cure)
        return
    with tempfile.NamedTemporaryFile(dir=folder.resolve(), prefix=".doctor-") as marker:
        yield from _compared(each_node, functools.partial(inspect_node, datasets, resources, marker.name))
    yield disk("disk of the store", folder)


def _compared(each_node: EachNode, inspect: Callable[[], Node]) -> Iterator[Finding]:
    """Every node's own findings, and how the nodes differ from this one."""
    asked = time.time()
    nodes = each_node(inspect)
    answered = time.time()
    yield Finding("nodes", "ok", f"{len(nodes)} looked at")
    for node in nodes.values():
        yield from (replace(finding, name=f"{finding.name} on {node.host}") for finding in node.findings)
        yield _clock(f"clock of {node.host}", max(node.clock - answered, 0.0) + min(node.clock - asked, 0.0))
        yield from _versions_apart(node)
    blind = sorted(node.host for node in nodes.values() if not node.sees_store)
    if blind:
        cure = "put the store on a file system that all nodes mount at the same path, or use s3:// or gs://"
        yield Finding("store", "bad", f"is not the same folder on {', '.join(blind)}", cure)


def _versions_apart(node: Node) -> Iterator[Finding]:
    here = versions()
    other = [name for name in here if node.versions.get(name) != here[name]]
    if other:
        pairs = ", ".join(f"{name} {node.versions.get(name, 'missing')} (here {here[name]})" for name in other)
        cure = "install requirements.lock on every node: results can depend on versions"
        yield Finding(f"versions on {node.host}", "warn", pairs, cure)


def _local(store: Path | str) -> Path | None:
    """The store as a folder; None for an address (a Path has lost one of its slashes)."""
    scheme, colon, _ = str(store).partition(":/")
    return None if colon and scheme in FILESYSTEMS else Path(store)


def _existing(path: Path) -> Path:
    """The path itself, or the nearest folder above it that exists."""
    path = path.absolute()
    return next(place for place in (path, *path.parents) if place.exists())


def _writable(path: Path) -> bool:
    return os.access(_existing(path), os.W_OK)


def show(findings: list[Finding], console: Console) -> None:
    """A table, and a sentence on what to do."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    colours = {"ok": "green", "warn": "yellow", "bad": "red"}
    for finding in findings:
        cure = f"\n[bold]{escape(finding.cure)}[/]" if finding.status != "ok" and finding.cure else ""
        mark = f"[{colours[finding.status]}]{finding.status}[/]"
        table.add_row(mark, escape(finding.name), f"{escape(finding.what)}{cure}")
    console.print(table)
    counted = {status: sum(finding.status == status for finding in findings) for status in colours}
    console.print(f"{platform.node()}: {counted['bad']} bad, {counted['warn']} to mind, {counted['ok']} fine")


def exit_code(findings: list[Finding]) -> int:
    """1 where a sweep would fail, else 0."""
    return int(any(finding.status == "bad" for finding in findings))
