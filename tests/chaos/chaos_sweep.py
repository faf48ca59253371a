"""Dozens of kills in one sweep; run by `nox -s chaos`. STUDY_CHAOS_SEED and STUDY_CHAOS_KILLS vary it."""

import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import pytest
from havoc import Place, table


@pytest.mark.timeout(3600)
def test_the_end_is_that_of_an_undisturbed_sweep(tmp_path: Path) -> None:
    kills, seed = int(os.environ.get("STUDY_CHAOS_KILLS", "36")), int(os.environ.get("STUDY_CHAOS_SEED", "1"))
    epochs, replicates = (
        int(os.environ.get("STUDY_CHAOS_EPOCHS", "300")),
        int(os.environ.get("STUDY_CHAOS_REPLICATES", "3")),
    )
    calm, wild = Place(tmp_path / "calm", epochs, replicates), Place(tmp_path / "wild", epochs, replicates)
    try:
        calm.server.start()
        began = time.monotonic()
        assert calm.run() == 0, calm.log.read_text()[-3000:]
        undisturbed = time.monotonic() - began
        calm.check_whole()
        calm.close()
        wild.server.start()
        wild.disturb(seed, kills, pause=float(os.environ.get("STUDY_CHAOS_PAUSE", "8")))
        wild.server.wait()
        assert wild.run() == 0, wild.log.read_text()[-3000:]  # delivers what the server was away for
        print(f"\nseed {seed}; undisturbed {undisturbed:.0f} s; {table(wild)}")
        wild.check_whole()
        assert wild.results() == calm.results()
        weights = [[place.store.weights(stage) for stage in place.stages] for place in (calm, wild)]
        assert weights[0] == weights[1]
    finally:
        print(wild.log.read_text()[-3000:] if wild.log.exists() else "")
        calm.close()
        wild.close()
