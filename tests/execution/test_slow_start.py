"""Ray may fail to start on a busy machine: it is started a second time, and no process of the first start is left."""

import subprocess
import sys

import pytest

SCRIPT = """
import os, signal, threading, time

import psutil

from study.utils.process import children


def name(process):
    try:
        return psutil.Process(process).name()
    except psutil.NoSuchProcess:
        return ""  # it has ended


def raylets():
    return [process for process in children() if name(process) == "raylet"]


def suspend_first_raylet():
    while not (found := raylets()):
        time.sleep(0.01)
    os.kill(found[0], signal.SIGSTOP)
    suspended.append(found[0])


suspended = []
threading.Thread(target=suspend_first_raylet, daemon=True).start()

import ray
from study import execution

execution.connect(None)
print(len(suspended), suspended[0] in children(), len(raylets()), ray.get(ray.remote(lambda: 7).remote()))
execution.disconnect()
"""


@pytest.mark.system
def test_a_failed_start_of_ray_is_retried_once() -> None:
    """The first raylet is suspended, so Ray gives up after half a minute."""
    ended = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=240)
    assert ended.stdout == "1 False 1 7\n", ended.stdout + ended.stderr
