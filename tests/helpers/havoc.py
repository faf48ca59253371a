"""A sweep in its own folder, with one driver or two, whose processes, disk and network can be disturbed.

Only processes that this module started are touched: the drivers and the server have their own process groups, and the
processes of a driver are found by an environment variable.
"""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import psutil
from helpers import driver_on_host
from helpers.distinct_stages import unique_stages
from helpers.looks import requested_trials
from helpers.mlflow_servers import Server
from helpers.network_line import Line
from helpers.ray_nodes import PATIENCE as RAY_PATIENCE
from helpers.small_disk import SmallDisk

from study.design.stages import Stage
from study.design.study import load
from study.store.results import Store
from study.tracking import default_uri

T = TypeVar("T")
HOSTS = ("alpha", "beta", "gamma")
PATHS = ("store", "moved to #2", "100%41 full?", "moved/again")  # of the store on its disk, one after the other
PATIENCE = 900.0  # seconds to wait for what an idle machine does in half a minute
CHECKPOINT_EPOCHS = re.compile(rb'"epochs\\*": (\d+)')  # in a checkpoint's header; its stage is written without spaces
MARK = "STUDY_CHAOS_DRIVER"  # environment variable of a driver's processes
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


class SweepOverError(Exception):
    """The sweep finished before what was waited for."""


class Driver:
    """A `study run` or another verb on one host, with all its processes."""

    def __init__(self, place: "Place", host: str, verb: str = "run", *options: str) -> None:
        self.host, self._mark = host, uuid.uuid4().hex
        scratch = place.scratch / host[0]  # as of another machine
        scratch.mkdir(exist_ok=True)
        if verb == "run":
            options = (*options, "--reports", str(place.folder / "reports"))
        command = [sys.executable, driver_on_host.__file__, host, verb, str(place.grid), *options]
        command += ["--store", str(place.root), "--tracking-uri", place.uri]
        environment = os.environ | {
            "TMPDIR": str(scratch),
            "RAY_TMPDIR": str(scratch),
            "HOME": str(place.home),
            "COLUMNS": "300",
            "STUDY_COMMIT": "chaos",
            MARK: self._mark,
            **RAY_PATIENCE,
        }
        for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "STUDY_CACHE", "HF_HOME", "MPLCONFIGDIR"):
            environment.pop(name, None)
        with place.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=place.work, stdout=log, stderr=log, env=environment, start_new_session=True
            )

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def find(self, name: str) -> list[psutil.Process]:
        """Its processes, without itself, that have `name` in their command."""
        return [process for process in self._others() if name in name_of(process)]

    def end(self) -> None:
        """Kill what remains of it."""
        for process in self._others():
            signal_to(process, signal.SIGKILL)
        self.process.kill()
        self.process.wait()
        for process in self._others():  # started meanwhile
            signal_to(process, signal.SIGKILL)

    def _others(self) -> list[psutil.Process]:
        mine = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(MARK) == self._mark and process.pid != self.process.pid:
                    mine.append(process)
            except (psutil.Error, OSError):
                continue
        return mine


