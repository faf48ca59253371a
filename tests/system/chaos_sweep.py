"""Dozens of kills in one sweep, for `nox -s chaos`. STUDY_CHAOS_SEED and STUDY_CHAOS_ROUNDS set seed and length."""

import os
import random
import time
from pathlib import Path

import pytest
from helpers.havoc import KINDS, Place, draw_victims, outputs_of, table

EPOCHS, REPLICATES = 100, 4


@pytest.mark.timeout(3600)
def test_results_equal_those_of_an_undisturbed_sweep(tmp_path: Path) -> None:
    rounds, seed = (int(os.environ.get(f"STUDY_CHAOS_{name}", given)) for name, given in (("ROUNDS", 6), ("SEED", 1)))
    calm, wild = Place(tmp_path / "calm", EPOCHS, REPLICATES), Place(tmp_path / "wild", EPOCHS, REPLICATES)
    try:
        calm.server.start()
        began = time.monotonic()
        assert calm.run() == 0, calm.output()
        undisturbed = time.monotonic() - began
        calm.check_whole()
        calm.close()
        wild.server.start()
        chance = random.Random(seed)
        wild.disturb(draw_victims(rounds, chance), chance, pause=2.0)
        disturbed = time.monotonic() - began - undisturbed
        print(f"\nseed {seed}; undisturbed {undisturbed:.0f} s, disturbed {disturbed:.0f} s\n\n{table(wild)}")
        assert min(wild.kills[kind] for kind in KINDS) >= rounds
        assert len({number for number in wild.finished if number}) >= rounds / 2, "too few sweeps finished a stage"
        assert len(wild.resumed()) >= rounds, "too few stages resumed from a checkpoint"
        wild.check_whole()
        assert wild.results() == calm.results()
        for stage in wild.stages:
            assert outputs_of(stage, wild.store) == outputs_of(stage, calm.store)
        print(
            f"compared: {len(wild.results())} rows of results.csv and all outputs of {len(wild.stages)} stages: equal"
        )
    finally:
        calm.close()
        wild.close()
