"""Studies on several data sets with made-up results: names only, nothing is read or trained."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from helpers.report_samples import BASELINE, KV_HEADS, make_study

from study.design.study import Study, Trial

SCRATCH: dict[str, Any] = {**BASELINE, "pretrain": None}
MNIST = {"label": "mnist", "set": {"finetune.dataset": "mnist"}}
FASHION = {"label": "fashion", "set": {"finetune.dataset": "fashion-mnist"}}
SVHN = {"label": "svhn", "set": {"finetune.dataset": "svhn"}}
HARD = {"digits": 0.0, "mnist": 0.03, "fashion": -0.10, "svhn": -0.30}  # how much easier than digits


def images(*others: dict[str, Any]) -> dict[str, Any]:
    """The factor whose levels are data sets; digits is the baseline's."""
    return {"images": {"baseline": "digits", "levels": list(others)}}


def crossed(folder: Path, others: Sequence[dict[str, Any]] = (MNIST, FASHION), **keys: Any) -> Study:
    """Kv heads on every data set: 3 methods on 1 + len(others) data sets, all combinations."""
    keys = {"baseline": SCRATCH, "design": "factorial", **keys}
    return make_study(folder, {**KV_HEADS, **images(*others)}, **keys)


def accuracy(trial: Trial) -> float:
    """One kv head is 0.02 better on digits, 0.01 on mnist and 0.01 worse on fashion; four heads 0.01 worse everywhere.

    Replicates of one kv head differ from the baseline's by -0.001, 0 and 0.001 more, in turn.
    """
    data_set, heads = trial.cell.labels["images"], trial.cell.labels["kv heads"]
    gain = {"1": {"digits": 0.02, "mnist": 0.01, "fashion": -0.01, "svhn": 0.0}[data_set], "4": -0.01}.get(heads, 0.0)
    turn = 0.001 * ((trial.replicate - 1) % 3 - 1)
    return 0.9 + HARD[data_set] + gain + 0.002 * trial.replicate + (turn if heads == "1" else 0.0)
