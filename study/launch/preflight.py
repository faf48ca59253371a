"""`study doctor`: checks the environment before a sweep starts, and suggests fixes.

Starts nothing and does not import Ray, nor MLflow unless there is a database file of it: the checks use the
environment, files, sockets and one request to the tracking server. The checks of a cluster's nodes are in one function,
`inspect_node`, which the caller runs there.
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
from rich.table import Table

from study.design.resources import Resources
from study.design.study import load
from study.planning import plan
from study.store.backends import address as addresses
from study.store.backends.address import local_folder
from study.tracking import inspect_file, path_of
from study.utils.command_line import UNKNOWN, Invocation
from study.utils.cpus import usable_cpus
from study.utils.errors import StudyError
from study.utils.escape import terminal as escape
from study.utils.provenance import NO_COMMIT, commit, git_problem, versions
from study.utils.redact import masked
from study.utils.text import plural
from study.vit import subject

GIB = 2**30
SOCKET_BYTES = 107 if sys.platform == "linux" else 103  # sizeof(sun_path) without the terminating zero
RAY_SOCKET = f"ray-{os.getuid()}/ray/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store"
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
MIN_WIDTH = 60  # columns of a terminal for a table; narrower ones show lines


@dataclass(frozen=True)
class Finding:
    """The result of one check. `warning`: works with a drawback; `error`: a sweep fails or gives wrong results."""

    name: str
    status: Literal["ok", "warning", "error"]
    message: str
    suggestion: str = ""


@dataclass(frozen=True)
class Node:
    """The result of `inspect_node`."""

    host: str
    clock: float  # seconds since 1970
    versions: Mapping[str, str]
    sees_store: bool
    findings: tuple[Finding, ...]


Datasets = tuple[tuple[str, int], ...]  # names, with image sizes in pixels
EachNode = Callable[[Callable[[], Node]], Mapping[str, Node]]  # runs a function once on every node of a cluster


def examine(
    store: Path | str,
    tracking_uri: str,
    address: str | None = None,
    grid: Path | None = None,
    each_node: EachNode | None = None,
    invocation: Invocation = UNKNOWN,
) -> list[Finding]:
    """Check this machine, the store and the tracking server; with `each_node` also every node of a cluster.

    With a grid, also its data sets and resources. `invocation`: for the commands in suggestions. Raises
    StudyError for an invalid grid.
    """
    study = load(grid) if grid else None
    datasets = tuple(plan.decoded_data(study)) if study else ()
    resources = study.grid.resources if study else Resources()
    found = [
        code_version(),
        token(address),
        store_place(store),
        sqlite(tracking_uri, invocation),
        *server(tracking_uri, invocation),
        store_clock(store),
    ]
    if each_node is not None:
        return [*found, *_nodes(each_node, store, datasets, resources)]
    found.extend(_machine(datasets, resources))
    if address is not None:
        suggestion = f"run on the other nodes, too: {invocation.command('doctor')}"
        found.append(Finding("nodes", "warning", "only this machine was checked", suggestion))
    return [*found, disk("disk of the store", _existing(local_folder(store) or Path.cwd()))]


def code_version() -> Finding:
    """Whether results can have the commit of the code."""
    if problem := git_problem():
        return Finding("commit", "warning", f"not recorded: {problem.reason}", problem.fix)
    known = commit() != NO_COMMIT
    message = commit() if known else "no checkout: results have the version and the digest of the code instead"
    return Finding("commit", "ok", message)


def token(address: str | None, environ: Mapping[str, str] = os.environ, home: Path | None = None) -> Finding:
    """Ray's token authentication: without it, anyone who reaches Ray's ports can run code."""
    name, home = "token authentication", home or Path.home()
    mode = environ.get("RAY_AUTH_MODE", "").lower()
    if mode == "disabled":
        suggestion = "unset RAY_AUTH_MODE"
        return Finding(name, "warning", "disabled: anyone who reaches Ray's ports can run code as you", suggestion)
    if environ.get("RAY_AUTH_TOKEN"):
        return Finding(name, "ok", "token in RAY_AUTH_TOKEN")
    named = environ.get("RAY_AUTH_TOKEN_PATH")
    path = Path(named) if named else home / ".ray" / "auth_token"
    if path.exists() or named:
        return _token_file(name, path, address, mode)
    if address is not None:
        suggestion = "copy ~/.ray/auth_token from the cluster's head, or set RAY_AUTH_TOKEN_PATH"
        return Finding(name, "error", f"no token in {path}; every node needs the same token", suggestion)
    return Finding(name, "ok", "each run on this machine generates its own token")


def _token_file(name: str, path: Path, address: str | None, mode: str) -> Finding:
    try:
        empty = not path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        return Finding(name, "error", f"cannot read {path}: {reason}", "fix it, or set RAY_AUTH_TOKEN_PATH")
    if empty:
        return Finding(name, "error", f"{path} is empty", f"rm {path}; (umask 077; ray get-auth-token --generate)")
    if path.stat().st_mode & 0o077:
        return Finding(name, "warning", f"other users of this machine can read {path}", f"chmod 600 {path}")
    if address not in {None, "auto"} and mode != "token":
        suggestion = "export RAY_AUTH_MODE=token"
        return Finding(name, "warning", f"Ray does not send the token to {address} in the default mode", suggestion)
    return Finding(name, "ok", f"token in {path}")


def _machine(datasets: Datasets, resources: Resources) -> Iterator[Finding]:
    """The checks of one machine."""
    yield socket_path()
    yield shared_memory()
    yield threads(resources.cpu)
    yield gpus(resources.gpu or 0.0)
    yield disk("disk for temporary files", _existing(_temporary(os.environ)))
    for name, size in datasets:
        yield dataset(name, size)


def socket_path(environ: Mapping[str, str] = os.environ) -> Finding:
    """Ray creates sockets in its temporary folder; the system limits the length of their paths."""
    length = len(os.fsencode(_temporary(environ) / RAY_SOCKET))
    if length > SOCKET_BYTES:
        message = f"paths of Ray's sockets would have {length} bytes; the limit is {SOCKET_BYTES}"
        return Finding("socket path", "error", message, "export RAY_TMPDIR=/tmp, or another folder with a short path")
    return Finding("socket path", "ok", f"{length} of {SOCKET_BYTES} bytes")


def _temporary(environ: Mapping[str, str]) -> Path:
    """The folder in which Ray writes: RAY_TMPDIR, on Linux TMPDIR, else /tmp."""
    inherited = environ.get("TMPDIR") if sys.platform == "linux" else None
    return Path(environ.get("RAY_TMPDIR") or inherited or "/tmp")


def shared_memory(path: Path = Path("/dev/shm"), least: float = 1.0) -> Finding:
    """Ray keeps objects in shared memory; the default of Docker is 64 MiB. `least` is in GiB."""
    if not path.is_dir():
        return Finding("shared memory", "ok", f"no {path} on this system; Ray uses files")
    usage = shutil.disk_usage(path)
    message = f"{path} has {usage.total / GIB:.2g} GiB, {usage.free / GIB:.2g} free"
    if usage.free < least * GIB:
        suggestion = "Docker: --shm-size=4g; Kubernetes: an emptyDir with medium Memory on /dev/shm; else: clear it"
        return Finding("shared memory", "warning", f"{message}; Ray falls back to slower files", suggestion)
    return Finding("shared memory", "ok", message)


def fits(resources: Resources) -> list[Finding]:
    """Errors if a stage requests resources that this machine lacks; does not import PyTorch."""
    found = [threads(resources.cpu, {})]
    if resources.gpu and shutil.which("nvidia-smi") is None:
        found.append(gpus(resources.gpu))
    return [finding for finding in found if finding.status == "error"]


def threads(per_stage: float, environ: Mapping[str, str] = os.environ, usable: int | None = None) -> Finding:
    """More threads than CPUs slow each other down. `per_stage`: CPUs requested per stage."""
    usable = usable or usable_cpus()
    if per_stage > usable:
        requested = plural(per_stage, "CPU")
        message = f"a stage requests {requested}, but only {usable} can be used here: it would never start"
        return Finding("threads", "error", message, "lower resources.cpu in the grid, or use a larger machine")
    given = environ.get("OMP_NUM_THREADS", "")
    if given.isdigit() and int(given) > max(1, int(per_stage)):
        message = f"OMP_NUM_THREADS={given}, but a stage has {per_stage:g} of {plural(usable, 'CPU')}"
        return Finding("threads", "warning", message, "unset OMP_NUM_THREADS: each stage then uses its own CPUs")
    return Finding("threads", "ok", f"{plural(usable, 'CPU')}, {per_stage:g} per stage")


def gpus(requested: float, environ: Mapping[str, str] = os.environ) -> Finding:
    """Whether PyTorch can use the GPUs that NVIDIA's driver lists. `requested`: GPUs per stage."""
    listed = _driver_gpus()
    if isinstance(listed, str):
        return Finding("GPUs", "error", f"nvidia-smi fails: {listed}", "repair NVIDIA's driver, or restart the machine")
    if not listed:
        if requested:
            suggestion = "set resources.gpu to 0 or null in the grid, or run on a machine with GPUs"
            return Finding(
                "GPUs", "error", f"a stage requests {plural(requested, 'GPU')}, but this machine has none", suggestion
            )
        return Finding("GPUs", "ok", "none: stages run on CPUs")
    if importlib.util.find_spec("torch") is None:
        return Finding("GPUs", "error", f"{listed} found, but PyTorch is not installed", "install requirements.lock")
    import torch

    seen, hidden = torch.cuda.device_count(), environ.get("CUDA_VISIBLE_DEVICES")
    if torch.version.cuda is None:
        return Finding(
            "GPUs", "error", f"{listed} found, but this PyTorch is built without CUDA", "install torch from PyPI"
        )
    if seen < listed and hidden is not None:
        message = f"PyTorch sees {seen} of {listed}: CUDA_VISIBLE_DEVICES={hidden!r}"
        return Finding("GPUs", "warning", message, "unset CUDA_VISIBLE_DEVICES, unless intended")
    if seen < listed:
        suggestion = (
            f"update the driver to a version that supports CUDA {torch.version.cuda}, for which PyTorch is built"
        )
        return Finding("GPUs", "error", f"PyTorch sees {seen} of {listed}", suggestion)
    return Finding("GPUs", "ok", f"{seen}, all visible to PyTorch")


