"""Kills the driver, workers, the raylet and the MLflow server of a sweep at random moments, and looks what is left.

Only processes that this module started are killed: the sweep and the server each have a process group of their own, and
what the sweep starts is found by who started whom.
"""

import csv
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import psutil
from helpers.looks import requested_trials, undelivered
from helpers.mlflow_servers import Server
from mlflow import MlflowClient

from study.design import study as design
from study.design.stages import Stage, unique_stages
from study.store.results import Store
from study.tracking import PARENT
from study.tracking.ledger import Ledger

T = TypeVar("T")
KINDS = ("driver", "worker", "raylet", "server")
NAMES = {
    "driver": "drivers", "start": "drivers at their start", "worker": "workers", "raylet": "raylets",
    "server": "MLflow servers",
}  # fmt: skip
ENDS = {0: "to the end", 1: "ended by the loss of Ray", -9: "killed"}
PATIENCE = 300.0  # seconds for what a quiet machine does in ten
START = 12.0  # seconds, within which a driver is struck at its start
SPREAD = 0.85  # of the sweep's epochs, after which nobody strikes any more
EPOCHS_ASIDE = re.compile(rb'"epochs\\*": ?(\d+)')  # in a checkpoint's header
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
resources: {cpu: 1, checkpoint_seconds: 0}
"""
VARY = {"run_id", "seconds", "train_seconds", "images_per_second", "pretrain_seconds"}


class UnstruckError(Exception):
    """A strike that could not happen."""


@dataclass
class Place:
    """A sweep with a folder, a store and an MLflow server of its own."""

    folder: Path
    epochs: int
    replicates: int
    kills: Counter[str] = field(default_factory=Counter)
    ends: Counter[int] = field(default_factory=Counter)  # sweeps by exit code
    finished: list[int] = field(default_factory=list)  # stages that were stored after each of them
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

    @cached_property
    def stages(self) -> list[Stage]:
        return unique_stages(requested_trials(design.load(self.grid), self.store))

    def start(self) -> None:
        command = [
            *(sys.executable, "-m", "study", "run", str(self.grid), "--store", str(self.store.root)),
            *("--reports", str(self.folder / "reports"), "--tracking-uri", self.server.uri),
        ]
        environment = os.environ | {
            "TMPDIR": str(self.scratch),
            "RAY_TMPDIR": str(self.scratch),
            "COLUMNS": "300",
            "STUDY_COMMIT": "chaos",
        }
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, stdout=log, stderr=log, env=environment, start_new_session=True
            )

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

    def strike(self, victim: str, chance: random.Random) -> None:
        """kill -9 of one victim; raises UnstruckError where there is none within `PATIENCE`."""
        if victim == "server":
            self.server.kill()
            self.server.start(wait=False)
        elif victim in ("driver", "start"):
            assert self.process is not None
            self.process.kill()
        else:
            kill(
                chance.choice(self.wait_for(lambda: self._workers() if victim == "worker" else self._raylets(), victim))
            )
        self.kills[victim] += 1

    def _workers(self) -> list[psutil.Process]:
        """Those that train: the other processes of Ray's that are called so are its agents, or wait for work."""
        return [process for process in self._belonging() if name_of(process).startswith("ray::ImplicitFunc")]

    def _raylets(self) -> list[psutil.Process]:
        return [process for process in self._belonging() if "raylet/raylet" in name_of(process)]

    def wait_for(self, condition: Callable[[], T], what: str) -> T:
        """What the condition gives once it holds; the sweep is run again wherever it has died before.

        Raises UnstruckError where that takes longer than `PATIENCE`, or the sweep is over first."""
        deadline = time.monotonic() + PATIENCE
        while not (found := condition()):
            if self.process is None:
                self.start()
            elif self.process.poll() is not None and self._finish() == 0:
                raise UnstruckError(f"the sweep was over before {what}: it needs more epochs or fewer kills")
            if time.monotonic() > deadline:
                raise UnstruckError(f"no {what} within {PATIENCE:.0f} s; the sweep says: {self.said()}")
            time.sleep(0.1)
        return found

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

    def disturb(self, victims: list[str], chance: random.Random, pause: float) -> None:
        """Run the sweep again and again until it is done, while these die in this order.

        Strikes are spread over the sweep: each waits for an epoch that chance draws, at least one after the strike
        before, and then up to `pause` seconds more. A driver struck at its start need not have come that far.
        """
        total = self.epochs * len(self.stages)
        moments = sorted(chance.sample(range(1, int(SPREAD * total)), len(victims)))
        for victim, moment in zip(victims, moments, strict=True):
            if victim == "start":
                self.wait_for(lambda: self.process is not None and self.process.poll() is None, "driver that starts")
                self._sleep(chance.uniform(0.0, START))
            else:
                self._reach(moment)
                self._sleep(chance.uniform(0.0, pause))
            self.strike(victim, chance)
        while self._finish() != 0:
            self.start()
        self.server.wait()
        if undelivered(design.load(self.grid), self.store, self.server.uri):
            assert self.run() == 0, self.said()

    def said(self) -> str:
        """The end of what the sweeps have said."""
        return self.log.read_text()[-3000:]

    def _reach(self, moment: int) -> None:
        more = max(moment, self.epochs_done() + 1)
        self.wait_for(lambda: self.epochs_done() >= more, f"epoch {more} of all stages")

    def epochs_done(self) -> int:
        """Epochs that no kill can take back: those of finished stages and of checkpoints."""
        done = self.store.keys()
        return sum(self.epochs if stage.key in done else self._put_aside(stage) for stage in self.stages)

    def _put_aside(self, stage: Stage) -> int:
        try:
            data = (self.store.root / "unfinished" / stage.key).read_bytes()
        except FileNotFoundError:
            return 0
        return max((int(number) for number in EPOCHS_ASIDE.findall(data)), default=0)

    def _sleep(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.process is not None and self.process.poll() is None:
            time.sleep(0.1)

    def _finish(self) -> int:
        """Wait for the sweep's end, and note it; its exit code."""
        if self.process is None:
            self.start()
        assert self.process is not None
        code = self.process.wait(PATIENCE)
        self.ends[code] += 1
        self.finished.append(len(self.store.keys()))
        self.end()
        return code

    def results(self) -> list[dict[str, str]]:
        """results.csv, without what may differ between two sweeps."""
        with (self.folder / "reports" / "chaos" / "results.csv").open(newline="", encoding="utf-8") as file:
            return [{name: text for name, text in row.items() if name not in VARY} for row in csv.DictReader(file)]

    def resumed(self) -> list[Stage]:
        """Stages that went on from a checkpoint."""
        results = [(stage, self.store.find(stage)) for stage in self.stages]
        return [stage for stage, result in results if result is not None and result.provenance["parts"]]

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
            assert sorted(point.step for point in points) == list(range(1, self.epochs + 1))


def left_by(stage: Stage, store: Store) -> tuple[object, ...]:
    """All that a stage leaves, timings and origin aside."""
    result = store.find(stage)
    assert result is not None
    metrics, *history = (
        {name: value for name, value in row.items() if name not in VARY} for row in (result.metrics, *result.history)
    )
    return metrics, history, result.facts, result.expert_load, store.weights(stage)


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


def draw_victims(rounds: int, chance: random.Random) -> list[str]:
    """Each kind once in a round, in an order of its own; in every second round the driver again while it starts."""
    victims = []
    for number in range(rounds):
        kinds = chance.sample(KINDS, len(KINDS))
        if number % 2 == 0:
            kinds.insert(kinds.index("driver") + 1, "start")
        victims += kinds
    return victims


def table(place: Place) -> str:
    """The kills and how the sweeps ended, for people."""
    kills = [f"| {NAMES[victim]} | {place.kills[victim]} |" for victim in NAMES]
    ends = ", ".join(f"{number} {ENDS.get(code, f'with exit code {code}')}" for code, number in place.ends.items())
    lines = [
        "| killed with -9 | times |",
        "|---|---|",
        *kills,
        f"| all together | {sum(place.kills.values())} |",
        "",
        f"sweeps: {sum(place.ends.values())}: {ends}",
        f"stages stored after each: {', '.join(map(str, place.finished))} (of {len(place.stages)})",
        f"stages that went on from a checkpoint: {len(place.resumed())}",
    ]
    return "\n".join(lines)
