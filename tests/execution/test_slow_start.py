"""A machine so busy that Ray gives up its own start: it is started once more, and nothing of the first is left."""

import subprocess
import sys

import pytest

SCRIPT = """
import os, signal, threading, time
from pathlib import Path

from study.owner import children


def name(process):
    try:
        return Path(f"/proc/{process}/comm").read_text().strip()
    except OSError:
        return ""  # it has ended


def raylets():
    return [process for process in children() if name(process) == "raylet"]


def hold():
    while not (found := raylets()):
        time.sleep(0.01)
    os.kill(found[0], signal.SIGSTOP)
    held.append(found[0])


held = []
threading.Thread(target=hold, daemon=True).start()

import ray
from study import fanout

fanout.connect(None)
print(len(held), held[0] in children(), len(raylets()), ray.get(ray.remote(lambda: 7).remote()))
fanout.disconnect()
"""


@pytest.mark.system
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks /proc who has started whom")
def test_a_start_that_ray_gives_up_is_tried_once_more() -> None:
    """The first raylet gets no processor at all, so Ray waits for it in vain, which takes half a minute."""
    ended = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=240)
    assert ended.stdout == "1 False 1 7\n", ended.stdout + ended.stderr