def _driver_gpus() -> int | str:
    """How many GPUs NVIDIA's driver lists, or its error message."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return 0
    try:
        done = subprocess.run([program, "--list-gpus"], capture_output=True, text=True, timeout=20, check=False)
    except subprocess.TimeoutExpired:
        return "no response within 20 seconds"
    if done.returncode:
        return (done.stdout + done.stderr).strip().splitlines()[-1]
    return sum(line.startswith("GPU ") for line in done.stdout.splitlines())


def disk(name: str, path: Path) -> Finding:
    """Free space on the disk of `path`. Ray stops writing objects to a disk that is 95% full."""
    usage = shutil.disk_usage(path)
    message = f"{path}: {usage.free / GIB:.1f} GiB free of {usage.total / GIB:.1f}"
    if usage.free < GIB:
        return Finding(name, "error", message, "free disk space, or use another disk")
    if usage.free < 5 * GIB or usage.used > 0.95 * usage.total:
        return Finding(name, "warning", message, "free disk space: stages and Ray write here")
    return Finding(name, "ok", message)


def dataset(name: str, size: int) -> Finding:
    """Whether a data set is available on this machine, and how it is read for images of `size` pixels."""
    try:
        subject.available(name)
        line = subject.how_read(name, size)
    except StudyError as error:
        return Finding(f"data set {name}", "error", str(error), "make it available on every node")
    return Finding(f"data set {name}", "ok", f"available: {line.removeprefix(f'{name}: ')}")


def store_place(store: Path | str) -> Finding:
    """Whether the store's address is valid and its package installed, or its folder writable."""
    folder = local_folder(store)
    if folder is None:
        try:
            addresses.check(str(store))
        except StudyError as error:
            return Finding("store", "error", str(error), "fix --store, or install the extra: pip install .[cluster]")
        return Finding("store", "ok", str(store))
    if not _writable(folder):
        return Finding("store", "error", f"cannot write to {folder}", "fix its permissions, or use --store")
    return Finding("store", "ok", f"{folder} on {filesystem(folder)}")


