"""Training throughput on a GPU: python -m pytest tests/benchmarks/bench_gpu.py -s (skipped without a GPU).

XXS and S at 36 px, eager and compiled, bfloat16 autocast, batches of 128 to 4,096. Reports images per second and the
shares of two upper bounds that are measured in the same run. Compute: the time of the step's matrix products at the
rate of a large bfloat16 product. Memory: the time to write and read once everything that the step keeps for its
backward pass, at the rate of a large copy. BENCH_GPU_OUT is a file to which the table is also written.
"""

import os
from collections.abc import Callable
from pathlib import Path

import bench_models
import contenders
import pytest
import torch
import torch.nn.functional as F

from study.utils.provenance import commit, now
from study.vit.models import Classifier
from study.vit.training.flat_optimizer import FlatOptimizer
from study.vit.training.parameter_groups import parameter_groups

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here: nothing to measure")

BATCHES = (128, 256, 512, 1024, 2048, 4096)
STEPS = 20


def seconds_of(work: Callable[[], object], repeats: int) -> float:
    """Seconds of one call, by the clock of the device, after three warm-up calls."""
    for _ in range(3):
        work()
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(repeats):
        work()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) / 1000 / repeats


def product_rate() -> float:
    """Multiply-adds per second of a large bfloat16 product."""
    a = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
    return 8192**3 / seconds_of(lambda: a @ a, 10)


def copy_rate() -> float:
    """Bytes per second, read and written, of a large copy."""
    a = torch.empty(2**29, device="cuda", dtype=torch.uint8)
    b = torch.empty_like(a)
    return 2 * a.numel() / seconds_of(lambda: b.copy_(a), 10)


def step(model: Classifier, run: Callable[..., object], batch: int) -> Callable[[], None]:
    shape = model.encoder.config
    images = torch.randn(batch, shape.channels, shape.image_size, shape.image_size, device="cuda")
    labels = torch.randint(0, contenders.CLASSES, (batch,), device="cuda")
    optimizer = FlatOptimizer("adamw", parameter_groups(model, 0.05), clip_norm=1.0)

    def train() -> None:
        with torch.autocast("cuda", torch.bfloat16):
            made = run(images)
        optimizer.descend(F.cross_entropy(made.logits_BC.float(), labels) + made.balance_loss, 1e-3)

    return train


@pytest.mark.parametrize("preset", ["XXS", "S"])
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_training(capsys: pytest.CaptureFixture[str], preset: str, compiled: bool) -> None:
    encoder = bench_models.PRESETS[preset]
    products, copies = product_rate(), copy_rate()
    lines = []
    for batch in BATCHES:
        torch.compiler.reset()
        model = contenders.classifier(encoder).cuda().train()
        train = step(model, torch.compile(model, dynamic=False) if compiled else model, batch)
        train()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        train()
        kept = torch.cuda.max_memory_allocated() - before
        seconds = seconds_of(train, STEPS)
        compute, memory = 3 * batch * contenders.macs(encoder) / products, 2 * kept / copies
        lines.append(
            f"| {preset} | {'compiled' if compiled else 'eager'} | {batch} | {batch / seconds:,.0f} | "
            f"{compute / seconds:.0%} | {memory / seconds:.0%} |"
        )
        assert seconds > 0
    head = (
        f"{torch.cuda.get_device_name()}, torch {torch.__version__}, commit {commit()[:12]}, {now()}\n\n"
        "| size | | batch | images/s | of the compute ceiling | of the memory ceiling |\n|---|---|---:|---:|---:|---:|"
    )
    text = "\n".join([head, *lines])
    with capsys.disabled():
        print(f"\n{text}")
    if out := os.environ.get("BENCH_GPU_OUT"):
        with Path(out).open("a", encoding="utf-8") as file:
            file.write(f"{text}\n\n")
