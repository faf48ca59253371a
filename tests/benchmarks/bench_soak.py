"""A long sweep: `nox -s soak`, or `nox -s soak -- TRIALS --write`, which puts the table into tests/README.md.

TRIALS trials (20,000) without training go through two drivers at once and an MLflow server on PostgreSQL, while drivers
and server are restarted. Memory, file descriptors and threads of the drivers are sampled throughout.
"""

import argparse
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import bench_load
import psutil
import soak_driver
from helpers import measured
from helpers.looks import undelivered
from helpers.postgres import PostgresServer, database, execute

from study.design.study import load
from study.store.results import Store

SAMPLE_SECONDS = 2.0
DRIVER_RESTARTS = (0.2, 0.45, 0.7)  # shares of the work after which one driver is killed and started again, in turn
SERVER_RESTARTS = (0.3, 0.6)
SETTLED = 0.25  # share of a driver's life after which its memory should not grow
FEWEST = 60  # settled samples from which growth is estimated


@dataclass
class Life:
    """The samples of one driver process."""

    process: "subprocess.Popen[bytes]"
    verb: str
    samples: list[tuple[float, int, int, int]] = field(default_factory=list)  # seconds, bytes, descriptors, threads

    def sample(self, now: float) -> None:
        try:
            found = psutil.Process(self.process.pid)
            self.samples.append((now, found.memory_info().rss, found.num_fds(), found.num_threads()))
        except psutil.Error:
            pass  # it has just ended

    @property
    def growth(self) -> float | None:
        """MiB per hour after it has settled; None for a short life."""
        settled = self.samples[int(SETTLED * len(self.samples)) :]
        if len(settled) < FEWEST:
            return None
        fit = statistics.linear_regression([each[0] for each in settled], [each[1] for each in settled])
        return 3600 * fit.slope / 2**20


class Soak:
    """Two drivers, a server and what is measured of them."""

    def __init__(self, folder: Path, trials: int, address: str) -> None:
        self.folder, self.address = folder, address
        self.grid = folder / "soak.yaml"
        self.grid.write_text(json.dumps(bench_load.grid(trials) | {"study": "soak"}))
        self.store = Store(folder / "store")
        self.stages = trials + bench_load.REPLICATES
        self.server = PostgresServer(folder, address, workers=2)
        self.lives: list[Life] = []
        self.restarts: Counter[str] = Counter()
        self.began = time.monotonic()

    def run(self) -> dict[str, str]:
        self.server.start()
        try:
            self._sweep()
            stored = time.monotonic() - self.began
            self._deliver()
            delivered = time.monotonic() - self.began
            reported = self._report()
            self._check()
        finally:
            for life in self.lives:
                end(life)
            self.server.stop()
        seconds = {"stored": stored, "delivered": delivered, "reported": reported}
        return measures(
            self.lives, self.restarts, self.stages, seconds, self._query("SELECT pg_database_size('mlflow')")
        )

    def _sweep(self) -> None:
        """Two drivers until the study is complete, with restarts."""
        drivers = [self._start("run"), self._start("run")]
        events = [*((share, "driver") for share in DRIVER_RESTARTS), *((share, "server") for share in SERVER_RESTARTS)]
        for share, what in sorted(events):
            self._watch(drivers, share)
            if what == "server":
                self.server.stop()
                self.server.start()
            elif drivers[0].process.poll() is None:
                end(drivers.pop(0))
                drivers.append(self._start("run"))
            self.restarts[what] += 1
        self._watch(drivers, 2.0)
        for driver in drivers:
            assert driver.process.returncode == 0, self._output()

    def _deliver(self) -> None:
        """What the server lacks: at the end of a sweep a driver waits for a server for a minute at most."""
        while undelivered(load(self.grid), self.store, self.server.uri):
            life = self._start("sync")
            self._watch([life], 2.0)
            assert life.process.returncode == 0, self._output()

    def _report(self) -> float:
        """Seconds."""
        began, life = time.monotonic(), self._start("report")
        self._watch([life], 2.0)
        assert life.process.returncode == 0, self._output()
        return time.monotonic() - began

    def _start(self, verb: str) -> Life:
        command = [sys.executable, soak_driver.__file__, verb, str(self.grid), "--store", str(self.store.root)]
        options = {
            "run": ["--tracking-uri", self.server.uri, "--reports", str(self.folder / f"reports-{len(self.lives)}")],
            "sync": ["--tracking-uri", self.server.uri],
            "report": ["--reports", str(self.folder / "reports")],
        }
        with (self.folder / "output.txt").open("ab") as log:
            process = subprocess.Popen(
                [*command, *options[verb]], cwd=self.folder, stdout=log, stderr=log, start_new_session=True,
                env=os.environ | {"STUDY_COMMIT": "soak"},
            )  # fmt: skip
        self.lives.append(Life(process, verb))
        return self.lives[-1]

    def _watch(self, drivers: list[Life], share: float) -> None:
        """Sample until this share of the stages is stored, or all of these drivers have ended."""
        while any(driver.process.poll() is None for driver in drivers) and self._stored() < share * self.stages:
            for driver in drivers:
                driver.sample(time.monotonic() - self.began)
            time.sleep(SAMPLE_SECONDS)

    def _stored(self) -> int:
        try:
            return len(os.listdir(self.store.root / "finetune"))
        except FileNotFoundError:
            return 0

    def _check(self) -> None:
        """Every stage is stored, and is one finished run; no run is open."""
        assert len(self.store.keys()) == self.stages
        assert self._query("SELECT count(*) FROM runs WHERE status = 'RUNNING'") == 0
        finished = "FROM runs r JOIN tags t ON t.run_uuid = r.run_uuid AND t.key = 'key' WHERE r.status = 'FINISHED'"
        assert self._query(f"SELECT count(DISTINCT t.value) {finished}") == self.stages
        assert self._query(f"SELECT count(*) {finished}") == self.stages

    def _query(self, statement: str) -> int:
        port = re.findall(r":(\d+)/", self.address)[0]
        return int(str(execute(int(port), "mlflow", statement)[0][0]))

    def _output(self) -> str:
        return (self.folder / "output.txt").read_text(errors="replace")[-3000:]


