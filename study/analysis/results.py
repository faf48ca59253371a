"""A study's results as tables, and how they are read from the files of a report."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from study.analysis.facts import StudyFacts, TuningFacts
from study.analysis.predictions import Predicted, decode
from study.analysis.short_keys import completed, shortened
from study.analysis.stats import image_results
from study.analysis.stats.error_choice import ErrorChoice, choose
from study.analysis.stats.failed import Failed, counted, failed_by_cell
from study.design.factors import RESULT_COLUMNS
from study.design.metrics import BY_REPLICATE
from study.utils.csv_cells import unguarded
from study.utils.errors import Advice, StudyError

Kinds = Mapping[str, str]

FACTS_FILE = "study.json"
GRID_FILE = "grid.yaml"
REBUILD = Advice("to rebuild the report", "report")
ADDED = frozenset(("code", "started", "finished", "host", "gpu"))  # columns that files of earlier versions lack
WHOLE = ("replicate", "params", "params_active", "macs", "macs_active", "seed")
TRIAL_KINDS: Kinds = {
    column: "Int64" if column in WHOLE else "float64" if column in BY_REPLICATE else "str" for column in RESULT_COLUMNS
}
HISTORY_KINDS: Kinds = {
    "stage": "str",
    "key": "str",
    "epoch": "Int64",
    **dict.fromkeys(("train_loss", "val_loss", "val_accuracy", "learning_rate", "seconds"), "float64"),
}
TUNING_KINDS: Kinds = {
    "cell": "str",
    "trial": "Int64",
    "status": "str",
    "best": "str",
    "val_accuracy": "float64",
    "train_seconds": "float64",
    "key": "str",
    "run_id": "str",
    "reason": "str",
}
DEVICE_FILE = "device.csv"
DEVICE_KINDS: Kinds = {
    **dict.fromkeys(("cell", "key"), "str"),
    **dict.fromkeys(("fp32_bytes", "int8_bytes"), "Int64"),
    **dict.fromkeys(("fp32_ms", "int8_ms", "fp32_accuracy", "int8_accuracy", "tolerance"), "float64"),
    **dict.fromkeys(("processor", "commit", "measured"), "str"),
}
SEARCH_KINDS: Kinds = {
    "test_accuracy": "float64",
    "params": "Int64",
    "macs": "Int64",
    "latency": "float64",
    "epochs": "Int64",
}
PREDICTIONS_FILE = "predictions.npz"
LOAD_KINDS: Kinds = {"stage": "str", "key": "str", "block": "Int64", "expert": "Int64", "share": "float64"}


@dataclass(frozen=True)
class Results:
    """The results of a study, as far as it has been run: tables and facts, nothing computed from them.

    trials       one row per trial, plus one per excluded cell: `RESULT_COLUMNS` and a column per factor (its level);
                 accuracies are shares from 0 to 1; `status` is done, failed, missing, other data or
                 excluded, `reason` explains it
    history      one row per epoch of a finished stage; `key` is a trial's `key` or `pretrain_key`
    tuning       one row per tuning trial: `TUNING_KINDS` and a column per parameter (its value as JSON);
                 `replicate` if each replicate has its own tuning
    expert_load  one row per expert of a block (both from 1): its share of the routed tokens, after the last epoch
    device       one row per cell whose model was exported: sizes, latencies, validation accuracies (`study export`)
    predictions  the predicted class of every test image by trial, one entry per test split; trials that were stored
                 without predictions are in none
    """

    facts: StudyFacts
    trials: pd.DataFrame
    history: pd.DataFrame
    expert_load: pd.DataFrame
    grid: str = ""  # the grid file's text; empty for reports of older versions
    tuning: pd.DataFrame = field(default_factory=lambda: table([], TUNING_KINDS))
    device: pd.DataFrame = field(default_factory=lambda: table([], DEVICE_KINDS))
    predictions: tuple[Predicted, ...] = ()

    @cached_property
    def accuracies(self) -> dict[str, dict[int, float]]:
        """Test accuracy by cell and replicate, of the trials that have one, failed ones as the study counts them."""
        found: dict[str, dict[int, float]] = {cell.name: {} for cell in self.facts.included}
        rows = self.counted[self.counted["status"] != "excluded"]
        columns = (rows[name].tolist() for name in ("cell", "replicate", "test_accuracy"))
        for cell, replicate, accuracy in zip(*columns, strict=True):
            if not pd.isna(accuracy) and math.isfinite(accuracy):
                found[cell][int(replicate)] = accuracy
        return found

    @cached_property
    def error(self) -> ErrorChoice[str]:
        """The error of differences of test accuracy, from all cells of the study."""
        return choose(self.accuracies, is_share=True)

    @cached_property
    def judged(self) -> pd.DataFrame:
        """The trials as claims are judged on them: if a claim compares a test accuracy with a number, with the test
        images that each trial of its cells classifies correctly."""
        cells = {tuple(cell.labels.values()): cell.name for cell in self.facts.included}
        factors = self.facts.labels_by_factor
        compared = image_results.compared_cells(self.facts.tested_claims, list(cells), factors)
        if not compared:
            return self.trials
        wanted = set(self.done.loc[self.done["cell"].isin([cells[labels] for labels in compared]), "key"])
        right = {
            key: image_results.RightImages(own.images, predicted_N == own.labels_N)
            for own in self.predictions
            for key, predicted_N in zip(own.keys, own.predicted_TN, strict=True)
            if key in wanted
        }
        return image_results.with_right_images(self.trials, [right.get(key) for key in self.trials["key"]])

    @cached_property
    def counted(self) -> pd.DataFrame:
        """The trials, with the worst value in place of failed ones if the study counts them so."""
        return counted(self.trials, self.facts.failures)

    @cached_property
    def failed(self) -> dict[str, Failed]:
        """The included cells with failed trials, by name."""
        return {found.cell: found for found in failed_by_cell(self.trials, self.facts.labels_by_factor).values()}

    @cached_property
    def done(self) -> pd.DataFrame:
        """The trials that have a result."""
        return self.trials[self.trials["status"] == "done"]

    def tables(self) -> dict[str, pd.DataFrame]:
        """All tables as they are written, by file name."""
        tables = {"results.csv": self.trials}
        tables |= {"history.csv": shortened(self.history), "expert_load.csv": shortened(self.expert_load)}
        tuning = {"tuning.csv": self.tuning} if self.facts.tuning else {}
        return tables | tuning | ({DEVICE_FILE: self.device} if len(self.device) else {})


def read(folder: Path | str = ".") -> Results:
    """The results in a report's folder, as `build` wrote them. Raises StudyError if they are missing or damaged."""
    folder = Path(folder)
    try:
        facts = StudyFacts.model_validate_json((folder / FACTS_FILE).read_bytes())
        factors = dict.fromkeys(facts.factor_names, "str")
        trials = _read_table(folder / "results.csv", {**TRIAL_KINDS, **factors})
        return Results(
            facts,
            trials,
            completed(_read_table(folder / "history.csv", HISTORY_KINDS), trials),
            completed(_read_table(folder / "expert_load.csv", LOAD_KINDS), trials),
            _read_grid(folder / GRID_FILE),
            _read_table(folder / "tuning.csv", tuning_kinds(facts.tuning)) if facts.tuning else table([], TUNING_KINDS),
            _read_device(folder / DEVICE_FILE),
            _read_predictions(folder / PREDICTIONS_FILE),
        )
    except FileNotFoundError as error:
        name = Path(error.filename).name
        raise StudyError(f"{folder}: {name} not found", REBUILD) from None
    except ValueError as error:
        first = str(error).splitlines()[0]
        raise StudyError(f"{folder}: invalid report files ({first})", REBUILD) from None


