"""Kills the driver, workers, the raylet and the MLflow server of a sweep at random times, and checks the results.

Only processes that this module started are killed: the sweep and the server have their own process groups, and the
processes of the sweep are found by an environment variable.
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
from helpers.distinct_stages import unique_stages
from helpers.looks import requested_trials, undelivered
from helpers.mlflow_servers import Reader, Server

from study.design.stages import Stage
from study.design.study import load
from study.store.results import Store
from study.tracking import PARENT
from study.tracking.ledger import Ledger

T = TypeVar("T")
KINDS = ("driver", "worker", "raylet", "server")
NAMES = {
    "driver": "drivers", "start": "drivers at their start", "worker": "workers", "raylet": "raylets",
    "server": "MLflow servers",
}  # fmt: skip
ENDS = {0: "finished", 1: "ended after Ray was lost", -9: "killed"}
PATIENCE = 300.0  # seconds to wait for what an idle machine does in ten
START = 12.0  # seconds after its start within which a driver is killed
SPREAD = 0.85  # share of the sweep's epochs, after which nothing is killed
CHECKPOINT_EPOCHS = re.compile(rb'"epochs\\*": ?(\d+)')  # in a checkpoint's header
GRID = """\
study: chaos
question: Does a sweep survive the death of its processes?
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


class NotKilledError(Exception):
    """The process to kill did not appear in time."""


