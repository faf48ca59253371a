"""Every number in the derived files of a report, recomputed by a script that has no code of `study`."""

import ast
import shutil
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers import recompute
from helpers.data_set_studies import accuracy, crossed
from helpers.drawn_studies import DESIGNS, Drawn
from helpers.looks import collect
from helpers.paths import ROOT
from helpers.predicted_samples import with_predictions
from helpers.recompute import data_sets
from helpers.report_csvs import write_csvs
from helpers.report_samples import KV_HEADS, PRETRAINING, collected, make_study, put

from study.design.stages import stages_of
from study.design.study import Trial, expand
from study.report import Results, analyse, read
from study.store.results import Store

EXAMPLES = ROOT / "reports" / "examples"
STUDIES = sorted(path.name for path in EXAMPLES.iterdir() if (path / "results.csv").is_file())
RAW = {"results.csv", "history.csv", "expert_load.csv", "tuning.csv", "device.csv"}
KEYS = {
    "number",
    "trial",
    "claim",
    "group",
    "replicate",
    "epoch",
    "block",
    "rank",
    "index",
    "label",
    "results_before",
}  # which row, or not in the report
LEVELS = {"level", "level_a", "level_b", "baseline", "true", "predicted"}  # labels that may look like numbers
NOT_RECOMPUTED = {
    *("bootstrap_low", "bootstrap_high"),  # random resamples
    "x",  # a position that keeps points apart
    *("training_macs", "pretrain_images", "finetune_images"),  # from all settings of a cell, which no raw file has
}


