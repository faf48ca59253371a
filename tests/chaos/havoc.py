"""Kills the driver, workers, the raylet and the MLflow server of a sweep at random moments, and looks what is left.

Only processes that this module started are killed: the sweep and the server each have a process group of their own, and
what the sweep starts is found by who started whom.
"""

import csv
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from mlflow import MlflowClient
from mlflow_servers import Server

from study import design
from study.ledger import Ledger
from study.stages import Stage, unique_stages
from study.store import Store
from study.tracking import PARENT
from study.wanted import wanted

VICTIMS = ("driver", "worker", "raylet", "server")
GRID = """\
study: chaos
question: What does a sweep leave when everything around it dies?
baseline:
  encoder:
    {image_size: 8, patch_size: 4, channels: 1, width: 16, depth: 2, num_heads: 2, num_kv_heads: 1,
     experts_by_depth: [2, 3], ffn_width_first: 8, ffn_width_last: 4}
  pretrain:
    {dataset: digits, epochs: EPOCHS, train_images: 200, batch_size: 32,
     decoder: {width: 16, depth: 1, ffn_width: 8, num_heads: 2, num_kv_heads: 1}}
  finetune: {dataset: digits, epochs: EPOCHS, train_images: 200, batch_size: 32, keep: best}
factors:
  kv heads: {path: encoder.num_kv_heads, levels: [1, 2]}
  mode: {path: finetune.mode, levels: [finetune, probe]}
  pre-training: {path: pretrain, levels: [null], baseline: digits}
replicates: REPLICATES
resources: {cpu: 1, checkpoint_seconds: 0.2}
"""
VARY = {"run_id", "seconds", "train_seconds", "images_per_second", "pretrain_seconds", "commit"}


