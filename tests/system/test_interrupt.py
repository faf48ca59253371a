"""Signals in a real sweep, on its own terminal."""

import contextlib
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from study.execution.ray_cluster import MARK

ENDLESS = {"epochs: 1\n": "epochs: 1000000\n", "epochs: 2,": "epochs: 1000000,"}


class Terminal:
    """A sweep on a terminal: signals as from the keyboard, output read as it is shown."""

    def __init__(self, grid: Path, folder: Path) -> None:
        self.shown, (self._near, far) = "", pty.openpty()
        command = [sys.executable, "-m", "study", "run", grid.name]
        self.process = subprocess.Popen(
            command, cwd=folder, stdin=far, stdout=far, stderr=far, start_new_session=True,
            env=os.environ | {"COLUMNS": "300", "TERM": "xterm"},
        )  # fmt: skip
        os.close(far)
        os.set_blocking(self._near, False)

    def close(self) -> None:
        os.close(self._near)

    def read(self) -> str:
        try:
            while data := os.read(self._near, 65536):
                self.shown += data.decode(errors="replace")
        except OSError:
            pass  # no output yet, or the process has ended
        return self.shown

    def wait_for(self, pattern: str, seconds: float = 200.0) -> None:
        deadline = time.monotonic() + seconds
        while not re.search(pattern, self.read()):
            assert time.monotonic() < deadline, self.shown[-3000:]
            assert self.process.poll() is None, self.shown[-3000:]
            time.sleep(0.1)

    def end(self, seconds: float = 120.0) -> int:
        deadline = time.monotonic() + seconds
        while self.process.poll() is None:
            self.read()
            assert time.monotonic() < deadline, self.shown[-3000:]
            time.sleep(0.1)
        self.read()
        return int(self.process.returncode)


def wait_for_end_of_ray(driver: int) -> None:
    """Its processes end one after the other."""
    deadline = time.monotonic() + 60.0
    while found := ray_processes(driver):
        assert time.monotonic() < deadline, found
        time.sleep(0.2)


def ray_processes(driver: int) -> list[str]:
    """The processes of the Ray that a driver started."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(MARK, "").split(":")[1:2] == [str(driver)]:
                found.append(process.name())
    return found


@pytest.fixture
def endless(tiny: Path) -> Path:
    """No stage ends before the signal, on any machine."""
    text = tiny.read_text() + "resources: {cpu: 1, checkpoint_seconds: 0}\n"
    for old, new in ENDLESS.items():
        assert old in text
        text = text.replace(old, new)
    tiny.write_text(text)
    return tiny


@pytest.mark.system
@pytest.mark.parametrize("number", [pytest.param(signal.SIGINT, marks=pytest.mark.nightly), signal.SIGTERM])
def test_one_signal_ends_the_sweep_cleanly(endless: Path, place: Path, number: int) -> None:
    terminal = Terminal(endless, place)
    terminal.wait_for(r"loss \d")  # an epoch has been reported
    terminal.process.send_signal(number)
    assert terminal.end() == 130
    assert "press Ctrl-C again to stop now" in terminal.shown
    assert "run the same command again to " in terminal.shown
    assert "Traceback" not in terminal.shown
    assert list((place / ".study" / "unfinished").iterdir())


@pytest.mark.system
def test_a_signal_while_ray_starts_ends_the_sweep_cleanly(endless: Path, place: Path) -> None:
    """Ray has its own handler of SIGTERM by then, which ends the process."""
    terminal = Terminal(endless, place)
    while "raylet" not in ray_processes(terminal.process.pid):
        assert terminal.process.poll() is None, terminal.read()
    terminal.process.send_signal(signal.SIGTERM)
    assert terminal.end() == 130
    assert "run the same command again to " in terminal.shown
    assert "Traceback" not in terminal.shown
    wait_for_end_of_ray(terminal.process.pid)
    assert not (place / ".study").exists()


@pytest.mark.system
def test_a_closed_terminal_ends_the_sweep_and_all_its_processes(endless: Path, place: Path) -> None:
    """A terminal that is closed sends SIGHUP, as does the shell, and every write to it fails."""
    terminal = Terminal(endless, place)
    terminal.wait_for(r"loss \d")
    assert ray_processes(terminal.process.pid)
    terminal.close()
    for _ in range(2):
        terminal.process.send_signal(signal.SIGHUP)
        time.sleep(1.0)
    assert terminal.process.wait(120) == 130
    wait_for_end_of_ray(terminal.process.pid)
    assert list((place / ".study" / "unfinished").iterdir())


@pytest.mark.system
def test_no_process_survives_a_killed_driver(endless: Path, place: Path) -> None:
    terminal = Terminal(endless, place)
    terminal.wait_for(r"loss \d")
    terminal.process.kill()
    terminal.process.wait()
    terminal.close()
    wait_for_end_of_ray(terminal.process.pid)


@pytest.mark.system
def test_a_second_signal_stops_at_once(endless: Path, place: Path) -> None:
    terminal = Terminal(endless, place)
    terminal.wait_for(r"loss \d")
    terminal.process.send_signal(signal.SIGINT)
    terminal.wait_for("press Ctrl-C again")
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.end(60.0) == 130
    assert "Traceback" not in terminal.shown
    assert list((place / ".study" / "unfinished").iterdir())
