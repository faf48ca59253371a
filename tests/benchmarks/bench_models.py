"""Speed of the models, as ratios: `python -m pytest tests/benchmarks/bench_models.py` (not part of the tests).

Contenders are timed in turns, so that other load on the machine affects all of them. Reported are medians over the
rounds of the ratio to this project's model in the same round. Each measurement runs in its own process, in which glibc
never returns memory to the system: otherwise large intermediate results sometimes need new pages, depending on the
layout of the heap, and a model with many of them may be half as fast in one run as in the next. Set BENCH_THREADS for
the number of cores (2), BENCH_ROUNDS for the number of rounds. Larger is better, except for milliseconds.
"""

import functools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import contenders
import pytest
import torch
import torch.nn.functional as F
from helpers.paths import ROOT
from per_expert import PerExpertClassifier
from torch import Tensor, nn

from study.design.study import load
from study.vit import settings
from study.vit.models import Classifier, build_encoder, cpu
from study.vit.training.flat_optimizer import FlatOptimizer
from study.vit.training.parameter_groups import parameter_groups

THREADS = int(os.environ.get("BENCH_THREADS", "2"))
ROUNDS, BATCH = int(os.environ.get("BENCH_ROUNDS", "7")), 64
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": "8000000000", "MALLOC_TRIM_THRESHOLD_": "8000000000"}
PRESETS = {name: settings.Encoder.model_validate({"preset": name}) for name in ("XXS", "XS", "S")}

Facts = dict[str, float]
Work = Callable[[], None]
Kind = Callable[[nn.Module, settings.Encoder], Work]


def training(model: nn.Module, shape: settings.Encoder) -> Work:
    """One step: forward, backward, AdamW."""
    images, labels = batch(shape)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)

    def step() -> None:
        found = model(images)
        optimizer.zero_grad()
        (F.cross_entropy(found.logits_BC, labels) + found.balance_loss).backward()
        optimizer.step()

    return step


def public_training(model: nn.Module, shape: settings.Encoder, fused: bool = False) -> Work:
    """One step as in the public derivative: AdamW per parameter, a clipped norm, the loss read at each step."""
    images, labels = batch(shape)
    optimizer = torch.optim.AdamW(model.parameters(), fused=fused)

    def step() -> None:
        optimizer.zero_grad()
        found = model(images)
        loss = F.cross_entropy(found.logits_BC, labels) + found.balance_loss
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        loss.item()

    return step


def inference(model: nn.Module, shape: settings.Encoder) -> Work:
    """Logits of one batch."""
    images, _ = batch(shape)
    model.eval()

    def logits() -> None:
        with torch.inference_mode():
            model(images)

    return logits


def batch(shape: settings.Encoder) -> tuple[Tensor, Tensor]:
    images = torch.randn(BATCH, shape.channels, shape.image_size, shape.image_size)
    return images, torch.randint(0, contenders.CLASSES, (BATCH,))


def dense(kind: Kind, encoder: settings.Encoder) -> Work:
    return kind(contenders.classifier(encoder), encoder)


def textbook(work: Work, attention_too: bool) -> Work:
    def run() -> None:
        with contenders.textbook(attention_too):
            work()

    return run


def large_product() -> Work:
    a = torch.randn(contenders.GEMM_SIZE, contenders.GEMM_SIZE)

    def multiply() -> None:
        torch.mm(a, a)

    return multiply


def take_turns(works: dict[str, Work]) -> dict[str, list[float]]:
    """Seconds of each contender in each round. The second of two calls is timed: in the first one, memory and caches
    are those of another contender."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(ROUNDS):
        for name, work in works.items():
            work()
            start = time.perf_counter()
            work()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def ratio(seconds: dict[str, list[float]], name: str) -> float:
    """Its time relative to ours."""
    return statistics.median(other / ours for other, ours in zip(seconds[name], seconds["ours"], strict=True))


def layer_training(encoder: settings.Encoder, block: int) -> Work:
    """Forward and backward pass of one block's experts and router."""
    torch.manual_seed(0)
    layer = build_encoder(encoder).blocks[block].experts
    x_TD = torch.randn(BATCH * (encoder.num_patches + 1), encoder.width, requires_grad=True)
    dy_TD = torch.randn_like(x_TD)

    def step() -> None:
        layer(x_TD)[0].backward(dy_TD)

    return step


