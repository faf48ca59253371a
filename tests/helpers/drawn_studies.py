"""Studies of every design with drawn claims, failures, missing trials and accuracies, without training."""

from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

from helpers.data_set_studies import FASHION, SCRATCH, images
from helpers.looks import collect
from helpers.predicted_samples import with_predictions
from helpers.report_samples import BASELINE, KV_HEADS, make_study, put

from study.design.stages import stages_of
from study.design.study import Study, expand
from study.report import Results
from study.store.results import Store
from study.utils.errors import StudyError

HEADS = {"heads": {"path": "encoder.num_kv_heads", "levels": [2, 1]}}
BIAS = {"bias": {"path": "encoder.bias", "levels": [False]}}
SMOOTHING = {"smoothing": {"path": "finetune.label_smoothing", "levels": [0.0, 0.1]}}
PRETRAINING = {"pre-training": {"path": "pretrain", "levels": [None], "baseline": "digits"}}
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
    "resampled": ({**KV_HEADS, **SMOOTHING}, {"baseline": SUBSET, "resample": ["split", "train_images"]}),
}


def drawn_study(name: str, draw: Random, folder: Path) -> Study:
    """A study of this design. Exclusions, claims and contrasts that the design refuses are left out."""
    factors, keys = DESIGNS[name]
    replicates = draw.choice([1, 2, 3, 4, 5])
    rule = draw.choice(["undecided", "worst", "exclude"])
    study = make_study(folder, factors, **keys, study="drawn", replicates=replicates, failures=rule)
    written: dict[str, Any] = {**keys, "study": "drawn", "replicates": replicates, "failures": rule}
    if draw.random() < 0.25:
        cell = draw.choice(study.cells[1:])
        study, written = _with(folder, factors, study, written, "exclude", _exclusion(cell.labels, cell.changed))
    for number in range(draw.choice([0, 1, 1, 2, 4])):
        study, written = _with(folder, factors, study, written, "claims", _claim(study, number, draw))
    if draw.random() < 0.3:
        contrast = {"cells": {study.factors[0].name: study.factors[0].levels[1].label}}
        study, written = _with(folder, factors, study, written, "compare", contrast)
    if draw.random() < 0.3 and study.grid.tested_claims:
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
    """Results of any subset of its trials: noisy, or a few equal values; some failed, some missing."""
    store, values = Store(root), [draw.choice([0.0, 0.5, 0.9, 0.913, 1.0]) for _ in range(2)]
    noise, effect = draw.choice([0.0, 0.003, 0.003, 0.05]), draw.choice([0.0, 0.0, 0.02, 0.2])
    failing, missing = draw.choice([0, 0, 0.1, 0.5, 1]), draw.choice([0, 0, 0, 0.1, 0.5, 1])
    for trial in expand(study):
        if draw.random() < failing:
            store.record_failure(stages_of(trial)[-1], "OutOfMemory")
        elif draw.random() >= missing:
            value = 0.9 + effect * len(trial.cell.changed) + draw.gauss(0, noise) if noise else draw.choice(values)
            put(store, trial, min(max(value, 0.0), 1.0))
    found = collect(study, store)
    return with_predictions(found) if draw.random() < 0.4 and len(found.done) else found