def end(life: Life) -> None:
    """Kill a driver (SIGKILL) with the processes that it started."""
    if life.process.poll() is None:
        children = psutil.Process(life.process.pid).children(recursive=True)
        life.process.kill()
        for child in children:
            if child.is_running():
                child.send_signal(signal.SIGKILL)
    life.process.wait()


def measures(
    lives: list[Life], restarts: Mapping[str, int], stages: int, seconds: Mapping[str, float], size: int
) -> dict[str, str]:
    """The rows of the table. seconds: until all stages were stored, and delivered, and of the report."""
    drivers = [life for life in lives if life.verb != "report"]
    samples = [sample for life in drivers for sample in life.samples]
    growth = [life.growth for life in drivers if life.growth is not None]

    def duration(name: str) -> str:
        return f"{seconds[name] / 60:.1f} min, {1000 * seconds[name] / stages:.0f} ms per trial"

    return {
        "trials": f"{stages - bench_load.REPLICATES:,}",
        "restarts": ", ".join(f"{number} of a {what}" for what, number in sorted(restarts.items())),
        "until all were stored": duration("stored"),
        "until all were delivered": duration("delivered"),
        "memory of a driver, at most": f"{max(each[1] for each in samples) / 2**30:.2f} GiB",
        "its growth once settled, at most": f"{max(growth):.0f} MiB per hour" if growth else "too short to tell",
        "file descriptors of a driver, at most": f"{max(each[2] for each in samples)}",
        "threads of a driver, at most": f"{max(each[3] for each in samples)}",
        "report": f"{seconds['reported']:.0f} s",
        "size of the database": f"{size / 2**20:.0f} MiB",
    }


def table(rows: Mapping[str, str]) -> str:
    """Markdown."""
    lines = [f"| {name} | {value} |" for name, value in rows.items()]
    return "\n".join(["| measure | value |", "|---|---|", *lines])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trials", nargs="?", type=int, default=20_000)
    parser.add_argument("--write", action="store_true", help="put the table into tests/README.md")
    given = parser.parse_args()
    measurement = measured.Measurement("soak", f"nox -s soak -- {given.trials}")
    with tempfile.TemporaryDirectory(prefix="study-soak-") as folder, database() as address:
        found = table(Soak(Path(folder), given.trials, address).run())
    print(found)
    if given.write:
        measurement.write(found)


if __name__ == "__main__":
    main()