def sqlite(tracking_uri: str, invocation: Invocation = UNKNOWN, mounts: str | None = None) -> Finding:
    """Whether the database is damaged, locked or of another version, and whether its locks work: SQLite's do not on
    network file systems."""
    name = "MLflow database"
    path = path_of(tracking_uri)
    if path is None:
        return Finding(name, "ok", "not used: runs are sent to a tracking server")
    kind = filesystem(path, mounts)
    if kind in NETWORK or (kind.startswith("fuse.") and kind != "fuse.fuse-overlayfs"):
        suggestion = "use a tracking server: --tracking-uri http://HOST:5000 (`study launch` writes an example)"
        return Finding(name, "error", f"{path} is SQLite on {kind}, where its locks do not work", suggestion)
    try:
        inspect_file(path, tracking_uri)
    except StudyError as error:
        suggestion = error.advice.text(invocation) if error.advice else ""
        return Finding(name, "warning", error.message, suggestion)
    return Finding(name, "ok", f"SQLite on {kind}")


def filesystem(path: Path, mounts: str | None = None) -> str:
    """The type of the file system of a path, from /proc/mounts; `this disk` on systems without that file."""
    if mounts is None:
        table = Path("/proc/mounts")
        mounts = table.read_text(encoding="utf-8", errors="replace") if table.exists() else ""
    target, best, kind = _existing(path).resolve(), -1, "this disk"
    for line in mounts.splitlines():
        _, point, found, *_ = line.split()
        where = Path(point.replace("\\040", " "))
        if target.is_relative_to(where) and len(where.parts) >= best:  # later mounts hide earlier ones
            best, kind = len(where.parts), found
    return kind


