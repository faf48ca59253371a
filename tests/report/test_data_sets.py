"""Reports of studies on several data sets: sentences, tables, figure and files."""

import io
import math
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from helpers import data_samples
from helpers.data_set_studies import FASHION, MNIST, SCRATCH, SVHN, accuracy, crossed, images
from helpers.own_data import run_all
from helpers.predicted_samples import with_predictions
from helpers.report_samples import KV_HEADS, Built, analysed, collected, make_study
from helpers.tiny_grid import TINY
from PIL import Image, ImageOps

from study.design.study import Trial
from study.planning.state import StudyState
from study.report import Analysis, analyse, build, collect, read
from study.report.plots import PLOTS
from study.report.sections import outline
from study.report.summary import answers
from study.report.tables import TABLES
from study.store.results import Store

CLAIM = {"claim": "one head is better", "kind": "greater", "cells": {"kv heads": 1}}
TWO_HEADS = {"claim": "two heads are better", "kind": "greater", "cells": {"kv heads": 2}}


def texts(analysis: Analysis) -> dict[str, str]:
    return {answer.about: answer.text for answer in answers(analysis)}


def written(analysis: Analysis) -> str:
    return "\n".join(cell.written for cell in outline(analysis))


def test_sentences_for_three_data_sets(tmp_path: Path) -> None:
    found = texts(analysed(crossed(tmp_path, claims=[CLAIM]), tmp_path / "store", accuracy))
    assert found["Claim “one head is better” by data set"] == (
        "digits: supported, +2.00 points (+1.75 to +2.25, n = 3); mnist: supported, +1.00 points (+0.75 to +1.25, "
        "n = 3); fashion: refuted, −1.00 points (−1.25 to −0.75, n = 3). The verdict over all, supported, is about "  # noqa: RUF001
        "the mean of the differences of all matched sets of cells, with equal weights. P-values of single data sets "
        "are adjusted among themselves (3 rows)."
    )
    assert found["Data sets"] == (
        "3 (digits, mnist, fashion), set by images; cells are compared within each. Estimated change of accuracy by "
        "data set, chance included: kv heads=1 from −1.00 (fashion) to +2.00 (digits) points; kv heads=4 from "  # noqa: RUF001
        "−1.00 (digits) to −1.00 (fashion) points."  # noqa: RUF001
    )
    fronts = [text for about, text in found.items() if about.startswith("Pareto front")]
    assert ["The Pareto front was selected" in text for text in fronts] == [True, False, False]
    assert found["Mean ranks over data sets"].startswith(
        "3 methods on 3 data sets: kv heads=1 (1.50); baseline (1.67); kv heads=4 (2.83). Friedman's test: p = "
    )
    assert found["Mean ranks over data sets"].endswith("With fewer than 5 data sets it detects little.")


def test_tables_of_test_images_name_their_data_set(tmp_path: Path) -> None:
    made = with_predictions(collected(crossed(tmp_path), tmp_path / "store", accuracy))
    analysis = Analysis(made)
    images = " The images are those of digits, the data set of the baseline."
    assert images in TABLES["classes"].table(analysis).caption
    assert images in TABLES["hard_images"].table(analysis).caption
    assert PLOTS["confusion"].caption_for(analysis).endswith(images)
    one = Analysis(with_predictions(collected(make_study(tmp_path, KV_HEADS), tmp_path / "single")))
    assert "The images are those" not in PLOTS["confusion"].caption_for(one)


def test_two_data_sets_allow_no_test_of_three_methods(tmp_path: Path) -> None:
    found = texts(analysed(crossed(tmp_path, [MNIST]), tmp_path / "store", accuracy))
    assert found["Data sets"].startswith("2 (digits, mnist), set by images")
    assert found["Mean ranks over data sets"] == (
        "3 methods on 2 data sets: kv heads=1 (1.00); baseline (2.00); kv heads=4 (3.00). No test: 2 data sets that "
        "agree completely would not be distinguishable from chance."
    )


def test_pairs_by_the_critical_difference(tmp_path: Path) -> None:
    """Four data sets agree on 1, 2, 3: p = 1/216; Nemenyi's difference is 2.344 sqrt(12/24) = 1.66."""

    def agreed(trial: Trial) -> float:
        return {"2": 0.90, "1": 0.92, "4": 0.91}[trial.cell.labels["kv heads"]]

    study = crossed(tmp_path, [MNIST, FASHION, SVHN], replicates=1)
    found = texts(analysed(study, tmp_path / "store", agreed))
    assert found["Mean ranks over data sets"] == (
        "3 methods on 4 data sets: kv heads=1 (1.00); kv heads=4 (2.00); baseline (3.00). Friedman's test: p = 0.005. "
        "With fewer than 5 data sets it detects little. Distinguishable by Nemenyi's critical difference of 1.66 "
        "ranks: baseline and kv heads=1."
    )


def test_failed_runs_and_missing_results_leave_no_test(tmp_path: Path) -> None:
    results = collected(crossed(tmp_path, claims=[CLAIM]), tmp_path / "store", accuracy)
    trials = results.trials.copy()
    trials.loc[(trials["cell"] == "kv heads=4") & (trials["replicate"] == 1), ["status", "test_accuracy"]] = [
        "failed",
        math.nan,
    ]
    lost = trials["cell"].isin(["kv heads=1, images=mnist"])
    trials.loc[lost, ["status", "test_accuracy"]] = ["missing", math.nan]
    analysis = analyse(replace(results, trials=trials))
    found = texts(analysis)
    fronts = [text for about, text in found.items() if about.startswith("Pareto front")]
    assert ["The Pareto front was selected" in text for text in fronts] == [True, False, False]
    assert found["Mean ranks over data sets"].startswith("2 methods on 3 data sets")
    assert found["Mean ranks over data sets"].endswith(
        "No test: 1 of 3 replicates of kv heads=4 failed: no verdict (failures: undecided)."
    )
    assert "mnist: undecided, not compared yet" in found["Claim “one head is better” by data set"]
    assert "failed runs" in [column.title for column in TABLES["data_set_aggregates"].table(analysis).columns]