@dataclass
class Place:
    """A sweep with its own folder, store and MLflow server."""

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
        # Ray's sockets need a short path; all temporary files of the sweep are here and are removed with it
        self.scratch = Path(tempfile.mkdtemp(prefix="havoc"))

    @cached_property
    def stages(self) -> list[Stage]:
        return unique_stages(requested_trials(load(self.grid), self.store))

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
        """Run an undisturbed sweep; returns its exit code."""
        self.start()
        assert self.process is not None
        try:
            return self.process.wait(seconds)
        finally:
            self.end()

    def end(self) -> None:
        """Kill the remaining processes of the sweep."""
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

    def kill_one(self, victim: str, chance: random.Random) -> None:
        """Kill one victim (SIGKILL); raises NotKilledError if there is none within PATIENCE."""
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
        """The processes that train; Ray names them after their actor."""
        return [process for process in self._belonging() if name_of(process).startswith("ray::ImplicitFunc")]

    def _raylets(self) -> list[psutil.Process]:
        return [process for process in self._belonging() if "raylet/raylet" in name_of(process)]

    def wait_for(self, condition: Callable[[], T], what: str) -> T:
        """The value of the condition once it is true; the sweep is restarted whenever it has died.

        Raises NotKilledError after PATIENCE seconds, or if the sweep finishes first."""
        deadline = time.monotonic() + PATIENCE
        while not (found := condition()):
            if self.process is None:
                self.start()
            elif self.process.poll() is not None and self._finish() == 0:
                raise NotKilledError(f"the sweep finished before {what}: it needs more epochs or fewer kills")
            if time.monotonic() > deadline:
                raise NotKilledError(f"no {what} within {PATIENCE:.0f} s; output of the sweep: {self.output()}")
            time.sleep(0.1)
        return found

    def _belonging(self) -> list[psutil.Process]:
        """Processes of this sweep, orphans included: all have its RAY_TMPDIR."""
        mine = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("RAY_TMPDIR") == str(self.scratch) and process.pid != os.getpid():
                    mine.append(process)
            except (psutil.Error, OSError):
                continue
        return [process for process in mine if self.process is None or process.pid != self.process.pid]

    def disturb(self, victims: list[str], chance: random.Random, pause: float) -> None:
        """Restart the sweep until it finishes, while killing these victims in order.

        Kills are spread over the sweep: each waits for a randomly drawn epoch, at least one after the previous kill,
        and then up to `pause` seconds more. A driver killed at its start has no such epoch.
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
            self.kill_one(victim, chance)
        while self._finish() != 0:
            self.start()
        self.server.wait()
        if undelivered(load(self.grid), self.store, self.server.uri):
            assert self.run() == 0, self.output()

    def output(self) -> str:
        """The end of the output of the sweeps."""
        return self.log.read_text()[-3000:]

    def _reach(self, moment: int) -> None:
        more = max(moment, self.epochs_done() + 1)
        self.wait_for(lambda: self.epochs_done() >= more, f"epoch {more} of all stages")

    def epochs_done(self) -> int:
        """Epochs that no kill can undo: those of finished stages and of checkpoints."""
        done = self.store.keys()
        return sum(self.epochs if stage.key in done else self._checkpointed(stage) for stage in self.stages)

    def _checkpointed(self, stage: Stage) -> int:
        try:
            data = (self.store.root / "unfinished" / stage.key).read_bytes()
        except FileNotFoundError:
            return 0
        return max((int(number) for number in CHECKPOINT_EPOCHS.findall(data)), default=0)

    def _sleep(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.process is not None and self.process.poll() is None:
            time.sleep(0.1)

    def _finish(self) -> int:
        """Wait for the sweep to end, and record it; returns its exit code."""
        if self.process is None:
            self.start()
        assert self.process is not None
        code = self.process.wait(PATIENCE)
        self.ends[code] += 1
        self.finished.append(len(self.store.keys()))
        self.end()
        return code

    def results(self) -> list[dict[str, str]]:
        """results.csv without the columns that differ between two sweeps."""
        with (self.folder / "reports" / "chaos" / "results.csv").open(newline="", encoding="utf-8") as file:
            return [{name: text for name, text in row.items() if name not in VARY} for row in csv.DictReader(file)]

    def resumed(self) -> list[Stage]:
        """Stages that resumed from a checkpoint."""
        results = [(stage, self.store.find(stage)) for stage in self.stages]
        return [stage for stage, result in results if result is not None and result.provenance["parts"]]

    def check_whole(self) -> None:
        """Every stage is stored once, no run is open or finished twice, and the ledger lists the finished ones."""
        keys = {stage.key for stage in self.stages}
        assert self.store.keys() == keys
        assert all(self.store.find(stage) is not None for stage in self.stages)
        left = [path.name for kind in ("pretrain", "finetune") for path in (self.store.root / kind).iterdir()]
        assert sorted(left) == sorted(keys), "temporary folders are left"
        unfinished = self.store.root / "unfinished"
        assert not unfinished.is_dir() or not list(unfinished.iterdir())
        client = Reader(self.server.uri)
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


def outputs_of(stage: Stage, store: Store) -> tuple[object, ...]:
    """All outputs of a stage except timings and provenance."""
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
        pass  # it has already ended


def draw_victims(rounds: int, chance: random.Random) -> list[str]:
    """Each kind once per round, in random order; in every second round also a driver while it starts."""
    victims = []
    for number in range(rounds):
        kinds = chance.sample(KINDS, len(KINDS))
        if number % 2 == 0:
            kinds.insert(kinds.index("driver") + 1, "start")
        victims += kinds
    return victims


def table(place: Place) -> str:
    """A Markdown summary of the kills and of how the sweeps ended."""
    kills = [f"| {NAMES[victim]} | {place.kills[victim]} |" for victim in NAMES]
    ends = ", ".join(f"{number} {ENDS.get(code, f'with exit code {code}')}" for code, number in place.ends.items())
    lines = [
        "| killed (SIGKILL) | times |",
        "|---|---|",
        *kills,
        f"| total | {sum(place.kills.values())} |",
        "",
        f"sweeps: {sum(place.ends.values())}: {ends}",
        f"stages stored after each: {', '.join(map(str, place.finished))} (of {len(place.stages)})",
        f"stages that resumed from a checkpoint: {len(place.resumed())}",
    ]
    return "\n".join(lines)
