"""How fast the models are, in ratios: `python -m pytest tests/benchmarks/bench_models.py` (not part of the tests).

All contenders take turns, round after round, so that whatever else the machine does meets them alike; what is reported
are medians over the rounds of the ratio to this project's model in the same round. Set OMP_NUM_THREADS for the number
of cores, BENCH_ROUNDS for more or fewer rounds. Larger is better for all numbers but milliseconds.
"""

import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import contenders
import pytest
import torch
import torch.nn.functional as F
from per_expert import PerExpertClassifier
from torch import Tensor, nn

from study import config, design
from study.models import Classifier, build_encoder, cpu
from study.training.optim import FlatAdamW, parameter_groups

ROOT = Path(__file__).parents[2]
ROUNDS, BATCH = int(os.environ.get("BENCH_ROUNDS", "7")), 64
PRESETS = {name: config.Encoder.model_validate({"preset": name}) for name in ("XXS", "XS", "S")}

Work = Callable[[], None]
Kind = Callable[[nn.Module, config.Encoder], Work]


def training(model: nn.Module, shape: config.Encoder) -> Work:
    """One step: forward, backward, AdamW."""
    images, labels = batch(shape)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)

    def step() -> None:
        found = model(images)
        optimizer.zero_grad()
        (F.cross_entropy(found.logits_BC, labels) + found.balance_loss).backward()
        optimizer.step()

    return step


def public_training(model: nn.Module, shape: config.Encoder, fused: bool = False) -> Work:
    """One step as the derivative takes it: AdamW parameter by parameter, a clipped norm, the loss read each time."""
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


def inference(model: nn.Module, shape: config.Encoder) -> Work:
    """Logits of one batch."""
    images, _ = batch(shape)
    model.eval()

    def logits() -> None:
        with torch.inference_mode():
            model(images)

    return logits


def batch(shape: config.Encoder) -> tuple[Tensor, Tensor]:
    images = torch.randn(BATCH, shape.channels, shape.image_size, shape.image_size)
    return images, torch.randint(0, contenders.CLASSES, (BATCH,))


def dense(kind: Kind, encoder: config.Encoder) -> Work:
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
    """Seconds of each piece of work in each round: of the second of two calls, as the first finds the memory and the
    caches of another contender."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(ROUNDS):
        for name, work in works.items():
            work()
            start = time.perf_counter()
            work()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def ratio(seconds: dict[str, list[float]], name: str) -> float:
    """How many times as long as ours it takes."""
    return statistics.median(other / ours for other, ours in zip(seconds[name], seconds["ours"], strict=True))


def layer_training(encoder: config.Encoder, block: int) -> Work:
    """Forward and backward pass of one block's experts and router."""
    torch.manual_seed(0)
    layer = build_encoder(encoder).blocks[block].experts
    x_TD = torch.randn(BATCH * (encoder.num_patches + 1), encoder.width, requires_grad=True)
    dy_TD = torch.randn_like(x_TD)

    def step() -> None:
        layer(x_TD)[0].backward(dy_TD)

    return step


def report(title: str, facts: dict[str, float], capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\n{title}, {torch.get_num_threads()} threads, medians of {ROUNDS} rounds")
        for name, value in facts.items():
            print(f"  {name:40s} {value}")


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("kind", [training, inference])
def test_speed(benchmark, capsys: pytest.CaptureFixture[str], kind: Kind, preset: str) -> None:  # type: ignore[no-untyped-def]
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
    facts |= {
        "milliseconds per batch of 64": round(per_batch * 1000, 1),
        "images per second": round(BATCH / per_batch, 1),
        "share of the large-product rate": round(ratio(seconds, "large product") * products, 3),
    }
    benchmark.extra_info.update(facts)
    benchmark.pedantic(ours, rounds=1)
    report(f"{preset} {kind.__name__}", facts, capsys)


@pytest.mark.parametrize("block", [0, 4, 8])
def test_speed_of_experts(benchmark, capsys: pytest.CaptureFixture[str], block: int) -> None:  # type: ignore[no-untyped-def]
    encoder = PRESETS["XXS"]
    ours = layer_training(encoder, block)
    seconds = take_turns({"ours": ours, "gather and scatter": textbook(ours, attention_too=False)})
    facts = {
        "gather and scatter": round(ratio(seconds, "gather and scatter"), 2),
        "milliseconds": round(statistics.median(seconds["ours"]) * 1000, 1),
    }
    benchmark.extra_info.update(facts)
    benchmark.pedantic(ours, rounds=1)
    report(f"experts of block {block} of XXS, training", facts, capsys)


def test_speed_of_small_trials(benchmark, capsys: pytest.CaptureFixture[str]) -> None:  # type: ignore[no-untyped-def]
    """The quickstart's model, whose steps are short: what each step costs besides arithmetic decides."""
    encoder = design.load(ROOT / "grids" / "quickstart.yaml").baseline.settings.encoder
    ours = whole_step(contenders.classifier(encoder), encoder)
    seconds = take_turns(
        {
            "ours": repeated(ours),
            "plain operations, fused AdamW": plain_steps(encoder, fused=True),
            "plain operations, AdamW": plain_steps(encoder, fused=False),
        }
    )
    steps = {name: round(20 / statistics.median(seconds[name]), 1) for name in seconds}
    facts = {f"steps per second: {name}": value for name, value in steps.items()}
    facts |= {f"ours over {name}": round(ratio(seconds, name), 2) for name in seconds if name != "ours"}
    benchmark.extra_info.update(facts)
    benchmark.pedantic(ours, rounds=1)
    report("the quickstart's model, training", facts, capsys)


def whole_step(model: Classifier, shape: config.Encoder) -> Work:
    """One step as this project trains: the flat optimizer, a clipped norm, nothing read back."""
    images, labels = batch(shape)
    optimizer = FlatAdamW(parameter_groups(model, 0.05), clip_norm=1.0)

    def step() -> None:
        found = model(images)
        optimizer.descend(F.cross_entropy(found.logits_BC, labels) + found.balance_loss, 1e-3)

    return step


def repeated(work: Work) -> Work:
    def run() -> None:
        for _ in range(20):
            work()

    return run


def plain_steps(shape: config.Encoder, fused: bool) -> Work:
    return repeated(plainly(public_training(contenders.classifier(shape), shape, fused)))


def plainly(work: Work) -> Work:
    """In PyTorch's own operations, without the hand-written CPU forms."""

    def run() -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cpu, "suits", lambda *_: False)
            work()

    return run