def speed(kind: Kind, preset: str) -> Facts:
    """A step or a batch of one of the paper's models against all contenders."""
    encoder = PRESETS[preset]
    ours = kind(contenders.classifier(encoder), encoder)
    public = PerExpertClassifier(contenders.classifier(encoder))
    seconds = take_turns(
        {
            "ours": ours,
            "per expert, as public code does": (public_training if kind is training else kind)(public, encoder),
            "gather and scatter": textbook(ours, attention_too=False),
            "gather and scatter, repeated kv heads": textbook(ours, attention_too=True),
            "dense, equal parameters": dense(kind, contenders.dense_of_equal_params(encoder)),
            "dense, equal multiply-adds": dense(kind, contenders.dense_of_equal_macs(encoder)),
            "large product": large_product(),
        }
    )
    products = BATCH * contenders.macs(encoder) * (3 if kind is training else 1) / contenders.GEMM_SIZE**3
    per_batch = statistics.median(seconds["ours"])
    facts = {name: round(ratio(seconds, name), 2) for name in seconds if name not in ("ours", "large product")}
    return facts | {
        "milliseconds per batch of 64": round(per_batch * 1000, 1),
        "images per second": round(BATCH / per_batch, 1),
        "share of the large-product rate": round(ratio(seconds, "large product") * products, 3),
    }


def speed_of_experts(block: int) -> Facts:
    """The experts of one block of XXS only, forward and backward pass."""
    ours = layer_training(PRESETS["XXS"], block)
    seconds = take_turns({"ours": ours, "gather and scatter": textbook(ours, attention_too=False)})
    return {
        "gather and scatter": round(ratio(seconds, "gather and scatter"), 2),
        "milliseconds": round(statistics.median(seconds["ours"]) * 1000, 1),
    }


def speed_of_small_trials() -> Facts:
    """The quickstart's model, whose steps are so short that their overhead matters most."""
    encoder = load(ROOT / "grids" / "quickstart.yaml").baseline.settings.encoder
    seconds = take_turns(
        {
            "ours": repeated(whole_step(contenders.classifier(encoder), encoder)),
            "plain operations, fused AdamW": plain_steps(encoder, fused=True),
            "plain operations, AdamW": plain_steps(encoder, fused=False),
        }
    )
    steps = {name: round(20 / statistics.median(seconds[name]), 1) for name in seconds}
    facts = {f"steps per second: {name}": value for name, value in steps.items()}
    return facts | {f"ours over {name}": round(ratio(seconds, name), 2) for name in seconds if name != "ours"}


def whole_step(model: Classifier, shape: settings.Encoder) -> Work:
    """One step as this project trains: the flat optimizer, a clipped norm, nothing read back."""
    images, labels = batch(shape)
    optimizer = FlatOptimizer("adamw", parameter_groups(model, 0.05), clip_norm=1.0)

    def step() -> None:
        found = model(images)
        optimizer.descend(F.cross_entropy(found.logits_BC, labels) + found.balance_loss, 1e-3)

    return step


def repeated(work: Work) -> Work:
    def run() -> None:
        for _ in range(20):
            work()

    return run


def plain_steps(shape: settings.Encoder, fused: bool) -> Work:
    return repeated(plainly(public_training(contenders.classifier(shape), shape, fused)))


def plainly(work: Work) -> Work:
    """With PyTorch's operations, without the CPU implementations."""

    def run() -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cpu, "supports", lambda *_: False)
            work()

    return run


MEASUREMENTS: dict[str, tuple[int, Callable[[], Facts]]] = {
    **{
        f"{preset} {kind.__name__}": (THREADS, functools.partial(speed, kind, preset))
        for kind in (training, inference)
        for preset in PRESETS
    },
    **{
        f"experts of block {block} of XXS, training": (THREADS, functools.partial(speed_of_experts, block))
        for block in (0, 4, 8)
    },
    "the quickstart's model, training": (1, speed_of_small_trials),  # a stage of it has one core
}


def apart(name: str) -> Facts:
    """One measurement in its own process."""
    command = [sys.executable, __file__, name]
    ended = subprocess.run(command, env=os.environ | KEEP_MEMORY, capture_output=True, text=True, check=True)
    found: Facts = json.loads(ended.stdout)
    return found


@pytest.mark.parametrize("name", MEASUREMENTS)
def test_speed(benchmark, capsys: pytest.CaptureFixture[str], name: str) -> None:  # type: ignore[no-untyped-def]
    facts = benchmark.pedantic(apart, (name,), rounds=1)
    benchmark.extra_info.update(facts)
    with capsys.disabled():
        print(f"\n{name}, {MEASUREMENTS[name][0]} threads, medians of {ROUNDS} rounds")
        for fact, value in facts.items():
            print(f"  {fact:40s} {value}", flush=True)


def main() -> None:
    threads, measure = MEASUREMENTS[sys.argv[1]]
    torch.set_num_threads(threads)
    print(json.dumps(measure()))


if __name__ == "__main__":
    main()
