"""Each problem is created for real where the machine allows it; the check finds it and suggests a fix."""

import http.server
import io
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import fsspec
import pytest
from rich.console import Console

from study.design.resources import Resources
from study.launch import preflight
from study.launch.preflight import Finding
from study.store.backends import Folder, open_storage
from study.store.backends import address as addresses
from study.utils.errors import StudyError
from study.utils.provenance import versions

TOKEN = "0123456789abcdef" * 4


@pytest.fixture
def home(tmp_path):
    """A home folder with a token of Ray."""
    path = tmp_path / "home" / ".ray" / "auth_token"
    path.parent.mkdir(parents=True)
    path.write_text(TOKEN)
    path.chmod(0o600)
    return tmp_path / "home"


def test_a_private_token_is_ok(home):
    assert preflight.token("auto", {}, home).status == "ok"


def test_a_token_that_other_users_can_read(home):
    (home / ".ray" / "auth_token").chmod(0o644)
    found = preflight.token(None, {}, home)
    assert (found.status, found.suggestion) == ("warning", f"chmod 600 {home}/.ray/auth_token")


def test_a_missing_token_is_an_error_only_for_a_cluster(tmp_path):
    assert preflight.token(None, {}, tmp_path).status == "ok"  # the driver generates one
    found = preflight.token("auto", {}, tmp_path)
    assert found.status == "error"
    assert "every node needs the same token" in found.message


def test_an_explicit_token_file_must_contain_a_token(home, tmp_path):
    found = preflight.token(None, {"RAY_AUTH_TOKEN_PATH": str(tmp_path / "none")}, home)
    assert (found.status, "No such file" in found.message) == ("error", True)
    (tmp_path / "empty").write_text("\n")
    found = preflight.token(None, {"RAY_AUTH_TOKEN_PATH": str(tmp_path / "empty")}, home)
    assert (found.status, "is empty" in found.message) == ("error", True)


def test_disabled_authentication(home):
    found = preflight.token(None, {"RAY_AUTH_MODE": "disabled"}, home)
    assert (found.status, found.suggestion) == ("warning", "unset RAY_AUTH_MODE")


def test_an_explicit_address_needs_the_token_mode(home):
    assert preflight.token("10.0.0.1:6379", {}, home).suggestion == "export RAY_AUTH_MODE=token"
    assert preflight.token("10.0.0.1:6379", {"RAY_AUTH_MODE": "token"}, home).status == "ok"


def test_the_token_itself_is_never_shown(home):
    for address in (None, "auto", "ray://x"):
        for environ in ({}, {"RAY_AUTH_TOKEN": TOKEN}):
            assert TOKEN not in str(preflight.token(address, environ, home))


@pytest.fixture
def read_only(monkeypatch):
    """Nothing is writable according to `os.access`: root, who may run these tests, can write everywhere."""
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)


@pytest.mark.skipif(sys.platform != "linux", reason="the limit differs on other systems")
def test_socket_paths_up_to_the_systems_limit(tmp_path):
    """107 bytes: a socket can be bound to the longest accepted path, and not to one that is a byte longer."""
    longest = 107 - len("/" + preflight.RAY_SOCKET)
    ok, long = ({"RAY_TMPDIR": "/" + "t" * (length - 1)} for length in (longest, longest + 1))
    assert preflight.socket_path(ok) == Finding("socket path", "ok", "107 of 107 bytes")
    assert preflight.socket_path(long).status == "error"
    assert preflight.socket_path({"TMPDIR": "/" + "t" * 60}).status == "error"
    folder = tmp_path
    for length, works in ((107, True), (108, False)):
        path = str(folder / ("s" * (length - len(str(folder)) - 1)))
        with socket.socket(socket.AF_UNIX) as probe:
            if works:
                probe.bind(path)
            else:
                with pytest.raises(OSError, match="too long"):
                    probe.bind(path)


def test_little_shared_memory(tmp_path):
    assert preflight.shared_memory(tmp_path, least=0.0).status == "ok"
    found = preflight.shared_memory(tmp_path, least=1e9)
    assert (found.status, "--shm-size" in found.suggestion) == ("warning", True)
    assert preflight.shared_memory(tmp_path / "none").status == "ok"