def server(tracking_uri: str, invocation: Invocation = UNKNOWN, timeout: float = 5.0) -> list[Finding]:
    """One request to the tracking server: reachable, host name accepted, clock synchronised."""
    if not tracking_uri.startswith(("http://", "https://")):
        return []
    name, shown = "MLflow server", masked(tracking_uri)
    if shown != tracking_uri:
        suggestion = "store them in ~/.mlflow/credentials, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        return [
            Finding(name, "warning", f"{shown} contains a user name or password, which other users can see", suggestion)
        ]
    url = f"{tracking_uri.rstrip('/')}/api/2.0/mlflow/experiments/search?max_results=1"
    before = time.time()
    try:
        with urllib.request.urlopen(url, timeout=timeout) as answer:  # http or https, as checked above
            return [Finding(name, "ok", f"{shown} responds"), *_server_clock(answer.headers.get("Date"), before)]
    except urllib.error.HTTPError as error:
        with error:
            return [_refusal(name, shown, error, invocation)]
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        suggestion = f"start it, or fix --tracking-uri; training works without it. {_later(invocation)}"
        return [Finding(name, "warning", f"cannot reach {shown}: {reason}", suggestion)]


def _refusal(name: str, shown: str, error: urllib.error.HTTPError, invocation: Invocation) -> Finding:
    text = error.read(200).decode(errors="replace")
    if error.code == 403 and "host" in text.lower():
        suggestion = "restart it with this host name in --allowed-hosts or MLFLOW_SERVER_ALLOWED_HOSTS"
        return Finding(name, "error", f"{shown} does not accept this host name", suggestion)
    if error.code in {401, 403}:
        suggestion = "store user name and password in ~/.mlflow/credentials"
        return Finding(name, "error", f"{shown} requires authentication (HTTP {error.code})", suggestion)
    return Finding(name, "warning", f"{shown} responds with HTTP {error.code}", f"check its log. {_later(invocation)}")


def _later(invocation: Invocation) -> str:
    return f"To send the runs later: {invocation.command('sync')}"


def _server_clock(date: str | None, before: float) -> Iterator[Finding]:
    if date is not None:
        offset = parsedate_to_datetime(date).timestamp() - before
        yield _clock("clock of the MLflow server", offset)


def store_clock(store: Path | str) -> Finding:
    """A file server sets the times of files by its own clock."""
    name, folder = "clock of the store", local_folder(store)
    if folder is None or not folder.is_dir() or not os.access(folder, os.W_OK):
        return Finding(name, "ok", "not checked: the folder does not exist yet")
    before = time.time()
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".doctor-") as probe:
        return _clock(name, os.stat(probe.name).st_mtime - before)


