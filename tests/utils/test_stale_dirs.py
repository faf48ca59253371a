"""What a killed process leaves is told from what is in use, and only the former is removed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from study.utils.process import gone, me
from study.utils.stale_dirs import COMING, LONGEST, MARK, claim, coming, sweep_up


def claim_and_die(folder: Path) -> None:
    script = f"""
import os, signal
from pathlib import Path
from study.leftovers import claim
claim(Path({str(folder)!r}))
os.kill(os.getpid(), signal.SIGKILL)
"""
    folder.mkdir()
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -signal.SIGKILL


def test_only_what_the_dead_have_left_is_removed(tmp_path: Path) -> None:
    mine, nobodys, dead, elsewhere = (tmp_path / name for name in ("mine", "nobodys", "dead", "elsewhere"))
    for folder in (mine, nobodys, elsewhere):
        folder.mkdir()
    claim(mine)
    (elsewhere / MARK).write_text("another-machine:1:1")
    claim_and_die(dead)
    (dead / "log").write_text("lines")
    (tmp_path / "latest").symlink_to(dead)
    assert sweep_up(tmp_path) == [dead]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere", "latest", "mine", "nobodys"]
    assert sweep_up(tmp_path / "nowhere") == []


def test_a_folder_made_for_a_process_that_was_killed_before_it_could_claim_it(tmp_path: Path) -> None:
    parent = tmp_path / "ray"
    parent.mkdir()
    script = f"""
import os, signal
from pathlib import Path
from study.leftovers import coming
with coming(Path({str(parent)!r})):
    Path({str(parent)!r}, f"session_1_{{os.getpid()}}").mkdir()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    with subprocess.Popen([sys.executable, "-c", script]) as child:
        assert child.wait() == -signal.SIGKILL
    dead, later, claimed = (parent / f"session_{number}_{child.pid}" for number in (1, 2, 3))
    for folder in (later, claimed, parent / "session_4_1"):
        folder.mkdir()
    claim(claimed)
    os.utime(later, (0, time.time() + 2 * LONGEST))
    with coming(parent):
        assert sweep_up(parent) == [dead]
        assert len(list(tmp_path.glob(f"{COMING}*"))) == 1
    assert not list(tmp_path.glob(f"{COMING}*"))
    assert sorted(path.name for path in parent.iterdir()) == sorted([later.name, claimed.name, "session_4_1"])


def test_a_number_given_to_a_later_process_is_not_taken_for_the_owner() -> None:
    host, number, birth = me().split(":")
    assert int(number) == os.getpid()
    assert not gone(me())
    if birth:
        assert gone(f"{host}:{number}:{int(birth) - 1}")
    assert not gone(f"{host}:{number}")  # as earlier versions wrote it
    assert not gone(f"another-{host}:{number}:{birth}")


def test_a_process_that_has_ended_but_was_not_waited_for_is_gone() -> None:
    host = me().split(":")[0]
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        if Path("/proc").is_dir():
            assert gone(f"{host}:{child.pid}:")
    assert gone(f"{host}:{child.pid}:")
