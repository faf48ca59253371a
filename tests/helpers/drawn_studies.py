"""Studies of every design with drawn claims, failures, missing trials and accuracies, without training."""

from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

from helpers.data_set_studies import FASHION, SCRATCH, images
from helpers.looks import collect
from helpers.predicted_samples import with_predictions
from helpers.report_samples import BASELINE, KV_HEADS, made_up, make_study, put

from study.design.replication import original_of
from study.design.stages import stages_of
from study.design.study import Study, expand
from study.planning.events import Outcome
from study.report import Results
from study.store.results import Store
from study.tuning.stage_source import TuningStageSource
from study.utils.errors import StudyError

HEADS = {"heads": {"path": "encoder.num_kv_heads", "levels": [2, 1]}}
BIAS = {"bias": {"path": "encoder.bias", "levels": [False]}}
SMOOTHING = {"smoothing": {"path": "finetune.label_smoothing", "levels": [0.0, 0.1]}}
PRETRAINING = {"pre-training": {"path": "pretrain", "levels": [None], "baseline": "digits"}}
LONG = {"label": "digits, long", "set": {"finetune.epochs": 20}}
LONG_FASHION = {"label": "fashion, long", "set": {"finetune.dataset": "fashion-mnist", "finetune.epochs": 20}}
RATES = {
    "finetune.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
    "finetune.weight_decay": {"choices": [0.0, 0.05]},
}
SIZES = {"encoder.depth": {"low": 3, "high": 9, "step": 3}, "finetune.learning_rate": {"low": 1e-4, "high": 1e-2}}
HELD = [{"claim": "held before", "kind": "greater", "cells": {"kv heads": 1}}]
SUBSET = {**BASELINE, "finetune": {"dataset": "digits", "epochs": 8, "train_images": 100}}

DESIGNS: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {  # factors, and keys of the grid
    "one factor": ({**KV_HEADS, **BIAS, **PRETRAINING}, {}),
    "add one": ({**HEADS, **BIAS, **SMOOTHING}, {"design": "add_one"}),
    "leave one out": ({**HEADS, **BIAS, **PRETRAINING}, {"design": "leave_one_out"}),
    "both ends": ({**HEADS, **BIAS, **SMOOTHING}, {"design": ["leave_one_out", "add_one"]}),
    "factorial": ({**KV_HEADS, **BIAS}, {"design": "factorial"}),
    "fractional": ({**HEADS, **BIAS, **SMOOTHING, **PRETRAINING}, {"design": "fractional", "resolution": 3}),
    "sample": ({**KV_HEADS, **BIAS, **SMOOTHING}, {"design": "factorial", "sample": 7}),
    "data sets": ({**KV_HEADS, **images(FASHION)}, {"design": "factorial", "baseline": SCRATCH}),
    "data sets, one factor": ({**KV_HEADS, **images(FASHION)}, {"baseline": SCRATCH}),
    "only data sets": (images(FASHION), {"baseline": SCRATCH}),
    "levels of data sets": (
        {**HEADS, **images(LONG, FASHION, LONG_FASHION)},
        {"design": "factorial", "baseline": SCRATCH},
    ),
    "data sets, sampled": (
        {**KV_HEADS, **BIAS, **images(FASHION)},
        {"design": "factorial", "sample": 8, "baseline": SCRATCH},
    ),
    "tuned": ({**HEADS, **BIAS}, {"tune": {"budget": 3, "parameters": RATES}}),
    "tuned by replicate": (HEADS, {"tune": {"seeds": 2, "budget": 2, "parameters": RATES}, "replicates": 2}),
    "search": (
        {},
        {"design": "search", "search": {"trials": 6, "objectives": ["params", "val_accuracy"], "space": SIZES}},
    ),
    "search for accuracy": (
        {},
        {"design": "search", "search": {"trials": 5, "objectives": ["val_accuracy"], "space": SIZES}},
    ),
    "search of factors": (
        {**HEADS, **BIAS},
        {"design": "search", "search": {"trials": 4, "objectives": ["macs", "val_accuracy"]}},
    ),
    "replication": (
        KV_HEADS,
        {"seed": 1, "replication": {"of": "original", "seed": 0, "replicates": 3}, "claims": HELD},
    ),
    "resampled": ({**KV_HEADS, **SMOOTHING}, {"baseline": SUBSET, "resample": ["split", "train_images"]}),
}


