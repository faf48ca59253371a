"""Kills and other disturbances in sweep after sweep, for `nox -s chaos`: python tests/system/chaos_sweep.py [--write].

STUDY_CHAOS_ROUNDS kills (100), drawn with --seed, at most about --minutes. Each sweep has a new store; after each
disturbance the stored stages, and after each sweep everything, are compared with an undisturbed sweep. --write puts
the table into tests/README.md.
"""

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from helpers import measured
from helpers.disturbances import KINDS, Kind, draw
from helpers.havoc import Place, SweepOverError
from helpers.havoc_checks import check_stored, check_whole, results

from study.utils.text import plural

EPOCHS, REPLICATES = 100, 2
PAUSE = 2.0  # seconds, at most, between an epoch and the next disturbance
ENDS = {
    0: "finished",
    1: "failed stages",
    2: "store not usable",
    3: "Ray lost",
    130: "interrupted",
    -9: "killed",
}


@dataclass
class Chaos:
    """Sweeps that are disturbed until there were `rounds` kills, or the time is over."""

    folder: Path
    rounds: int
    seed: int
    seconds: float
    epochs: int = EPOCHS
    replicates: int = REPLICATES
    counts: Counter[str] = field(default_factory=Counter)  # disturbances by name
    ends: Counter[int] = field(default_factory=Counter)  # drivers by exit code
    sweeps: int = 0
    resumed: int = 0
    began: float = field(default_factory=time.monotonic)

    @property
    def kills(self) -> int:
        return sum(self.counts[kind.name] for kind in KINDS if kind.kills)

    @property
    def over(self) -> bool:
        return self.kills >= self.rounds or time.monotonic() - self.began >= self.seconds

    def run(self) -> None:
        """Raises AssertionError if a sweep differs from an undisturbed one."""
        with Place(self.folder / "calm", self.epochs, self.replicates) as calm:
            calm.finish()
            check_whole(calm)
            calm.end_all()
            self._log(f"undisturbed: {len(calm.stages)} stages of {self.epochs} epochs")
            while not self.over:
                self._sweep(calm)

    def _sweep(self, calm: Place) -> None:
        chance, folder = random.Random(f"{self.seed} {self.sweeps}"), self.folder / f"sweep-{self.sweeps}"
        with Place(folder, self.epochs, self.replicates, chance, with_server=self.sweeps % 2 == 0) as place:
            self._disturb(place, calm)
            place.finish()
            check_stored(place, calm.store, set())
            check_whole(place)
            assert results(place) == results(calm)
            self.ends += place.ends
            self.resumed += len(place.resumed())
            self.sweeps += 1
            self._log(f"sweep {self.sweeps}: equal to the undisturbed one")
        shutil.rmtree(folder)

    def _disturb(self, place: Place, calm: Place) -> None:
        checked: set[str] = set()
        for kind in draw(place):
            try:
                place.wait_for_epochs()
                place.sleep(place.chance.uniform(0.0, PAUSE))
                kind.act(place)
            except SweepOverError:
                return
            self._log(f"{kind.name}; {place.epochs_done()} epochs")
            self.counts[kind.name] += 1
            check_stored(place, calm.store, checked)
            if self.over:
                return

    def _log(self, text: str) -> None:
        print(f"{time.monotonic() - self.began:5.0f} s  {self.kills:3} kills  {text}", flush=True)


def table(chaos: Chaos) -> str:
    """Markdown."""
    shown = [kind for kind in KINDS if chaos.counts[kind.name]]
    ends = ", ".join(f"{ENDS[code]} {number}" for code, number in sorted(chaos.ends.items()))
    return "\n".join(
        [
            "| disturbance | times |",
            "|---|---|",
            *(f"| {label(kind)} | {chaos.counts[kind.name]} |" for kind in shown),
            f"| **killed in total** | {chaos.kills} |",
            "",
            f"Seed {chaos.seed}, {plural(chaos.sweeps, 'sweep')} of {stages(chaos.replicates)} stages. "
            f"Ends of drivers: {ends}. {plural(chaos.resumed, 'stage')} resumed from a checkpoint.",
        ]
    )


def label(kind: Kind) -> str:
    return f"killed: {kind.name}" if kind.kills else kind.name


def stages(replicates: int) -> int:
    """In the grid of `helpers.havoc`: per replicate 2 pre-trainings and 4 fine-tunings."""
    return 6 * replicates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    rounds = int(os.environ.get("STUDY_CHAOS_ROUNDS", "100"))
    parser.add_argument("--seed", type=int, default=int(os.environ.get("STUDY_CHAOS_SEED", "1")))
    parser.add_argument("--minutes", type=float, default=90.0)
    parser.add_argument("--write", action="store_true", help="put the table into tests/README.md")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    print(f"{rounds} kills, seed {given.seed}, at most about {given.minutes:.0f} minutes, in {folder}", flush=True)
    command = f"nox -s chaos -- --seed {given.seed} --minutes {given.minutes:g}"
    measurement = measured.Measurement("chaos", command)
    chaos = Chaos(folder, rounds, given.seed, 60 * given.minutes)
    chaos.run()  # the folder is kept if it fails
    shutil.rmtree(folder)
    print(f"\n{table(chaos)}")
    if given.write:
        measurement.write(table(chaos))
    if chaos.kills < rounds:
        sys.exit(f"{chaos.kills} of {rounds} kills in {given.minutes:.0f} minutes")


if __name__ == "__main__":
    main()
