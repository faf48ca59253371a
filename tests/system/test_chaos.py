"""The short version of `nox -s chaos`, and its means: processes, hosts, network, disk, database and table."""

import os
import random
import socket
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import torch
from helpers import driver_on_host, measured
from helpers.disturbances import (
    DAMAGES,
    KINDS,
    WORKER,
    damage,
    draw,
    kill_driver,
    kill_server,
    killing,
    move_store,
    partition,
)
from helpers.havoc import Place
from helpers.havoc_checks import check_whole, outputs_of
from helpers.network_line import Line
from helpers.small_disk import SmallDisk
from system.chaos_sweep import Chaos, table

from study.execution.run_stage import run_stage
from study.store.results import Store


@pytest.fixture
def one_thread() -> Iterator[None]:
    """One thread, like the workers of the sweep."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.system
@pytest.mark.usefixtures("one_thread")
def test_results_equal_those_of_an_undisturbed_sweep(tmp_path: Path) -> None:
    """Killed are a worker, the MLflow server and the driver, which comes back on another host and path."""
    calm = Store(tmp_path / "calm")
    with Place(tmp_path / "wild", 20, 1, random.Random(1)) as wild:
        for act in (killing(WORKER), partition("refuse", (1.0, 2.0)), kill_server, kill_driver, move_store):
            wild.wait_for_epochs()
            act(wild)
        wild.finish()
        check_whole(wild)
        assert wild.resumed()
        for stage in wild.stages:
            run_stage(stage, calm, "cpu", lambda row: None)
            assert outputs_of(stage, wild.store) == outputs_of(stage, calm)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Not started."""
    return Place(tmp_path / "place", 1, 1)


def test_each_disturbance_is_drawn_as_often_as_it_should(place: Place) -> None:
    for place.with_server in (True, False):
        drawn = Counter(kind.name for kind in draw(place))
        assert drawn == {kind.name: kind.times for kind in KINDS if kind.needs(place)}
    assert not any("disk" in name for name in drawn), "no disk is mounted that could be filled"


def test_a_driver_believes_to_be_on_another_host() -> None:
    script = (
        "import runpy, socket, sys; from study.cli import app; from study.store import heartbeats; "
        "app.main = lambda: print(socket.gethostname(), heartbeats.machine(), heartbeats.EXPIRY); "
        f"sys.argv = ['', 'beta', 'run']; runpy.run_path({driver_on_host.__file__!r}, run_name='__main__')"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert shown[0] == "beta"
    assert shown[1].startswith("beta:")
    assert float(shown[2]) == driver_on_host.EXPIRY


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that returns what it gets."""
    script = (
        "import socketserver as s\n"
        "class Echo(s.BaseRequestHandler):\n"
        "    def handle(self):\n"
        "        while data := self.request.recv(100): self.request.sendall(data)\n"
        "server = s.ThreadingTCPServer(('127.0.0.1', 0), Echo)\n"
        "print(server.server_address[1], flush=True)\n"
        "server.serve_forever()"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        yield int(server.stdout.readline())
        server.kill()


def answer(client: socket.socket, text: bytes, seconds: float = 30.0) -> bytes | None:
    """None if there is none in time."""
    client.settimeout(seconds)
    client.sendall(text)
    try:
        return client.recv(100)
    except TimeoutError:
        return None


def test_a_line_refuses_drops_or_stalls_and_resumes(echo: int) -> None:
    with Line(echo) as line:
        address = ("127.0.0.1", line.port)
        with socket.create_connection(address) as client:
            assert answer(client, b"a") == b"a"
            line.set("stall")
            assert answer(client, b"b", 1.0) is None
            line.set("pass")
            assert answer(client, b"") == b"b"  # late
            line.set("drop")
            assert answer(client, b"c", 1.0) is None
            line.set("pass")
            assert answer(client, b"d", 0.2) is None  # this connection stays dead
        with socket.create_connection(address) as client:
            assert answer(client, b"e") == b"e"
            line.set("refuse")
            assert client.recv(1) == b""
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)
        line.set("pass")
        with socket.create_connection(address) as client:
            assert answer(client, b"f") == b"f"


@pytest.mark.skipif(os.getuid() != 0, reason="only root may mount")
def test_a_small_disk_is_filled_and_freed(tmp_path: Path) -> None:
    disk = SmallDisk(tmp_path / "disk", megabytes=1)
    disk.mount()
    if not disk.mounted:
        pytest.skip("this container may not mount")
    try:
        disk.fill()
        with pytest.raises(OSError, match="No space left"):
            (disk.folder / "file").write_bytes(b"\0" * 5000)
        disk.free()
        (disk.folder / "file").write_bytes(b"\0" * 5000)
    finally:
        disk.unmount()
    assert list(disk.folder.iterdir()) == []


@pytest.mark.parametrize("how", DAMAGES)
def test_each_damage_makes_a_database_unreadable(how: str, tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE runs (name TEXT)")
        database.executemany("INSERT INTO runs VALUES (?)", [("run" * 100,)] * 100)
    damage(path, how, random.Random(1))
    with closing(sqlite3.connect(path)) as database, pytest.raises(sqlite3.DatabaseError):
        database.execute("SELECT count(DISTINCT name) FROM runs").fetchall()


def test_the_table_has_a_row_for_each_kind_and_the_sum_of_all_kills(tmp_path: Path) -> None:
    chaos = Chaos(tmp_path, rounds=1, seed=7, seconds=1.0)
    chaos.counts.update({kind.name: 2 for kind in KINDS})
    chaos.ends.update({0: 3, -9: 4})
    rows = measured.rows(table(chaos))
    assert len(rows) == len(KINDS) + 1
    kills = [int(times) for name, times in rows.items() if name.startswith("killed: ")]
    assert int(rows["**killed in total**"]) == sum(kills) == chaos.kills
    assert "Seed 7" in table(chaos)
    assert "killed 4, finished 3" in table(chaos)