@dataclass
class Place:
    """A sweep with its own folder, disk, store, and MLflow server behind a line or database in the store."""

    folder: Path
    epochs: int
    replicates: int
    chance: random.Random = field(default_factory=lambda: random.Random(0))
    with_server: bool = True
    ends: Counter[int] = field(default_factory=Counter)  # drivers by exit code
    drivers: list[Driver] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.home, self.work = self.folder / "home", self.folder / "work"
        for folder in (self.home, self.work):
            folder.mkdir(parents=True)
        self.grid = self.folder / "chaos.yaml"
        text = GRID.replace("EPOCHS", str(self.epochs)).replace("REPLICATES", str(self.replicates))
        self.grid.write_text(text)
        self.log = self.folder / "sweep.log"
        self.disk = SmallDisk(self.folder / "disk")
        self.root = self.disk.folder / PATHS[0]
        self.moves = 0
        # Ray's sockets need a short path; all temporary files of the drivers are here and are removed with it
        self.scratch = Path(tempfile.mkdtemp(prefix="havoc"))

    def __enter__(self) -> "Place":
        with ExitStack() as stack:
            stack.callback(shutil.rmtree, self.scratch, ignore_errors=True)
            self.disk.mount()
            stack.callback(self.disk.unmount)
            if self.with_server:
                self.server = Server(self.folder / "server")
                self.line = stack.enter_context(Line(self.server.port))
                stack.callback(self.server.kill)
                self.server.start(wait=False)
            stack.callback(self.end_all)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._stack:
            if kind is not None and self.disk.mounted:  # kept, to find out why
                shutil.copytree(self.disk.folder, self.folder / "disk-at-failure")

    @property
    def store(self) -> Store:
        return Store(self.root)

    @property
    def uri(self) -> str:
        """The MLflow server as the drivers reach it, or the store's own database."""
        return f"http://127.0.0.1:{self.line.port}" if self.with_server else default_uri(self.store)

    @cached_property
    def stages(self) -> list[Stage]:
        return unique_stages(requested_trials(load(self.grid), self.store))

    def start(self, host: str = "") -> Driver:
        """Start a driver, on a host that is drawn unless it is given."""
        self.drivers.append(Driver(self, host or self.chance.choice(HOSTS)))
        return self.drivers[-1]

    def call(self, verb: str, *options: str) -> int:
        """Run another verb to its end; returns its exit code."""
        driver = Driver(self, HOSTS[0], verb, *options)
        try:
            return driver.process.wait(PATIENCE)
        finally:
            driver.end()

    def running(self) -> Driver:
        """A random driver; one is started if none is running. Raises SweepOverError if one has finished."""
        codes = [self._reap(driver) for driver in self.drivers if not driver.running]
        if 0 in codes:
            raise SweepOverError
        if not self.drivers:
            self.start()
        return self.chance.choice(self.drivers)

    def end_all(self) -> None:
        """Kill all drivers and what belongs to them."""
        for driver in list(self.drivers):
            driver.process.kill()
            self._reap(driver)

    def interrupt_all(self) -> None:
        """Ask all drivers to stop, as with Ctrl-C, and wait for them."""
        for driver in self.drivers:
            driver.process.send_signal(signal.SIGINT)
        for driver in list(self.drivers):
            driver.process.wait(PATIENCE)
            self._reap(driver)

    def _reap(self, driver: Driver) -> int:
        code = driver.process.wait()
        driver.end()
        self.drivers.remove(driver)
        self.ends[code] += 1
        return code

    def wait_for(self, condition: Callable[[], T], what: str) -> T:
        """The value of the condition once it is true; a driver is started whenever none is running.

        Raises SweepOverError if the sweep finishes first, and TimeoutError after PATIENCE seconds."""
        deadline = time.monotonic() + PATIENCE
        while not (found := condition()):
            self.running()
            if time.monotonic() > deadline:
                raise TimeoutError(f"no {what} within {PATIENCE:.0f} s; output of the sweep: {self.output()}")
            time.sleep(0.1)
        return found

    def sleep(self, seconds: float) -> None:
        """Wait while a driver is running."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and any(driver.running for driver in self.drivers):
            time.sleep(0.1)

    def finish(self) -> None:
        """Run drivers until one has finished the sweep and all have ended; then deliver what MLflow lacks."""
        if self.with_server:
            self.line.set("pass")
            self.server.wait()
        try:
            while True:
                self.running().process.wait(PATIENCE)
        except SweepOverError:
            for driver in list(self.drivers):
                driver.process.wait(PATIENCE)
                self._reap(driver)
        time.sleep(driver_on_host.EXPIRY + 2)  # the leases of killed drivers expire
        assert self.call("sync") == 0, self.output()

    def output(self) -> str:
        """The end of the output of the drivers."""
        return self.log.read_text(errors="replace")[-3000:]

    def epochs_done(self) -> int:
        """Epochs that no kill can undo: those of finished stages and of checkpoints."""
        done = self.store.keys()
        return sum(self.epochs if stage.key in done else self._checkpointed(stage) for stage in self.stages)

    def wait_for_epochs(self, more: int = 1) -> None:
        """Until `more` epochs have been trained and stored."""
        goal = self.epochs_done() + more
        self.wait_for(lambda: self.epochs_done() >= goal, f"epoch {goal} of all stages")

    def _checkpointed(self, stage: Stage) -> int:
        try:
            data = (self.root / "unfinished" / stage.key).read_bytes()
        except OSError:
            return 0
        return max((int(number) for number in CHECKPOINT_EPOCHS.findall(data)), default=0)

    def resumed(self) -> list[Stage]:
        """Stages that resumed from a checkpoint."""
        results = [(stage, self.store.find(stage)) for stage in self.stages]
        return [stage for stage, result in results if result is not None and result.provenance["parts"]]


def name_of(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def signal_to(process: psutil.Process, number: int) -> None:
    """Send a signal, unless the process has already ended."""
    with suppress(psutil.Error):
        process.send_signal(number)