@pytest.mark.parametrize(
    ("per_stage", "given", "status"),
    [
        (1.0, None, "ok"),
        (1.0, "1", "ok"),
        (1.0, "4", "warning"),
        (4.0, "4", "ok"),
        (0.5, "1", "ok"),
        (5.0, None, "error"),
    ],
)
def test_threads_of_a_stage_and_cpus(per_stage, given, status):
    environ = {} if given is None else {"OMP_NUM_THREADS": given}
    assert preflight.threads(per_stage, environ, usable=4).status == status


MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
server:/home /home nfs4 rw 0 0
/dev/sdb1 /home/local\\040disk xfs rw 0 0
bucket /mnt/bucket fuse.gcsfuse rw 0 0
overlay /mnt/layers fuse.fuse-overlayfs rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "kind", "status"),
    [
        ("/var/mlflow.db", "ext4", "ok"),
        ("/home/me/.study/mlflow.db", "nfs4", "error"),
        ("/homestead/mlflow.db", "ext4", "ok"),
        ("/mnt/bucket/mlflow.db", "fuse.gcsfuse", "error"),
        ("/mnt/layers/mlflow.db", "fuse.fuse-overlayfs", "ok"),
    ],
)
def test_sqlite_on_network_file_systems(path, kind, status, monkeypatch):
    monkeypatch.setattr(preflight, "_existing", lambda path: path)  # not the mounts of this machine
    assert preflight.filesystem(Path(path), MOUNTS) == kind
    found = preflight.sqlite(f"sqlite:///{path}", mounts=MOUNTS)
    assert found.status == status
    if status == "error":
        assert "--tracking-uri" in found.suggestion


def test_the_mounts_of_this_machine_are_read(tmp_path):
    found = preflight.filesystem(tmp_path / "not" / "there" / "yet")
    if shutil.which("findmnt"):
        command = ["findmnt", "--noheadings", "--output", "FSTYPE", "--target", str(tmp_path)]
        assert found == subprocess.run(command, capture_output=True, text=True).stdout.strip()


def test_a_tracking_server_needs_no_sqlite_file():
    assert preflight.sqlite("http://mlflow:5000").status == "ok"


@pytest.fixture
def answer():
    """Starts a server that sends the same response to all requests; returns its address."""
    servers = []

    def answer(code=200, body=b"{}", date=None):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response_only(code)
                self.send_header("Date", self.date_time_string(date))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                """Log nothing."""

        found = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=found.serve_forever, daemon=True).start()
        servers.append(found)
        return f"http://127.0.0.1:{found.server_port}"

    yield answer
    for found in servers:
        found.shutdown()
        found.server_close()


def test_a_server_that_responds(answer):
    assert [finding.status for finding in preflight.server(answer())] == ["ok", "ok"]


def test_a_server_whose_clock_is_wrong(answer):
    found = preflight.server(answer(date=time.time() + 600))[1]
    assert (found.name, found.status) == ("clock of the MLflow server", "warning")
    assert re.search(r"(59\d|600) seconds ahead", found.message)


@pytest.mark.parametrize(("code", "status"), [(401, "error"), (500, "warning"), (404, "warning")])
def test_a_server_that_refuses(answer, code, status):
    assert preflight.server(answer(code))[0].status == status


def test_an_unreachable_server_is_a_warning():
    found = preflight.server("http://127.0.0.1:9", timeout=1)
    assert [finding.status for finding in found] == ["warning"]
    assert "study sync" in found[0].suggestion


def test_a_password_in_the_address_is_not_repeated():
    found = preflight.server("http://me:hunter2@127.0.0.1:9")
    assert found[0].status == "warning"
    assert "hunter2" not in str(found)


