"""Two drivers on one store at the same time: each stage is computed once."""

import csv
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from helpers.distinct_stages import unique_stages

from study.design.stages import Stage
from study.design.study import expand, load
from study.execution.run_stage import run_stage
from study.store.heartbeats import DRIVERS
from study.store.leases import STAGES
from study.store.results import Store

TIMES = {"train_seconds": 0.0, "images_per_second": 0.0}
RUN = re.compile(r"^\d+/\d+  (.+)  ([\d.]+ s|by another driver)", re.MULTILINE)


@pytest.fixture
def alone(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, list[Stage]]:
    """The same study, run stage by stage in this process."""
    store = Store(tmp_path_factory.mktemp("alone"))
    stages = unique_stages(expand(load(tiny)))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for stage in stages:
            run_stage(stage, store, "cpu", lambda row: None)
    finally:
        torch.set_num_threads(threads)
    return store, stages


def start(place: Path, name: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-u", "-m", "study", "run", "tiny.yaml", "--reports", name]
    command += ["--tracking-uri", f"sqlite:///{name}.db"]
    with (place / f"{name}.txt").open("wb") as out:
        return subprocess.Popen(command, cwd=place, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)


def computed(place: Path, name: str) -> list[str]:
    """The stages that a driver ran itself, from its output."""
    return [stage for stage, how in RUN.findall((place / f"{name}.txt").read_text()) if how != "by another driver"]


def wait_until_computed(place: Path, name: str, driver: "subprocess.Popen[bytes]") -> None:
    """Until the driver has run a stage."""
    while not computed(place, name):
        assert driver.poll() is None, (place / f"{name}.txt").read_text()
        time.sleep(0.01)


@pytest.mark.system
@pytest.mark.parametrize("killed", [False, True], ids=["both finish", "one is killed"])
def test_two_drivers_compute_each_stage_once(place: Path, alone: tuple[Store, list[Stage]], killed: bool) -> None:
    reference, stages = alone
    one = start(place, "one")
    if killed:  # suspended while the other one starts, so that it has not finished by then
        wait_until_computed(place, "one", one)
        os.kill(one.pid, signal.SIGSTOP)
        assert len(computed(place, "one")) < len(stages)
    two = start(place, "two")
    if killed:
        wait_until_computed(place, "two", two)
        os.kill(one.pid, signal.SIGKILL)
    assert two.wait(240) == 0, (place / "two.txt").read_text()
    assert one.wait(240) == (-9 if killed else 0), (place / "one.txt").read_text()

    output = (place / "one.txt").read_text() + (place / "two.txt").read_text()
    shown = computed(place, "one") + computed(place, "two")
    assert len(shown) == len(set(shown)), output
    if not killed:  # the killed driver may have stored a stage without having shown it
        assert len(shown) == len(stages), output
    store = Store(place / ".study")
    assert store.keys() == {stage.key for stage in stages}
    for stage in stages:
        found, expected = store.find(stage), reference.find(stage)
        assert found is not None
        assert expected is not None
        assert {**found.metrics, **TIMES} == {**expected.metrics, **TIMES}
        assert store.weights(stage) == reference.weights(stage)
    assert store.list_files(STAGES) == {}
    # the heartbeat of a driver that died while it wrote to MLflow stays until its runs are closed
    assert len(store.list_files(DRIVERS)) <= killed
    with (place / "two" / "tiny" / "results.csv").open(newline="") as file:
        assert {row["status"] for row in csv.DictReader(file)} == {"done"}
