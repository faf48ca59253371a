"""Only folders whose owner has ended are removed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from study.utils.stale_dirs import MARK, MAX_CREATION, PENDING, claim, pending, remove_stale


def claim_and_die(folder: Path) -> None:
    script = f"""
import os, signal
from pathlib import Path
from study.utils.stale_dirs import claim
claim(Path({str(folder)!r}))
os.kill(os.getpid(), signal.SIGKILL)
"""
    folder.mkdir()
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -signal.SIGKILL


def test_only_folders_of_ended_processes_are_removed(tmp_path: Path) -> None:
    mine, unowned, dead, elsewhere = (tmp_path / name for name in ("mine", "unowned", "dead", "elsewhere"))
    for folder in (mine, unowned, elsewhere):
        folder.mkdir()
    claim(mine)
    (elsewhere / MARK).write_text("another-machine:1:1")
    claim_and_die(dead)
    (dead / "log").write_text("lines")
    (tmp_path / "latest").symlink_to(dead)
    assert remove_stale(tmp_path) == [dead]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere", "latest", "mine", "unowned"]
    assert remove_stale(tmp_path / "nowhere") == []


def test_the_folder_of_a_process_killed_before_claiming_it_is_removed(tmp_path: Path) -> None:
    parent = tmp_path / "ray"
    parent.mkdir()
    script = f"""
import os, signal
from pathlib import Path
from study.utils.stale_dirs import pending
with pending(Path({str(parent)!r})):
    Path({str(parent)!r}, f"session_1_{{os.getpid()}}").mkdir()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    with subprocess.Popen([sys.executable, "-c", script]) as child:
        assert child.wait() == -signal.SIGKILL
    dead, later, claimed = (parent / f"session_{number}_{child.pid}" for number in (1, 2, 3))
    for folder in (later, claimed, parent / "session_4_1"):
        folder.mkdir()
    claim(claimed)
    os.utime(later, (0, time.time() + 2 * MAX_CREATION))
    with pending(parent):
        assert remove_stale(parent) == [dead]
        assert len(list(tmp_path.glob(f"{PENDING}*"))) == 1
    assert not list(tmp_path.glob(f"{PENDING}*"))
    assert sorted(path.name for path in parent.iterdir()) == sorted([later.name, claimed.name, "session_4_1"])
