"""Profile of a training step and of inference, and a lower bound of their time:
PYTHONPATH=tests python tests/benchmarks/profile_step.py [--write]

Profiles three equivalent models in turns (XXS at 36 px, batches of 64, float32): public code, this project's model
with PyTorch operations only, and this project's model. Set BENCH_THREADS for the number of cores. --write writes the
tables to reports/bench/profile.md.
"""

import os
import platform
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import bench_models
import contenders
import pytest
import torch
from bench_models import Work
from helpers.paths import ROOT
from per_expert import PerExpertClassifier
from torch.profiler import ProfilerActivity, profile

from study.utils.provenance import commit, now, processor
from study.vit.models import cpu

STEPS, ROUNDS = 2, int(os.environ.get("BENCH_ROUNDS", "5"))
KINDS = {
    "linear maps": ("aten::mm", "aten::addmm"),
    "attention's products": ("aten::bmm", "aten::baddbmm", "aten::baddbmm_"),
    "attention's weights": ("softmax", "aten::exp2", "flash_attention"),
    "norms": ("layer_norm",),
    "gather and scatter": ("aten::index", "aten::nonzero", "aten::_index_put", "aten::where"),
    "copies": ("aten::copy_", "aten::cat", "aten::clone"),
}
Columns = dict[str, dict[str, float]]


def plain() -> AbstractContextManager[object]:
    """This project's model with PyTorch's operations, as on GPUs."""
    patch = pytest.MonkeyPatch()
    patch.setattr(cpu, "supports", lambda *_: False)
    return _Undone(patch)


class _Undone(AbstractContextManager[object]):
    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.patch = patch

    def __exit__(self, *_: object) -> None:
        self.patch.undo()


def kind_of(operation: str) -> str:
    return next((kind for kind, names in KINDS.items() if any(name in operation for name in names)), "the rest")


def profiled(work: Callable[[], None]) -> dict[str, float]:
    """Milliseconds of one step by kind of work."""
    with profile(activities=[ProfilerActivity.CPU]) as found:
        for _ in range(STEPS):
            work()
    milliseconds: dict[str, float] = defaultdict(float)
    for event in found.key_averages():
        milliseconds[kind_of(event.key)] += event.self_cpu_time_total / 1000 / STEPS
    return milliseconds


@dataclass(frozen=True)
class Measured:
    """One kind of work of three models."""

    columns: Columns  # milliseconds by kind of operation
    seconds: dict[str, float]  # total, without the profiler
    floor: float  # seconds of its matrix products at the rate of a large one


def measure(training: bool) -> Measured:
    encoder = bench_models.PRESETS["XXS"]
    public = PerExpertClassifier(contenders.classifier(encoder))
    kind = bench_models.training if training else bench_models.inference
    ours = kind(contenders.classifier(encoder), encoder)
    works: dict[str, tuple[Work, Callable[[], AbstractContextManager[object]]]] = {
        "public code": ((bench_models.public_training if training else kind)(public, encoder), nullcontext),
        "plain operations": (ours, plain),
        "this project": (ours, nullcontext),
        "product": (bench_models.large_product(), nullcontext),
    }
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for round_ in range(ROUNDS + 1):
        for name, (work, around) in works.items():
            with around():
                start = time.perf_counter()
                work()
                if round_:  # the first one is a warm-up
                    seconds[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    rate = contenders.GEMM_SIZE**3 / medians.pop("product")
    columns: Columns = {}
    for name in medians:
        work, around = works[name]
        with around():
            columns[name] = profiled(work)
    passes = 3 if training else 1
    return Measured(columns, medians, passes * bench_models.BATCH * contenders.macs(encoder) / rate)


def table(found: Measured, aim: float) -> str:
    columns, seconds, floor = found.columns, found.seconds, found.floor
    lines = [
        _row("milliseconds", columns),
        _row("---", ["---:"] * len(columns)),
        *(_row(kind, [f"{column.get(kind, 0):.0f}" for column in columns.values()]) for kind in [*KINDS, "the rest"]),
        _row("**all, without the profiler**", [f"{1000 * value:.0f}" for value in seconds.values()]),
        _row("share of the large-product rate", [f"{floor / value:.0%}" for value in seconds.values()]),
    ]
    ours, public = seconds["this project"], seconds["public code"]
    return "\n".join(
        [
            *lines,
            "",
            f"At the rate of a large product, all matrix products take {1000 * floor:.0f} ms: a lower bound, so the "
            f"largest possible speed-up over public code is {public / floor:.1f}x. This project reaches "
            f"{public / ours:.2f}x; {aim:g}x would require {aim * floor / public:.0%} of that rate with norms, "
            "softmax, activations and the rest at no cost.",
        ]
    )


def _row(name: str, values: Iterable[str]) -> str:
    return f"| {name} | {' | '.join(values)} |"


def main() -> None:
    if not os.environ.keys() >= bench_models.KEEP_MEMORY.keys():  # read at the start of a process
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | bench_models.KEEP_MEMORY)
    torch.set_num_threads(bench_models.THREADS)
    training, inference = table(measure(True), aim=3), table(measure(False), aim=2)
    where = f"{processor()}, {bench_models.THREADS} threads"
    versions = f"torch {torch.__version__}, Python {platform.python_version()}"
    text = f"""# Where the time goes

XXS, 36 px, batches of 64, float32. {where}, {versions}; commit {commit()[:12]}; {now()}.
Written by `PYTHONPATH=tests python tests/benchmarks/profile_step.py --write`.

## A training step

{training}

## Inference

{inference}
"""
    print(text)
    if "--write" in sys.argv:
        path = ROOT / "reports" / "bench" / "profile.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
