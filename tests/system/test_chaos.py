"""The small form of `nox -s chaos`: a worker, the MLflow server and the driver die in one sweep."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from helpers.havoc import Place, draw_victims, left_by

from study.execution.run_stage import run_stage
from study.store.results import Store


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As the sweep's workers."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("one_thread")
def test_the_end_is_that_of_an_undisturbed_sweep(tmp_path: Path) -> None:
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
        assert left_by(stage, wild.store) == left_by(stage, calm)


def test_each_kind_dies_once_in_a_round_and_drivers_at_their_start_too() -> None:
    victims = draw_victims(2, random.Random(1))
    assert sorted(victims) == sorted(["driver", "worker", "raylet", "server"] * 2 + ["start"])
    assert victims.index("start") == victims.index("driver") + 1