def drawn_study(name: str, draw: Random, folder: Path) -> Study:
    """A study of this design. Exclusions, claims and contrasts that the design refuses are left out."""
    factors, keys = DESIGNS[name]
    replicates = keys.get("replicates", draw.choice([1, 2, 3, 4, 5]))
    rule = draw.choice(["undecided", "worst", "exclude"])
    written: dict[str, Any] = {**keys, "study": "drawn", "replicates": replicates, "failures": rule}
    study = make_study(folder, factors, **written)
    if len(study.cells) < 2:
        return study
    if draw.random() < 0.25:
        cell = draw.choice(study.cells[1:])
        study, written = _with(folder, factors, study, written, "exclude", _exclusion(cell.labels, cell.changed))
    for number in range(draw.choice([0, 1, 1, 2, 4])):
        study, written = _with(folder, factors, study, written, "claims", _claim(study, number, draw))
    if draw.random() < 0.3:
        contrast = {"cells": {study.factors[0].name: study.factors[0].levels[1].label}}
        study, written = _with(folder, factors, study, written, "compare", contrast)
    if draw.random() < 0.3 and study.grid.tested_claims and "replicates" not in keys:
        least = max(replicates, 2)
        adaptive = {"min": least, "max": least + draw.choice([1, 2, 5]), "until": "claims"}
        return make_study(folder, factors, **{**written, "replicates": adaptive})
    return study


def _with(
    folder: Path, factors: Mapping[str, Any], study: Study, written: dict[str, Any], key: str, entry: object
) -> tuple[Study, dict[str, Any]]:
    """The study with one more entry of a list, if that is valid."""
    more = {**written, key: [*written.get(key, []), entry]}
    try:
        return make_study(folder, factors, **more), more
    except StudyError:
        return study, written


def _exclusion(labels: Mapping[str, str], changed: tuple[str, ...]) -> dict[str, Any]:
    return {"when": {factor: labels[factor] for factor in changed}, "reason": "for a test"}


def _claim(study: Study, number: int, draw: Random) -> dict[str, Any]:
    kind = draw.choice(["greater", "less", "equivalent", "non_inferior", "interaction"])
    metric = draw.choice(["test_accuracy"] * 3 + ["val_accuracy", "params", "train_seconds", "fp32_ms"])
    factor, other = draw.choice(study.factors), draw.choice(study.factors)
    cells = {factor.name: draw.choice(factor.levels[1:]).label}
    claim: dict[str, Any] = {"claim": f"claim {number}", "kind": kind, "metric": metric, "cells": cells}
    if kind in ("equivalent", "non_inferior"):
        claim["margin"] = 0.01 if "accuracy" in metric else 5
    if kind == "interaction":
        cells[other.name] = other.levels[-1].label
    elif draw.random() < 0.3:
        claim["against"] = 0.9 if "accuracy" in metric else 50
    if other.name not in cells and draw.random() < 0.3:
        claim["where"] = {other.name: draw.choice(other.levels).label}
    return claim


def drawn_results(study: Study, draw: Random, root: Path) -> Results:
    """Results of any subset of its trials, and of those of a study that it replicates."""
    store = Store(root)
    for one in filter(None, (original_of(study), study)):
        drawn = Drawn(draw)
        if one.space is None:
            drawn.fill(one, store)
        else:
            drawn.tune(one, store)
    found = collect(study, store)
    return with_predictions(found) if draw.random() < 0.4 and len(found.done) else found


class Drawn:
    """Noisy accuracies, or a few equal ones; some trials failed, some missing."""

    def __init__(self, draw: Random, failing: float | None = None, missing: float | None = None) -> None:
        self.draw, self.values = draw, [draw.choice([0.0, 0.5, 0.9, 0.913, 1.0]) for _ in range(2)]
        self.noise, self.effect = draw.choice([0.0, 0.003, 0.003, 0.05]), draw.choice([0.0, 0.0, 0.02, 0.2])
        self.failing = draw.choice([0, 0, 0.1, 0.5, 1]) if failing is None else failing
        self.missing = draw.choice([0, 0, 0, 0.1, 0.5, 1]) if missing is None else missing

    def accuracy(self, changed: int) -> float:
        drawn = 0.9 + self.effect * changed + self.draw.gauss(0, self.noise)
        return min(max(drawn if self.noise else self.draw.choice(self.values), 0.0), 1.0)

    def fill(self, study: Study, store: Store) -> None:
        for trial in expand(study):
            if self.draw.random() < self.failing:
                store.record_failure(stages_of(trial)[-1], "OutOfMemory")
            elif self.draw.random() >= self.missing:
                put(store, trial, self.accuracy(len(trial.cell.changed)))

    def tune(self, study: Study, store: Store) -> None:
        """Stages as a sweep asks for them, which may end early."""
        work = TuningStageSource(study, store)
        waiting = work.more()
        while waiting and self.draw.random() >= self.missing / 10:
            stage = waiting.pop(0)
            if self.draw.random() < self.failing:
                store.record_failure(stage, "OutOfMemory")
                work.ended(Outcome(stage, "failed", "OutOfMemory"))
            else:
                store.save(stage, made_up(stage, self.accuracy(0)), b"", {})
                work.ended(Outcome(stage, "done"))
            waiting += work.more()
