"""The findings in sentences: what they say, and what they never claim."""

from pathlib import Path

from helpers.looks import collect
from helpers.report_samples import KV_HEADS, PRETRAINING, Built, collected, make_study

from study.design.study import Trial
from study.report import Results
from study.report.summary import answers
from study.store.results import Store


def told(results: Results) -> dict[str, str]:
    return {answer.about: answer.text for answer in answers(results)}


def test_the_baseline_comes_first_with_interval_and_size(tmp_path: Path) -> None:
    results = collected(make_study(tmp_path, KV_HEADS), tmp_path / "store")
    first = answers(results)[0]
    assert str(first) == (
        "Baseline: 90.20\u00a0% (95\u00a0% interval 89.70 to 90.70, n = 3) test accuracy with 51.8 k parameters and "
        "881 k multiply-adds."
    )


def test_what_matters_and_what_does_not(tmp_path: Path) -> None:
    def accuracy(trial: Trial) -> float:
        heads = {"2": 0.0, "1": -0.05, "4": 0.0}[trial.cell.labels["kv heads"]]
        return 0.9 + heads + 0.001 * ((7 * trial.replicate + len(trial.cell.name)) % 3)

    results = collected(make_study(tmp_path, {**KV_HEADS, **PRETRAINING}), tmp_path / "store", accuracy)
    found = told(results)
    assert found["What matters"].startswith("1 of 4 changes is distinguishable from the baseline at 95 %, in: kv heads")
    assert "Not distinguishable at any level: pre-training." in found["What matters"]
    assert found["kv heads"].startswith("against 2: 1 gives −5.")  # noqa: RUF001
    assert "four times in five" in found["How sure"]


def test_one_replicate_claims_nothing(tmp_path: Path) -> None:
    found = told(collected(make_study(tmp_path, KV_HEADS, replicates=1), tmp_path / "store"))
    assert "no change can be told from chance" in found["What matters"]
    assert "(n = 1, so no interval)" in found["Baseline"]
    assert all("distinguishable" not in text for text in found.values())


def test_equal_differences_are_no_finding(tmp_path: Path) -> None:
    found = told(collected(make_study(tmp_path, KV_HEADS), tmp_path / "store"))
    assert "in each of 3 replicates; without spread there is no test" in found["kv heads"]
    assert found["What matters"] == "none of the 2 changes is distinguishable from the baseline at 95 %."


def test_nothing_finished(tmp_path: Path) -> None:
    study = make_study(tmp_path, KV_HEADS)
    assert told(collect(study, Store(tmp_path / "store"))) == {"No result yet": "none of the 9 trials has finished."}


def test_what_is_not_finished_is_said(built: Built) -> None:
    found = told(built.results)
    assert found["Not finished"].startswith("2 failed and 2 missing of 12 trials")
    assert found["Left out by design"] == "1 cell, with reasons below."


def test_many_levels_are_told_in_part(tmp_path: Path) -> None:
    factor = {"width": {"path": "encoder.ffn_width_first", "levels": [48, *range(50, 66, 2)]}}
    found = told(collected(make_study(tmp_path, factor), tmp_path / "store", lambda trial: 0.9 + trial.seed % 7 / 100))
    assert "; 2 more in the table of effects." in found["width"]


def test_a_factorial_says_what_it_averages_over(tmp_path: Path) -> None:
    study = make_study(tmp_path, {**KV_HEADS, **PRETRAINING}, design="factorial")
    found = told(collected(study, tmp_path / "store"))
    assert "averaged over 3 combinations of the other factors" in found["kv heads"]
    assert found["Transfer"].startswith("0.00 points against training from scratch on average")
