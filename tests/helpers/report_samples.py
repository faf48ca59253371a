"""Stores filled with made-up results, to test reports without training."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from helpers.looks import collect

from study.design.stages import Stage, stages_of
from study.design.study import Study, Trial, expand, load
from study.report import Analysis, Report, Results, analyse
from study.store.results import Result, Store
from study.vit.settings import Encoder

ENCODER = {
    "image_size": 8,
    "patch_size": 2,
    "channels": 1,
    "width": 48,
    "depth": 6,
    "num_heads": 4,
    "num_kv_heads": 2,
    "experts_by_depth": [2, 3, 4],
    "ffn_width_first": 48,
    "ffn_width_last": 16,
}
BASELINE: dict[str, Any] = {
    "encoder": ENCODER,
    "pretrain": {"dataset": "digits", "epochs": 6},
    "finetune": {"dataset": "digits", "epochs": 8},
}
KV_HEADS = {"kv heads": {"path": "encoder.num_kv_heads", "levels": [2, 1, 4]}}
PHOTOS = {"label": "photos", "set": {"pretrain.dataset": "photos"}}
PRETRAINING = {"pre-training": {"path": "pretrain", "levels": [None, PHOTOS], "baseline": "digits"}}

HOSTILE = '=1+a|b_c%d$e$&f<i>g</i>"h*i*`j`\\k{l}~^#@x :tada: \U0001f680 é'
SCRIPT = "<script>alert('x')</script>"
QUESTION = f"What matters?\n\n# {HOSTILE}\n- {SCRIPT} ![x](https://example.com/y.png) https://example.com\n"
COMMITS = ("0123456789abcdef0123456789abcdef01234567", "fedcba9876543210fedcba9876543210fedcba98-dirty")

Accuracy = Callable[[Trial], float]


@dataclass(frozen=True)
class Built:
    """A study, its store and its report."""

    study: Study
    store: Store
    results: Results
    report: Report

    @cached_property
    def analysis(self) -> Analysis:
        return analyse(self.results)

    def text(self, name: str) -> str:
        return (self.report.folder / name).read_text(encoding="utf-8")


def make_study(folder: Path, factors: Mapping[str, Any], **keys: Any) -> Study:
    """A study from a grid file written to the folder."""
    grid = {"study": "made-up", "question": "What matters?", "baseline": BASELINE, "replicates": 3}
    path = folder / "grid.yaml"
    path.write_text(
        json.dumps({**grid, "factors": dict(factors), **keys}, ensure_ascii=False), encoding="utf-8"
    )  # JSON is YAML
    return load(path)


def ramp(trial: Trial) -> float:
    """0.90 for the baseline, 0.01 more for each factor changed; every replicate 0.002 above the one before."""
    return 0.898 + 0.01 * len(trial.cell.changed) + 0.002 * trial.replicate


def collected(study: Study, root: Path, accuracy: Accuracy = ramp) -> Results:
    """The results of a study whose every trial has finished."""
    return collect(study, fill(study, root, accuracy))


def analysed(study: Study, root: Path, accuracy: Accuracy = ramp) -> Analysis:
    """The analyses of a study whose every trial has finished."""
    return analyse(collected(study, root, accuracy))


def unrun(study: Study, root: Path) -> Analysis:
    """The analyses of a study without any result."""
    return analyse(collect(study, Store(root)))


def fill(study: Study, root: Path, accuracy: Accuracy = ramp) -> Store:
    """A store with a result for every stage of the study."""
    store = Store(root)
    for trial in expand(study):
        put(store, trial, accuracy(trial))
    return store


def put(store: Store, trial: Trial, accuracy: float, **origin: Any) -> None:
    """Store all stages of a trial."""
    for stage in stages_of(trial):
        store.save(stage, made_up(stage, accuracy, **origin), b"", {})


def everything(folder: Path) -> tuple[Study, Store]:
    """A study with all that a report must handle (hostile names, failures, exclusions, two commits), and its store."""
    kv_heads = {"path": "encoder.num_kv_heads", "levels": [2, {"label": f"{HOSTILE} one", "value": 1}, 4]}
    factors = {HOSTILE: kv_heads, f"pre-training {SCRIPT}": PRETRAINING["pre-training"]}
    exclude = [{"when": {HOSTILE: "4"}, "reason": f"not {HOSTILE}, nor {SCRIPT}"}]
    claims = [
        {"claim": f"{HOSTILE} helps", "kind": "greater", "cells": {HOSTILE: f"{HOSTILE} one"}, "against": {HOSTILE: 2}},
        {"claim": f"{SCRIPT} costs little", "kind": "equivalent", "cells": {f"pre-training {SCRIPT}": "photos"},
         "margin": 0.01},
    ]  # fmt: skip
    study = make_study(folder, factors, study="every.thing", question=QUESTION, exclude=exclude, claims=claims)
    store = Store(folder / "store")
    for i, trial in enumerate(expand(study)):
        if i == 1:
            store.record_failure(stages_of(trial)[-1], f"RuntimeError: {SCRIPT} | loss is nan\n  in a traceback")
        elif i == 3:
            store.record_failure(stages_of(trial)[0], "OutOfMemory")
        elif i < 10:
            put(store, trial, ramp(trial) + 0.003 * (i % 4), commit=COMMITS[i % 2])
    return study, store


def made_up(stage: Stage, accuracy: float, **origin: Any) -> Result:
    """A result with these accuracies; all other numbers come from a formula."""
    epochs = range(1, stage.epochs + 1)
    history = [_epoch(stage.kind, epoch, len(epochs), accuracy) for epoch in epochs]
    provenance = {
        "commit": COMMITS[0],
        "device": "a processor",
        "platform": "Linux x86_64",
        "threads": 1,
        "versions": {"python": "3.11.2", "torch": "2.13.0"},
        "started": "2026-01-02T03:04:05+00:00",
        "finished": "2026-01-02T03:05:06+00:00",
        **origin,
    }
    metrics = {"val_loss": 1 - accuracy, "train_seconds": 12.5}
    if stage.kind == "finetune":
        metrics |= {"val_accuracy": accuracy - 0.01, "test_accuracy": accuracy, "test_loss": 1 - accuracy}
        metrics |= {"images_per_second": 1600.0}
    return Result(metrics, sizes(stage.settings.encoder), history, load_of(stage.settings.encoder), provenance)


def sizes(encoder: Encoder) -> dict[str, int]:
    """Made-up counts that grow with the encoder. The baseline has 51,840 parameters."""
    params = encoder.width * (sum(encoder.num_experts) * 40 + encoder.num_kv_heads * encoder.depth * 30)
    return {"params": params, "params_active": params // 2, "macs": 17 * params, "macs_active": 8 * params}


def load_of(encoder: Encoder) -> list[list[float]]:
    """Expert e of E gets e parts of 1 + 2 + ... + E."""
    return [[2 * e / (count * (count + 1)) for e in range(1, count + 1)] for count in encoder.num_experts]


def _epoch(kind: str, epoch: int, epochs: int, accuracy: float) -> dict[str, float]:
    grown = 1 - math.exp(-4 * epoch / epochs)
    row = {"epoch": epoch, "train_loss": 2 - grown, "val_loss": 2 - grown * accuracy, "learning_rate": 1e-3}
    if kind == "finetune":
        row["val_accuracy"] = (accuracy - 0.01) * grown
    return {**row, "seconds": 1.5}