def tuning_kinds(facts: TuningFacts) -> Kinds:
    """The columns of `Results.tuning`."""
    values = dict.fromkeys((parameter.name for parameter in facts.parameters), "str")
    own: Kinds = {"replicate": "Int64"} if facts.tunings > 1 else {}
    return {"cell": "str", **own, **TUNING_KINDS, **(SEARCH_KINDS if facts.searches else {}), **values}


def table(rows: list[dict[str, object]], kinds: Kinds) -> pd.DataFrame:
    """Rows as a table with these columns and kinds; missing values are empty."""
    columns = {
        name: pd.Series([row.get(name, "" if kind == "str" else None) for row in rows], dtype=kind)
        for name, kind in kinds.items()
    }
    return pd.DataFrame(columns)


def _read_device(path: Path) -> pd.DataFrame:
    return _read_table(path, DEVICE_KINDS) if path.is_file() else table([], DEVICE_KINDS)


def _read_predictions(path: Path) -> tuple[Predicted, ...]:
    """None in reports of older versions."""
    return decode(path.read_bytes()) if path.is_file() else ()


def _read_grid(path: Path) -> str:
    return path.read_bytes().decode("utf-8") if path.is_file() else ""


def _read_table(path: Path, kinds: Kinds) -> pd.DataFrame:
    """Levels are kept as text, also 'none' or '01'. Numbers are parsed by Python, hence exactly."""
    found = pd.read_csv(path, dtype=str, keep_default_na=False).rename(columns=unguarded)
    for name in ADDED.intersection(kinds).difference(found.columns):
        found[name] = ""
    if missing := [name for name in kinds if name not in found.columns]:
        raise ValueError(f"{path.name} has no column {missing[0]!r}")
    return pd.DataFrame({name: _as_kind(found[name], kind) for name, kind in kinds.items()})


def _as_kind(column: "pd.Series[str]", kind: str) -> "pd.Series[Any]":
    if kind == "str":
        return column.map(unguarded).astype("str")
    number = int if kind == "Int64" else float
    return pd.Series([number(text) if text else None for text in column], dtype=kind)