def _clock(name: str, offset: float) -> Finding:
    if abs(offset) > CLOCK_SECONDS:
        message = f"{abs(offset):.0f} seconds {'ahead of' if offset > 0 else 'behind'} this machine"
        return Finding(name, "warning", message, "synchronise clocks (chrony or systemd-timesyncd) on all machines")
    return Finding(name, "ok", "synchronised")


def inspect_node(datasets: Datasets, resources: Resources, marker: str | None) -> Node:
    """Check the cluster node on which this runs. `marker`: a file that the driver has just written to the store."""
    requested = Resources(cpu=resources.cpu, gpu=0.0)  # a node without GPUs may be the head
    return Node(
        host=socket.gethostname(),
        clock=time.time(),
        versions=versions(),
        sees_store=marker is None or Path(marker).exists(),
        findings=tuple(_machine(datasets, requested)),
    )


def _nodes(each_node: EachNode, store: Path | str, datasets: Datasets, resources: Resources) -> Iterator[Finding]:
    folder = local_folder(store)
    if folder is None or not folder.is_dir():
        yield from _compared(each_node, functools.partial(inspect_node, datasets, resources, None))
        if folder is not None:
            suggestion = f"mkdir {folder}, then run doctor again"
            yield Finding(
                "store",
                "warning",
                "no folder yet: whether all nodes share it was not checked",
                suggestion,
            )
        return
    with tempfile.NamedTemporaryFile(dir=folder.resolve(), prefix=".doctor-") as marker:
        yield from _compared(each_node, functools.partial(inspect_node, datasets, resources, marker.name))
    yield disk("disk of the store", folder)


def _compared(each_node: EachNode, inspect: Callable[[], Node]) -> Iterator[Finding]:
    """The findings of every node, and its differences from this machine."""
    before = time.time()
    nodes = each_node(inspect)
    after = time.time()
    yield Finding("nodes", "ok", f"{len(nodes)} checked")
    for node in nodes.values():
        yield from (replace(finding, name=f"{finding.name} on {node.host}") for finding in node.findings)
        yield _clock(f"clock of {node.host}", max(node.clock - after, 0.0) + min(node.clock - before, 0.0))
        yield from _versions_apart(node)
    without = sorted(node.host for node in nodes.values() if not node.sees_store)
    if without:
        suggestion = "put the store on a file system that all nodes mount at the same path, or use s3:// or gs://"
        yield Finding("store", "error", f"not the same folder on {', '.join(without)}", suggestion)


def _versions_apart(node: Node) -> Iterator[Finding]:
    here = versions()
    other = [name for name in here if node.versions.get(name) != here[name]]
    if other:
        pairs = ", ".join(f"{name} {node.versions.get(name, 'missing')} (here {here[name]})" for name in other)
        suggestion = "install requirements.lock on every node: versions affect results"
        yield Finding(f"versions on {node.host}", "warning", pairs, suggestion)


def _existing(path: Path) -> Path:
    """The path, or its nearest parent that exists."""
    path = path.absolute()
    return next(place for place in (path, *path.parents) if place.exists())


def _writable(path: Path) -> bool:
    return os.access(_existing(path), os.W_OK)


def show(findings: list[Finding], console: Console) -> None:
    """Print a table of all findings, and how many there are of each status."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    colours = {"error": "red", "warning": "yellow", "ok": "green"}
    for finding in findings:
        suggestion = f"\n[bold]{escape(finding.suggestion)}[/]" if finding.status != "ok" and finding.suggestion else ""
        mark = f"[{colours[finding.status]}]{finding.status}[/]"
        if console.width < MIN_WIDTH:
            console.print(f"{mark}  {escape(finding.name)}: {escape(finding.message)}{suggestion}", highlight=False)
        table.add_row(mark, escape(finding.name), f"{escape(finding.message)}{suggestion}")
    if console.width >= MIN_WIDTH:
        console.print(table)
    counted = {status: sum(finding.status == status for finding in findings) for status in colours}
    errors, warnings = plural(counted["error"], "error"), plural(counted["warning"], "warning")
    console.print(f"{platform.node()}: {errors}, {warnings}, {counted['ok']} ok")


def exit_code(findings: list[Finding]) -> int:
    """1 if there are errors, else 0."""
    return int(any(finding.status == "error" for finding in findings))