@pytest.fixture(scope="module", params=STUDIES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a report, derived by the present code from the committed results."""
    return write_csvs(read(EXAMPLES / request.param), tmp_path_factory.mktemp("recomputed") / request.param)


def made_up(results: Results, folder: Path) -> Path:
    """The same for made-up results, whose sizes are not those of the settings that budgets are computed from."""
    (write_csvs(results, folder) / "budgets.csv").unlink()
    return folder


def derived(folder: Path) -> dict[str, pd.DataFrame]:
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*.csv")}
    return {name: pd.read_csv(path) for name, path in files.items() if name not in RAW}


def test_every_number_is_recomputed(folder: Path) -> None:
    compared = "search_front" if folder.name == "search" else "effects"  # a search has no effects
    assert_recomputed(folder, {"cells.csv", f"figures/{compared}.csv"})


def assert_recomputed(folder: Path, files: set[str]) -> None:
    """No difference, and no column of numbers that was not compared; these files are among them."""
    differences, compared = recompute.check(folder)
    assert list(map(str, differences)) == []
    assert files <= compared.keys()
    for file, table in derived(folder).items():
        numbers = {name for name in table if pd.api.types.is_numeric_dtype(table[name]) and table[name].notna().any()}
        factors = set(recompute.Raw(folder).factors)  # levels such as 2 and 4
        left = numbers - compared.get(file, set()) - KEYS - NOT_RECOMPUTED - factors
        assert left - LEVELS == set(), file


@pytest.mark.parametrize("failures", ["undecided", "exclude", "worst"])
def test_numbers_with_failed_trials_are_recomputed(failures: str, tmp_path: Path) -> None:
    """Three replicates of one cell of a 2 x 2 design failed: fixed weights, and no tests unless they are excluded."""
    study = make_study(
        tmp_path,
        {
            "heads": {"path": "encoder.num_kv_heads", "levels": [2, 1]},
            "depth": {"path": "encoder.depth", "levels": [6, 4]},
        },
        design="factorial",
        replicates=5,
        failures=failures,
        claims=[{"claim": "fewer heads cost accuracy", "kind": "less", "cells": {"heads": 1}}],
    )
    store = Store(tmp_path / "store")
    for trial in expand(study):
        noise = 0.001 * ((3 * trial.replicate * trial.replicate + len(trial.cell.name)) % 7)
        if len(trial.cell.changed) == 2 and trial.replicate > 2:
            store.record_failure(stages_of(trial)[-1], "NonFiniteLoss: the loss became NaN")
        else:
            put(store, trial, 0.9 - 0.02 * len(trial.cell.changed) + noise)
    folder = made_up(collect(study, store), tmp_path / "report")
    assert_recomputed(folder, {"claims.csv", "cells.csv", "figures/effects.csv", "figures/variance.csv"})


def test_numbers_from_predictions_are_recomputed(tmp_path: Path) -> None:
    """60 test images of four classes; one trial failed, so that its cell has fewer replicates."""
    study = make_study(tmp_path, {**KV_HEADS, **PRETRAINING}, failures="exclude")
    store = Store(tmp_path / "store")
    for i, trial in enumerate(expand(study)):
        if i == 4:
            store.record_failure(stages_of(trial)[-1], "NonFiniteLoss: the loss became NaN")
        else:
            put(store, trial, 0.9 - 0.1 * len(trial.cell.changed) + 0.02 * (i % 3))
    folder = made_up(with_predictions(collect(study, store)), tmp_path / "report")
    assert_recomputed(
        folder, {"cells.csv", "image_comparisons.csv", "classes.csv", "confusions.csv", "hard_images.csv"}
    )


ON_EACH = [
    {"claim": "one head is better", "kind": "greater", "cells": {"kv heads": 1}},
    {"claim": "four heads cost little", "kind": "non_inferior", "cells": {"kv heads": 4}, "margin": 0.02},
    {"claim": "helps more on mnist", "kind": "interaction", "cells": {"images": "mnist", "kv heads": 1}},
    {"claim": "on two of them", "kind": "less", "cells": {"kv heads": 1}, "where": {"images": ["mnist", "fashion"]}},
]  # fmt: skip


def on_several_data_sets(folder: Path, **keys: Any) -> Results:
    """Three methods on three data sets, with noise of which the spread differs by data set."""
    study, draw = crossed(folder, claims=ON_EACH, **keys), Random(4)
    noise = {"digits": 0.002, "mnist": 0.001, "fashion": 0.004}

    def noisy(trial: Trial) -> float:
        return accuracy(trial) + draw.gauss(0, noise[trial.cell.labels["images"]])

    return collected(study, folder / "store", noisy)


@pytest.mark.parametrize("replicates", [3, 5, {"min": 3, "max": 6, "until": "claims"}])
def test_numbers_on_several_data_sets_are_recomputed(replicates: Any, tmp_path: Path) -> None:
    """Verdicts, effects and methods; with five replicates, the errors are pooled within each data set."""
    folder = made_up(on_several_data_sets(tmp_path, replicates=replicates), tmp_path / "report")
    assert_recomputed(folder, {"data_set_claims.csv", "methods.csv", "figures/data_set_effects.csv", "claims.csv"})


def test_the_test_of_ranks_is_recomputed(tmp_path: Path) -> None:
    """By enumeration of all orders; the critical difference is in no file."""
    results = on_several_data_sets(tmp_path)
    raw = recompute.Raw(write_csvs(results, tmp_path / "report"))
    means = np.array([own.mean(axis=0) for own in data_sets.method_values(raw).values()])
    ranking = analyse(results).methods.ranking
    assert ranking is not None
    assert ranking.p_value == pytest.approx(data_sets.friedman_p_value(means))
    assert ranking.critical_difference == pytest.approx(data_sets.nemenyi(3, 3))


def test_contrasts_of_a_sampled_design_are_recomputed(tmp_path: Path) -> None:
    """Of several levels, too; the sample has some of the matched sets."""
    smoothing = {"smoothing": {"path": "finetune.label_smoothing", "levels": [0.0, 0.1]}}
    bias = {"bias": {"path": "encoder.bias", "levels": [False]}}
    compare = [{"cells": {"kv heads": 1}}, {"cells": {"kv heads": [1, 4]}}, {"cells": {"bias": False}}]
    keys: dict[str, Any] = {"design": "factorial", "sample": 9, "replicates": 4, "compare": compare}
    draw = Random(2)
    study = make_study(tmp_path, {**KV_HEADS, **bias, **smoothing}, **keys)
    results = collected(study, tmp_path / "store", lambda trial: 0.9 + draw.gauss(0, 0.003))
    folder = made_up(results, tmp_path / "report")
    assert_recomputed(folder, {"contrasts.csv", "figures/effects.csv", "figures/variance.csv"})
    assert set(pd.read_csv(folder / "contrasts.csv")["sets"]) - {0} != set()


@pytest.mark.parametrize("name", ["tuned", "tuned by replicate", "search", "search for accuracy", "search of factors"])
def test_numbers_of_tunings_and_searches_are_recomputed(name: str, tmp_path: Path) -> None:
    factors, keys = DESIGNS[name]
    study, store, drawn = (
        make_study(tmp_path, factors, **{"replicates": 3, **keys}),
        Store(tmp_path / "store"),
        Random(3),
    )
    Drawn(drawn, failing=0.1, missing=0).tune(study, store)
    files = {"tuning.csv", "cells.csv"} | ({"figures/search_front.csv"} if "search" in name else set())
    assert_recomputed(made_up(collect(study, store), tmp_path / "report"), files)


def test_outlying_runs_are_pooled_by_data_set(tmp_path: Path) -> None:
    """A run 0.02 off stands out on digits, where runs differ by 0.002, but not on fashion, where they do by 0.02."""
    study, draw = crossed(tmp_path, replicates=5), Random(1)

    def off(trial: Trial) -> float:
        noise = 0.02 if trial.cell.labels["images"] == "fashion" else 0.002
        odd = trial.cell.labels["kv heads"] == "1" and trial.replicate == 2
        return accuracy(trial) + draw.gauss(0, noise) - (0.04 if odd else 0)

    folder = made_up(collected(study, tmp_path / "store", off), tmp_path / "report")
    assert_recomputed(folder, {"outlying.csv"})
    assert not any("fashion" in cell for cell in pd.read_csv(folder / "outlying.csv")["cell"])


def on_images_of_their_own(results: Results) -> Results:
    """With predictions of the test images of each data set."""
    parts = [
        with_predictions(replace(results, trials=own), images=200 + 50 * i, seed=i)
        for i, (_, own) in enumerate(results.trials.groupby("images", sort=False))
    ]
    predictions = tuple(replace(part.predictions[0], images=f"{i:064x}") for i, part in enumerate(parts))
    return replace(results, trials=pd.concat([part.trials for part in parts]).sort_index(), predictions=predictions)


@pytest.mark.parametrize("replicates", [4, {"min": 3, "max": 6, "until": "claims"}])
def test_claims_against_numbers_are_recomputed(replicates: object, tmp_path: Path) -> None:
    """Accuracies of 96 to 99 % on 300 test images; all images right in one cell; margins up to 100 % and beyond."""
    one, four = {"kv heads": 1}, {"kv heads": 4}
    claims = [
        {"kind": "greater", "cells": one, "against": "90 %"},
        {"kind": "less", "cells": one, "against": 0.975},
        {"kind": "equivalent", "cells": one, "against": 0.97, "margin": 0.05},
        {"kind": "equivalent", "cells": one, "against": 0.97, "margin": 0.02},
        {"kind": "greater", "cells": four, "against": 0.97},
        {"kind": "less", "cells": four, "against": 1.0},
        {"kind": "greater", "cells": one},
        {"kind": "greater", "cells": one, "against": 0.5, "metric": "val_accuracy"},
    ]
    claims = [{"claim": f"claim {i}", **claim} for i, claim in enumerate(claims)]
    study = make_study(tmp_path, KV_HEADS, claims=claims, replicates=replicates)
    store = Store(tmp_path / "store")
    for trial in expand(study):
        put(store, trial, 1.0 if "4" in trial.cell.name else 0.97 + 0.005 * (trial.replicate % 3))
    folder = made_up(with_predictions(collect(study, store), images=300), tmp_path / "report")
    assert_recomputed(folder, {"claims.csv", "figures/claims.csv"})
    errors = pd.read_csv(folder / "claims.csv")["error"].tolist()
    assert errors[:6] == ["replicates and images"] * 6
    assert errors[6] in ("paired", "pooled")
    assert errors[7] == "replicates"


def test_claims_against_numbers_over_replicates_alone_are_recomputed(tmp_path: Path) -> None:
    """Without predictions, there is no test of a cell that varies by more than a quarter of its distance from 100 %."""
    claims = [
        {
            "claim": f"{metric} of {heads}",
            "kind": "less",
            "metric": metric,
            "cells": {"kv heads": heads},
            "against": 1.0,
        }
        for metric in ("test_accuracy", "val_accuracy")
        for heads in (1, 4)
    ]
    study, draw = make_study(tmp_path, KV_HEADS, claims=claims, replicates=4), Random(1)
    results = collected(
        study, tmp_path / "store", lambda trial: draw.gauss(0.8 if "4" in trial.cell.name else 0.98, 0.006)
    )
    folder = made_up(results, tmp_path / "report")
    assert_recomputed(folder, {"claims.csv"})
    found = pd.read_csv(folder / "claims.csv")
    near = found["note"].fillna("").str.contains("too close to the end")
    assert found["claim"][near].tolist() == ["test_accuracy of 1", "val_accuracy of 1"]


def test_claims_against_numbers_on_several_data_sets_are_recomputed(tmp_path: Path) -> None:
    """Over replicates and images; on validation images over replicates alone, except near 100 % on one data set."""
    on_all = {"images": ["digits", "mnist", "fashion"]}
    claims: list[dict[str, Any]] = [
        {"kind": "greater", "against": "90 %"},
        {"kind": "equivalent", "against": 0.95, "margin": 0.06, "where": on_all},
        {"kind": "less", "against": 0.99, "metric": "val_accuracy", "where": on_all},
    ]
    claims = [{"claim": f"claim {i}", "cells": {"kv heads": 1}, **claim} for i, claim in enumerate(claims)]
    study, draw = crossed(tmp_path, claims=claims, replicates=4), Random(3)
    usual = {"digits": (0.985, 0.01), "mnist": (0.94, 0.004), "fashion": (0.85, 0.01)}
    results = collected(
        study, tmp_path / "store", lambda trial: min(draw.gauss(*usual[trial.cell.labels["images"]]), 0.999)
    )
    folder = made_up(on_images_of_their_own(results), tmp_path / "report")
    assert_recomputed(folder, {"claims.csv", "data_set_claims.csv"})
    found = pd.read_csv(folder / "data_set_claims.csv").set_index(["number", "data_set"])
    near = found["note"].fillna("").str.contains("too close to the end")
    assert near[near].index.tolist() == [(3, "digits")]
    assert found["p_value"].notna().tolist() == (~near).tolist() == [True] * 3 + [False, True, True]


def test_a_changed_number_is_found(tmp_path: Path) -> None:
    folder = write_csvs(read(EXAMPLES / "quickstart"), tmp_path / "report")
    for file, column, row in (
        ("cells.csv", "high", 2),
        ("claims.csv", "p_adjusted", 1),
        ("figures/effects.csv", "sd", 0),
    ):
        whole = shutil.copytree(folder, tmp_path / column)
        table = pd.read_csv(whole / file, dtype=str, keep_default_na=False)
        table.loc[row, column] = str(float(table.loc[row, column]) * 1.1)
        table.to_csv(whole / file, index=False)
        (difference,) = recompute.check(whole)[0]
        assert (difference.expected.file, difference.expected.column) == (file, column)


def test_the_script_has_no_code_of_the_project() -> None:
    for path in (ROOT / "tests" / "helpers" / "recompute").glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        modules = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        modules += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
        assert not [name for name in modules if name.split(".")[0] == "study"], path
        assert not [
            name for name in modules if name.startswith("helpers.") and not name.startswith("helpers.recompute")
        ]
