"""The short version of `nox -s chaos`: a worker, the MLflow server and the driver are killed in one sweep."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from helpers.havoc import Place, draw_victims, outputs_of

from study.execution.run_stage import run_stage
from study.store.results import Store


@pytest.fixture
def one_thread() -> Iterator[None]:
    """One thread, like the workers of the sweep."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("one_thread")
def test_results_equal_those_of_an_undisturbed_sweep(tmp_path: Path) -> None:
    wild, calm = Place(tmp_path / "wild", 20, 1), Store(tmp_path / "calm")
    try:
        wild.server.start(wait=False)
        wild.disturb(["worker", "server", "driver"], random.Random(1), pause=0.5)
        wild.check_whole()
    finally:
        wild.close()
    assert wild.kills == {"worker": 1, "server": 1, "driver": 1}
    assert wild.resumed()
    for stage in wild.stages:
        run_stage(stage, calm, "cpu", lambda row: None)
        assert outputs_of(stage, wild.store) == outputs_of(stage, calm)


def test_each_kind_is_killed_once_per_round_and_drivers_also_at_their_start() -> None:
    victims = draw_victims(2, random.Random(1))
    assert sorted(victims) == sorted(["driver", "worker", "raylet", "server"] * 2 + ["start"])
    assert victims.index("start") == victims.index("driver") + 1
