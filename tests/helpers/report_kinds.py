"""One study of every kind that a report distinguishes, for suites over all plots and tables."""

import math
from collections.abc import Callable
from pathlib import Path

from helpers.data_set_studies import crossed
from helpers.report_samples import BASELINE, KV_HEADS, PRETRAINING, make_study

from study.design.study import Study, Trial

CIFAR = {**BASELINE, "pretrain": None, "finetune": {"dataset": "cifar10", "epochs": 3}}
WIDTHS = {
    "first": {"path": "encoder.ffn_width_first", "levels": [48, *range(50, 90, 2)]},
    "last": {"path": "encoder.ffn_width_last", "levels": [16, *range(18, 58, 2)]},
}
CLAIM = {"claim": "fewer heads lose", "kind": "less", "cells": {"kv heads": 1}}
STUDY_KINDS: dict[str, Callable[[Path], Study]] = {
    "one factor": lambda folder: make_study(folder, {**KV_HEADS, **PRETRAINING}),
    "factorial": lambda folder: make_study(folder, {**KV_HEADS, **PRETRAINING}, design="factorial", replicates=2),
    "one replicate": lambda folder: make_study(folder, {**KV_HEADS, **PRETRAINING}, replicates=1),
    "no matched cells": lambda folder: make_study(  # two cells that differ in both factors
        folder,
        {"x": {"path": "encoder.num_kv_heads", "levels": [1]}, "y": {"path": "encoder.bias", "levels": [False]}},
        design="factorial",
        exclude=[{"when": {"x": "1", "y": "on"}, "reason": "no"}, {"when": {"x": "2", "y": "off"}, "reason": "no"}],
    ),
    "cifar": lambda folder: make_study(folder, KV_HEADS, baseline=CIFAR),
    "adaptive": lambda folder: make_study(
        folder, {**KV_HEADS, **PRETRAINING}, replicates={"min": 2, "max": 3, "until": "claims"}, claims=[CLAIM]
    ),
    "several data sets": lambda folder: crossed(folder),
    "41 cells": lambda folder: make_study(folder, WIDTHS, replicates=2),
}


def varied(trial: Trial) -> float:
    return 0.8 + 0.1 * math.sin(len(trial.cell.name) + trial.replicate) ** 2