@dataclass
class Place:
    """A sweep with a folder, a store and an MLflow server of its own."""

    folder: Path
    epochs: int
    replicates: int
    kills: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    process: "subprocess.Popen[bytes] | None" = None

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        self.grid = self.folder / "chaos.yaml"
        text = GRID.replace("EPOCHS", str(self.epochs)).replace("REPLICATES", str(self.replicates))
        self.grid.write_text(text)
        self.server = Server(self.folder / "server")
        self.store = Store(self.folder / "store")
        self.log = self.folder / "sweep.log"
        # Ray's sockets need a short path; Ray, Tune and others leave their files where we can see and remove them
        self.scratch = Path(tempfile.mkdtemp(prefix="havoc"))

    @property
    def stages(self) -> list[Stage]:
        return unique_stages(wanted(design.load(self.grid), self.store))

    def start(self) -> None:
        command = [
            *(sys.executable, "-m", "study", "run", str(self.grid), "--store", str(self.store.root)),
            *("--reports", str(self.folder / "reports"), "--tracking-uri", self.server.uri),
        ]
        environment = os.environ | {"TMPDIR": str(self.scratch), "RAY_TMPDIR": str(self.scratch), "COLUMNS": "300"}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, stdout=log, stderr=log, env=environment, start_new_session=True
            )

    def start_again(self) -> None:
        """See that the sweep is running."""
        if self.process is None or self.process.poll() is not None:
            self.end()
            self.start()

    def run(self, seconds: float = 600.0) -> int:
        """A sweep that nobody disturbs; its exit code."""
        self.start()
        assert self.process is not None
        try:
            return self.process.wait(seconds)
        finally:
            self.end()

    def end(self) -> None:
        """Kill what is left of the sweep, and everything that it started."""
        if self.process is None:
            return
        for process in self._belonging():
            kill(process)
        kill(psutil.Process(self.process.pid) if self.process.poll() is None else None)
        self.process.wait()
        self.process = None

    def close(self) -> None:
        self.end()
        self.server.kill()
        shutil.rmtree(self.scratch, ignore_errors=True)

    def strike(self, victim: str, chance: random.Random) -> bool:
        """kill -9 of one victim; whether there was one."""
        if victim == "server":
            self.server.kill()
            self.server.start(wait=False)
        elif victim == "driver" and self.process is not None:
            self.process.send_signal(signal.SIGKILL)
        else:
            wanted = {"worker": "ray::", "raylet": "raylet/raylet"}[victim]
            found = [process for process in self._belonging() if wanted in name_of(process)]
            if not found:
                return False
            kill(chance.choice(found))
        self.kills[victim] += 1
        return True

    def _belonging(self) -> list[psutil.Process]:
        """Processes of this sweep, orphans too: all of them were told where to keep their files."""
        mine = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("RAY_TMPDIR") == str(self.scratch) and process.pid != os.getpid():
                    mine.append(process)
            except (psutil.Error, OSError):
                continue
        return [process for process in mine if self.process is None or process.pid != self.process.pid]

    def disturb(self, seed: int, strikes: int, pause: float) -> None:
        """Run the sweep again and again until it is done, while up to `strikes` victims die, each up to `pause` seconds
        after the last one."""
        chance, left = random.Random(seed), strikes
        while self.ends["exit 0"] == 0:
            self.start()
            assert self.process is not None
            while left and self.process.poll() is None:
                self._sleep(chance.uniform(0.0, pause))
                if self.process.poll() is None and self.strike(chance.choice(VICTIMS), chance):
                    left -= 1
            self._finish()

    def _sleep(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.process is not None and self.process.poll() is None:
            time.sleep(0.05)

    def _finish(self, seconds: float = 600.0) -> None:
        assert self.process is not None
        code = self.process.wait(seconds)
        self.ends[f"exit {code}" if code >= 0 else "killed"] += 1
        self.end()

    def results(self) -> list[dict[str, str]]:
        """results.csv, without what may differ between two sweeps."""
        with (self.folder / "reports" / "chaos" / "results.csv").open(newline="", encoding="utf-8") as file:
            return [{name: text for name, text in row.items() if name not in VARY} for row in csv.DictReader(file)]

    def check_whole(self) -> None:
        """No stage missing or there twice, no run open or finished twice, and the ledger names those that finished."""
        keys = {stage.key for stage in self.stages}
        assert self.store.keys() == keys
        assert all(self.store.find(stage) is not None for stage in self.stages)
        left = [path.name for kind in ("pretrain", "finetune") for path in (self.store.root / kind).iterdir()]
        assert sorted(left) == sorted(keys), "temporary folders are left"
        unfinished = self.store.root / "unfinished"
        assert not unfinished.is_dir() or not list(unfinished.iterdir())
        client = MlflowClient(self.server.uri)
        experiment = client.get_experiment_by_name("chaos")
        assert experiment is not None
        runs = client.search_runs([experiment.experiment_id], max_results=10_000)
        assert Counter(run.info.status for run in runs)["RUNNING"] == 0
        finished = [run for run in runs if PARENT in run.data.tags and run.info.status == "FINISHED"]
        named = Ledger(self.store, "chaos").runs(self.server.uri)
        assert Counter(run.data.tags["key"] for run in finished) == Counter(keys)
        assert {run.data.tags["key"]: run.info.run_id for run in finished} == {key: named[key] for key in keys}
        for run in finished:
            points = client.get_metric_history(run.info.run_id, "epoch/train_loss")
            assert [point.step for point in points] == list(range(1, self.epochs + 1))


def name_of(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def kill(process: psutil.Process | None) -> None:
    try:
        if process is not None:
            process.kill()
    except psutil.Error:
        pass  # it has ended by itself


def table(place: Place) -> str:
    """The kills and how the sweeps ended, for people."""
    kills = ", ".join(f"{place.kills[victim]} {victim}" for victim in VICTIMS)
    ends = ", ".join(f"{number} {end}" for end, number in sorted(place.ends.items()))
    return f"killed: {kills} ({sum(place.kills.values())} in all); sweeps ended: {ends}"
