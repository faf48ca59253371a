"""Overhead of the harness per trial: `nox -s load`, or `nox -s load -- TRIALS`.

Runs a study of TRIALS trials (10,000) completely: plan, Ray and its workers, store, MLflow on SQLite, report. Only
training is replaced, inside the workers, by a function that immediately returns a result of the usual form, so that
everything except training is measured. bench_plan.py measures the plan of 100,000 cells.
"""

import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import bench_plan
from helpers.looks import make_plan
from rich.console import Console
from without_training import without_training

from study import tracking
from study.cli import run as sweep
from study.cli.places import Places
from study.cli.sync import sync
from study.design.study import load
from study.execution import worker
from study.planning.state import StudyState
from study.store.results import Store

REPLICATES, RATES, EPOCHS = 5, 20, 3
GOALS = {"ms per trial": 50.0, "GiB of the driver": 2.0, "s for the report": 60.0, "s for 100,000 cells' plan": 10.0}


def grid(trials: int) -> dict[str, Any]:
    """A full factorial of two fine-tuning factors: all cells of a replicate share one pre-training."""
    cells = max(1, trials // REPLICATES)
    rates = [round(1e-3 * (1 + i / RATES), 6) for i in range(min(RATES, cells))]
    decays = [round(1e-2 * (1 + i / 100), 6) for i in range(-(-cells // len(rates)))]
    encoder = {"image_size": 8, "patch_size": 4, "channels": 1, "width": 16, "depth": 2, "num_heads": 2}
    return {
        "study": "load",
        "question": "What does the harness cost?",
        "baseline": {
            "encoder": {
                **encoder,
                "num_kv_heads": 1,
                "experts_by_depth": [2],
                "ffn_width_first": 8,
                "ffn_width_last": 8,
            },
            "pretrain": {"dataset": "digits", "epochs": EPOCHS},
            "finetune": {"dataset": "digits", "epochs": EPOCHS, "learning_rate": rates[0], "weight_decay": decays[0]},
        },
        "factors": {
            "rate": {"path": "finetune.learning_rate", "levels": rates},
            "decay": {"path": "finetune.weight_decay", "levels": decays},
        },
        "design": "factorial",
        "replicates": REPLICATES,
    }


class Stopwatch:
    """Wraps functions of a module; returns the seconds spent in each, by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def watch(self, module: Any, name: str) -> None:
        function = getattr(module, name)

        def timed(*arguments: Any, **options: Any) -> Any:
            began = time.monotonic()
            try:
                return function(*arguments, **options)
            finally:
                self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - began

        setattr(module, name, timed)


def peak(who: int = resource.RUSAGE_SELF) -> float:
    """GiB."""
    return resource.getrusage(who).ru_maxrss / (2**20 if sys.platform == "linux" else 2**30)


def run(trials: int, folder: Path) -> dict[str, float]:
    path = folder / "load.yaml"
    path.write_text(json.dumps(grid(trials)))
    watch = Stopwatch()
    for name in ("_run_round", "write_report"):
        watch.watch(sweep, name)
    worker.run_bundle = without_training(worker.run_bundle)
    store = Store(folder / "store")
    began, busy = time.monotonic(), time.process_time()
    plan = make_plan(load(path), store)
    planned = time.monotonic()
    with (folder / "output.txt").open("w") as output:
        places = Places(folder / "reports", tracking.default_uri(store))
        console = Console(file=output, soft_wrap=True)
        code = sweep.run(plan.state, places, console)
        state = StudyState.look(plan.study, store)
        sync(state, places, console)  # the rest: a sweep that has ended waits for a minute at most
    ended, busy = time.monotonic(), time.process_time() - busy
    assert code == 0, (folder / "output.txt").read_text()[-2000:]
    assert make_plan(plan.study, store).missing == []
    assert tracking.undelivered(state, places.tracking_uri) == []
    swept = ended - planned - watch.seconds["write_report"]
    return {
        "trials": len(plan.trials),
        "plan, s": planned - began,
        "fan-out, s": watch.seconds["_run_round"],
        "fan-out and MLflow, s": swept,
        "report, s": watch.seconds["write_report"],
        "driver's CPU, ms per trial": 1000 * busy / len(plan.trials),
        "ms per trial": 1000 * swept / len(plan.trials),
        "GiB of the driver": peak(),
    }


def main() -> None:
    trials = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with tempfile.TemporaryDirectory(prefix="study-load-") as folder:
        for name, value in run(trials, Path(folder)).items():
            print(f"{name:24} {value:,.2f}", flush=True)
    bench_plan.main()


if __name__ == "__main__":
    main()