def test_mlflow_refuses_unknown_host_names(tmp_path):
    """The real server, which allows another host name only."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{tmp_path}/mlflow.db", "--allowed-hosts", "mlflow.example.org"]
    environ = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (tmp_path / "log").open("w") as log:
        running = subprocess.Popen(command, env=environ, cwd=tmp_path, stdout=log, stderr=log, start_new_session=True)
    try:
        end = time.monotonic() + 90
        found = preflight.server(f"http://127.0.0.1:{port}")
        while found[0].status == "warning" and time.monotonic() < end:
            time.sleep(0.2)
            found = preflight.server(f"http://127.0.0.1:{port}")
    finally:
        os.killpg(running.pid, 15)
        running.wait()
    assert found[0].status == "error", (tmp_path / "log").read_text()
    assert "does not accept this host name" in found[0].message
    assert "MLFLOW_SERVER_ALLOWED_HOSTS" in found[0].suggestion


def test_the_clock_of_the_store_is_that_of_its_files(tmp_path, monkeypatch):
    assert preflight.store_clock(tmp_path).status == "ok"
    slow = time.time() - 60
    monkeypatch.setattr(time, "time", lambda: slow)
    assert preflight.store_clock(tmp_path).status == "warning"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("scheme", "package"), addresses.PACKAGES.items())
def test_a_store_at_an_address_needs_its_package(scheme, package, monkeypatch):
    def not_installed(scheme):
        raise ImportError

    monkeypatch.setattr(fsspec, "get_filesystem_class", not_installed)
    found = preflight.store_place(f"{scheme}://bucket/study")
    assert (found.status, f"requires the package {package}" in found.message) == ("error", True)


@pytest.mark.parametrize("store", ["file:///tmp/store", "/tmp/store", "s3:folder", "folder", Path("folder")])
def test_doctor_and_run_accept_the_same_folders(store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    storage, folder = open_storage(store), addresses.local_folder(store)
    assert isinstance(storage, Folder)
    assert storage.local == folder
    found = preflight.store_place(store)
    assert (found.status, found.message) == ("ok", f"{folder} on {preflight.filesystem(folder)}")


@pytest.mark.parametrize("scheme", addresses.PACKAGES)
def test_doctor_and_run_accept_the_same_addresses(scheme, monkeypatch):
    monkeypatch.setattr(fsspec, "get_filesystem_class", lambda scheme: None)  # as if all packages were installed
    store = f"{scheme}://bucket/study"
    assert preflight.store_place(store) == Finding("store", "ok", store)
    assert addresses.is_address(store)


@pytest.mark.parametrize(
    "store", ["nowhere://bucket/study", "abfs://bucket/study", "s3://", "s3://a@b/c", Path("gs://bucket/study")]
)
def test_doctor_and_run_refuse_the_same_addresses(store):
    with pytest.raises(StudyError) as refused:
        open_storage(store)
    found = preflight.store_place(store)
    assert (found.status, found.message) == ("error", str(refused.value))


def test_a_store_that_is_not_writable(tmp_path, read_only):
    assert preflight.store_place(tmp_path / "store").status == "error"


Usage = namedtuple("Usage", "total used free")


@pytest.mark.parametrize(("free", "status"), [(100.0, "ok"), (3.0, "warning"), (0.5, "error")])
def test_a_disk_that_is_nearly_full(tmp_path, monkeypatch, free, status):
    usage = Usage(100 * preflight.GIB, int((100 - free) * preflight.GIB), int(free * preflight.GIB))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    assert preflight.disk("disk", tmp_path).status == status


def nvidia_smi(folder, text, monkeypatch):
    """A fake nvidia-smi."""
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)


def test_no_gpu_is_ok_unless_stages_request_one(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert preflight.gpus(0).status == "ok"
    assert preflight.gpus(0.5).status == "error"


def test_a_driver_that_fails(monkeypatch, tmp_path):
    nvidia_smi(tmp_path, "echo 'Failed to initialize NVML: Driver/library version mismatch'; exit 18", monkeypatch)
    found = preflight.gpus(0)
    assert (found.status, "version mismatch" in found.message) == ("error", True)


@pytest.mark.parametrize(
    ("built", "seen", "environ", "status", "message"),
    [
        ("13.0", 2, {}, "ok", "all visible to PyTorch"),
        ("13.0", 1, {"CUDA_VISIBLE_DEVICES": "0"}, "warning", "CUDA_VISIBLE_DEVICES='0'"),
        ("13.0", 0, {}, "error", "PyTorch sees 0 of 2"),
        (None, 0, {}, "error", "built without CUDA"),
    ],
)
def test_gpus_that_pytorch_sees(built, seen, environ, status, message, monkeypatch, tmp_path):
    import torch

    nvidia_smi(tmp_path, "echo 'GPU 0: X (UUID: a)'; echo 'GPU 1: X (UUID: b)'", monkeypatch)
    monkeypatch.setattr(torch.version, "cuda", built)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: seen)
    found = preflight.gpus(1, environ)
    assert found.status == status
    assert message in found.message


def test_all_checks_of_this_machine(tiny, tmp_path):
    found = preflight.examine(tmp_path, f"sqlite:///{tmp_path}/mlflow.db", None, tiny)
    names = [finding.name for finding in found]
    assert names == [
        "commit",
        "token authentication",
        "store",
        "MLflow database",
        "clock of the store",
        "socket path",
        "shared memory",
        "threads",
        "GPUs",
        "disk for temporary files",
        "data set digits",
        "disk of the store",
    ]
    assert all(finding.suggestion for finding in found if finding.status != "ok")
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.yaml"]  # it leaves nothing behind


def test_an_invalid_grid_is_an_error(tiny, tmp_path):
    tiny.write_text("study: x")
    with pytest.raises(StudyError, match="tiny"):
        preflight.examine(tmp_path, "http://127.0.0.1:9", None, tiny)


def test_data_that_is_missing(tmp_path):
    found = preflight.dataset(f"imagefolder:{tmp_path}/none", 8)
    assert found.status == "error"


def test_every_node_is_checked(tiny, tmp_path):
    """Both nodes are this machine, one of them with changed answers; on a cluster Ray runs the same function."""

    def each_node(inspect):
        node = inspect()
        other = replace(
            node, host="far", clock=node.clock - 100, versions=versions() | {"torch": "1.0"}, sees_store=False
        )
        return {"a": replace(node, host="near"), "b": other}

    found = preflight.examine(tmp_path, "http://127.0.0.1:9", "auto", tiny, each_node)
    by_name = {finding.name: finding for finding in found}
    assert by_name["data set digits on near"].status == by_name["data set digits on far"].status == "ok"
    assert by_name["clock of near"].status == "ok"
    assert (by_name["clock of far"].status, by_name["clock of far"].message[:3]) == ("warning", "100")
    assert "torch 1.0 (here" in by_name["versions on far"].message
    assert "versions on near" not in by_name
    assert "not the same folder on far" in next(f.message for f in found if f.name == "store" and f.status == "error")


def test_a_node_that_shares_the_store_finds_the_marker(tmp_path):
    marker = tmp_path / "marker"
    assert not preflight.inspect_node((), Resources(), str(marker)).sees_store
    marker.touch()
    assert preflight.inspect_node((), Resources(), str(marker)).sees_store


def test_the_table_shows_suggestions_and_errors_set_the_exit_code():
    found = [Finding("a", "ok", "good [x]"), Finding("b", "warning", "slow", "fix [it]")]
    console = Console(width=80, record=True, file=io.StringIO())
    preflight.show(found, console)
    text = console.export_text()
    assert "good [x]" in text
    assert "fix [it]" in text
    assert "0 errors, 1 warning, 1 ok" in text
    assert preflight.exit_code(found) == 0
    assert preflight.exit_code([*found, Finding("c", "error", "broken", "fix")]) == 1


def test_neither_ray_nor_mlflow_is_imported():
    code = "import sys, study.launch.preflight; print(sorted({'ray', 'mlflow', 'torch'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_missing_resources_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert preflight.fits(Resources(cpu=1)) == []
    many, gpu = preflight.fits(Resources(cpu=4096, gpu=1))
    assert "would never start" in many.message
    assert "a stage requests 1 GPU, but this machine has none" in gpu.message