def test_a_study_that_only_changes_the_data_set_compares_nothing(tmp_path: Path) -> None:
    analysis = analysed(make_study(tmp_path, images(MNIST, FASHION), baseline=SCRATCH), tmp_path / "store")
    found = texts(analysis)
    assert "not compared across data sets" in next(text for about, text in found.items() if "changes" in about)
    assert found["Data sets"] == "3 (digits, mnist, fashion), set by images; cells are compared within each."
    assert "Mean ranks over data sets" not in found
    assert "Nothing to draw yet" not in written(analysis)


def test_the_report_has_the_tables_the_figure_and_their_files(tmp_path: Path) -> None:
    results = collected(crossed(tmp_path, claims=[CLAIM]), tmp_path / "store", accuracy)
    folder = build(results, tmp_path / "report").folder
    for name in ("data_set_claims.csv", "methods.csv", "figures/data_set_effects.svg", "tables/data_set_ranks.tex"):
        assert (folder / name).is_file()
    assert (folder / "methods.csv").read_text().splitlines()[0].endswith("mean on digits,mean on mnist,mean on fashion")
    again = analyse(read(folder))
    assert again.data_set_verdicts["estimate"].tolist() == pytest.approx([0.02, 0.01, -0.01])
    text = written(again)
    assert "The levels of **images** are fine-tuned on 3 data sets: digits, mnist, fashion." in text
    assert 'table(analysis, "data_set_claims")' in text


def test_other_studies_have_none_of_it(built: Built, tmp_path: Path) -> None:
    assert "data_set_" not in written(built.analysis)
    assert "## Data sets" not in written(built.analysis)
    assert not any("data set" in about.lower() for about in texts(built.analysis))
    assert not list(built.report.folder.rglob("data_set_*"))
    assert "data_set_" not in written(analysed(make_study(tmp_path, KV_HEADS), tmp_path / "store"))


def test_real_runs_on_digits_and_on_a_folder_of_inverted_digits(tmp_path: Path) -> None:
    """Own data are one more data set; each cell is trained and tested on its own images."""
    values, labels = data_samples.digits()
    inverted = [data_samples.encode(ImageOps.invert(Image.open(io.BytesIO(data)))) for data in values]
    data_samples.save_images(tmp_path / "inverted", inverted, labels)
    images = {"images": {"baseline": "digits", "levels": [
        {"label": "inverted", "set": {"finetune.dataset": f"imagefolder:{tmp_path / 'inverted'}"}},
    ]}}  # fmt: skip
    heads = {"kv heads": {"path": "encoder.num_kv_heads", "levels": [1, 2]}}
    baseline = {**yaml.safe_load(TINY)["baseline"], "pretrain": None}
    study = make_study(
        tmp_path, {**heads, **images}, baseline=baseline, design="factorial", replicates=2, claims=[TWO_HEADS]
    )
    state = run_all(StudyState.look(study, Store(tmp_path / "store")))
    results = collect(state)
    analysis = analyse(results)
    assert (results.trials["status"] == "done").sum() == 8
    assert len(results.facts.data) == 2
    found = texts(analysis)
    assert found["Data sets"].startswith("2 (digits, inverted), set by images")
    fronts = [text for about, text in found.items() if about.startswith("Pareto front")]
    assert ["The Pareto front was selected" in text for text in fronts] == [True, False]
    assert found["Mean ranks over data sets"].startswith("2 methods on 2 data sets")
    rows = analysis.data_set_verdicts
    assert rows["data_set"].tolist() == ["digits", "inverted"]
    means = results.done.groupby("cell")["test_accuracy"].mean()
    assert rows["estimate"].tolist() == pytest.approx(
        [means["kv heads=2"] - means["baseline"], means["kv heads=2, images=inverted"] - means["images=inverted"]]
    )
    assert analysis.verdicts["estimate"].tolist() == pytest.approx([rows["estimate"].mean()])


@pytest.mark.parametrize(("rule", "note"), [("undecided", "no verdict"), ("exclude", "excluded")])
def test_failed_replicates_count_on_each_data_set_as_the_grid_states(rule: str, note: str, tmp_path: Path) -> None:
    study = crossed(tmp_path, claims=[CLAIM], failures=rule)
    results = collected(study, tmp_path / "store", accuracy)
    trials = results.trials.copy()
    failed = (trials["cell"] == "kv heads=1, images=mnist") & (trials["replicate"] == 1)
    trials.loc[failed, ["status", "test_accuracy"]] = ["failed", math.nan]
    analysis = analyse(replace(results, trials=trials))
    rows = analysis.data_set_verdicts.set_index("data_set")
    assert note in rows.loc["mnist", "note"]
    assert rows.loc["digits", "note"] == ""
    assert math.isnan(rows.loc["mnist", "p_value"]) == (rule == "undecided")
    assert rows.loc["mnist", "n"] == 2
    assert analysis.methods.is_tested == (rule == "exclude")
    assert note in texts(analysis)["Mean ranks over data sets"]
