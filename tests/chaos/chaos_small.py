"""One kill of a worker, the server and the driver in one sweep: python -m pytest tests/chaos/chaos_small.py."""

import random
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))

from havoc import Place

from study.run import run_stage
from study.store import Store


@pytest.mark.timeout(600)
def test_the_end_is_that_of_an_undisturbed_sweep(tmp_path: Path) -> None:
    """A worker is killed, then the server, then the driver: the sweep run again ends as if nothing had been."""
    place, chance = Place(tmp_path / "wild", 60, 1), random.Random(1)
    try:
        place.server.start()
        unfinished = place.store.root / "unfinished"
        for victim in ("worker", "server", "driver"):
            while not (unfinished.is_dir() and list(unfinished.iterdir())):  # there is a stage to be torn
                place.start_again()
                time.sleep(0.1)
            assert place.strike(victim, chance), place.log.read_text()[-3000:]
        place.end()
        place.server.wait()
        assert place.run() == 0, place.log.read_text()[-3000:]
        place.check_whole()
        calm = Store(tmp_path / "calm")
        for stage in place.stages:
            run_stage(stage, calm, "cpu", lambda row: None)
            assert calm.weights(stage) == place.store.weights(stage)
    finally:
        place.close()
