"""Several data sets: recognised from the cells, and compared within each."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.data_set_studies import FASHION, MNIST, SCRATCH, accuracy, crossed, images
from helpers.paths import ROOT
from helpers.report_samples import BASELINE, KV_HEADS, PRETRAINING, analysed, make_study, unrun
from scipy import stats

from study.analysis.data_sets import data_sets_of, references, within
from study.analysis.stats.adjust import holm
from study.design.study import Study, Trial, load
from study.report import Analysis, analyse, read
from study.report.plots import PLOTS
from study.report.summary import answers
from study.report.tables import TABLES


@pytest.fixture(scope="module")
def analysis(tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    """Three methods on three data sets, three replicates."""
    folder = tmp_path_factory.mktemp("crossed")
    return analysed(crossed(folder), folder / "store", accuracy)


def found_in(study: Study, folder: Path) -> tuple[str, dict[str, tuple[str, ...]]] | None:
    found = data_sets_of(unrun(study, folder / "store").facts)
    return found and (found.factor, {one.name: one.levels for one in found.sets})


def test_the_factor_is_recognised_by_its_path_or_by_what_it_sets(tmp_path: Path) -> None:
    by_path = {"task": {"path": "finetune.dataset", "levels": ["mnist"]}}
    study = make_study(tmp_path, {**KV_HEADS, **by_path}, baseline=SCRATCH)
    assert found_in(study, tmp_path) == ("task", {"digits": ("digits",), "mnist": ("mnist",)})
    larger = {"label": "large", "set": {"finetune.dataset": "svhn", "encoder.channels": 3, "encoder.image_size": 16}}
    study = make_study(tmp_path, {**KV_HEADS, **images(MNIST, larger)}, baseline=SCRATCH)
    assert found_in(study, tmp_path) == ("images", {"digits": ("digits",), "mnist": ("mnist",), "large": ("large",)})


def test_several_levels_of_one_data_set_are_one_data_set(tmp_path: Path) -> None:
    """That of the paper's grid: pre-trained or not, on three data sets."""
    found = found_in(load(ROOT / "grids" / "paper_cifar100.yaml"), tmp_path)
    assert found == (
        "task",
        {
            "cifar100": ("cifar100", "cifar100 from scratch"),
            "cifar10": ("cifar10", "cifar10 from scratch"),
            "svhn": ("svhn", "svhn from scratch"),
        },
    )


def test_other_pretraining_data_and_a_single_data_set_are_not_several(tmp_path: Path) -> None:
    assert found_in(make_study(tmp_path, {**KV_HEADS, **PRETRAINING}), tmp_path) is None
    fewer = {"images": {"path": "finetune.train_images", "levels": [100, 200]}}
    assert found_in(make_study(tmp_path, fewer, baseline=BASELINE), tmp_path) is None
    only = make_study(
        tmp_path, {**KV_HEADS, **images(MNIST)}, baseline=SCRATCH, design="factorial",
        exclude=[{"when": {"images": "mnist"}, "reason": "no"}],
    )  # fmt: skip
    assert found_in(only, tmp_path) is None


def test_every_cell_is_compared_with_its_counterpart_on_the_same_data_set(analysis: Analysis) -> None:
    cells = analysis.cells.set_index("cell")
    one_head = cells.loc["kv heads=1, images=fashion"]
    assert one_head["reference"] == "images=fashion"
    assert one_head["difference"] == pytest.approx(-0.01)
    assert cells.loc["kv heads=1", "reference"] == "baseline"
    assert cells[cells["reference"] == ""].index.tolist() == ["baseline", "images=mnist", "images=fashion"]
    assert cells.loc["images=mnist", ["difference", "p_value", "p_adjusted"]].isna().all()


def test_without_a_counterpart_a_cell_is_not_compared(tmp_path: Path) -> None:
    exclude = [{"when": {"images": "mnist", "kv heads": 2}, "reason": "no"}]
    facts = unrun(crossed(tmp_path, exclude=exclude), tmp_path / "store").facts
    assert references(facts)["kv heads=1, images=mnist"].name == "kv heads=1, images=mnist"
    assert references(facts)["kv heads=1, images=fashion"].name == "images=fashion"


def test_data_sets_have_no_effect_and_are_not_counted_among_changes(analysis: Analysis) -> None:
    """Only kv heads are effects, averaged over the data sets: (0.02 + 0.01 - 0.01) / 3."""
    assert analysis.is_matched
    effects = analysis.effects.set_index(["factor", "level"])
    assert effects.index.tolist() == [("kv heads", "1"), ("kv heads", "4")]
    assert effects.loc[("kv heads", "1"), "difference"] == pytest.approx(0.02 / 3)
    assert effects["combinations"].tolist() == [3, 3]
    assert not any("images" in answer.about for answer in answers(analysis))


def test_levels_on_the_baselines_data_set_are_still_compared(tmp_path: Path) -> None:
    """As in the paper's grid: from scratch on the same data is a change of the model."""
    levels = [{"label": "scratch", "set": {"pretrain": None}}, MNIST]
    study = make_study(tmp_path, {**KV_HEADS, "task": {"baseline": "digits", "levels": levels}})
    found = analysed(study, tmp_path / "store").effects
    assert found["level"].tolist() == ["1", "4", "scratch"]


def test_a_fitted_study_leaves_the_data_sets_out_too(tmp_path: Path) -> None:
    bias = {"bias": {"path": "encoder.bias", "levels": [True, False]}}
    heads = {"kv heads": {"path": "encoder.num_kv_heads", "levels": [2, 1]}}
    study = make_study(
        tmp_path, {**heads, **bias, **images(MNIST)}, baseline=SCRATCH, design="fractional", resolution=3
    )
    made = analysed(study, tmp_path / "store")
    assert not made.is_matched
    assert made.effects["factor"].tolist() == ["kv heads", "bias"]


def test_each_data_set_has_a_pareto_front_and_a_panel(analysis: Analysis) -> None:
    """One kv head is smaller; it is worse only on fashion, where the baseline is on the front as well."""
    front = analysis.cells[analysis.cells["front"]]
    assert front.groupby("data_set", sort=False)["cell"].apply(list).to_dict() == {
        "digits": ["kv heads=1"],
        "mnist": ["kv heads=1, images=mnist"],
        "fashion": ["images=fashion", "kv heads=1, images=fashion"],
    }
    about = [answer.about for answer in answers(analysis) if answer.about.startswith("Pareto")]
    assert about == [f"Pareto front (parameters vs. accuracy, {name})" for name in ("digits", "mnist", "fashion")]
    numbers = PLOTS["parameters"].compute(analysis)
    assert [axes.get_title("left") for axes in PLOTS["parameters"].draw(numbers).axes] == ["digits", "mnist", "fashion"]


def test_the_table_of_comparisons_names_what_a_cell_is_compared_with(analysis: Analysis) -> None:
    made = TABLES["comparisons"].table(analysis)
    assert [column.title for column in made.columns][1] == "compared with"
    assert len(made.rows) == 6
    assert "not compared yet" not in made.columns[-1].values


def test_the_results_of_one_data_set_are_those_of_a_study_of_its_own(analysis: Analysis) -> None:
    found = analysis.data_sets
    assert found is not None
    own = analyse(within(analysis.results, found, found.sets[2]))
    assert own.facts.factor_names == ["kv heads"]
    assert own.cells["cell"].tolist() == ["images=fashion", "kv heads=1, images=fashion", "kv heads=4, images=fashion"]
    assert own.effects["difference"].tolist() == pytest.approx([-0.01, -0.01])


def test_a_study_on_one_data_set_is_as_before(tmp_path: Path) -> None:
    made = analysed(make_study(tmp_path, {**KV_HEADS, **PRETRAINING}), tmp_path / "store")
    assert made.data_sets is None
    assert made.cells["data_set"].tolist() == [""] * 5
    assert made.cells["reference"].tolist() == ["", *["baseline"] * 4]
    assert "data set" not in TABLES["cells"].table(made).caption


def test_committed_reports_are_read() -> None:
    assert data_sets_of(read(ROOT / "reports" / "examples" / "quickstart").facts) is None


CLAIMS = [
    {"claim": "one head is better", "kind": "greater", "cells": {"kv heads": 1}},
    {"claim": "four heads cost little", "kind": "non_inferior", "cells": {"kv heads": 4}, "margin": 0.02},
    {"claim": "mnist is easier", "kind": "greater", "cells": {"images": "mnist"}},
    {"claim": "helps more on mnist", "kind": "interaction", "cells": {"images": "mnist", "kv heads": 1},
     "against": {"images": "digits", "kv heads": 2}},
    {"claim": "one head reaches 80 %", "kind": "greater", "cells": {"kv heads": 1}, "against": 0.8},
    {"claim": "on two of them", "kind": "less", "cells": {"kv heads": 1}, "where": {"images": ["mnist", "fashion"]}},
    {"claim": "one head is small", "kind": "less", "cells": {"kv heads": 1}, "metric": "params"},
]  # fmt: skip


@pytest.fixture(scope="module")
def claimed(tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    folder = tmp_path_factory.mktemp("claimed")
    return analysed(crossed(folder, claims=CLAIMS), folder / "store", accuracy)


def test_claims_that_do_not_fix_the_data_set_are_judged_on_each(claimed: Analysis) -> None:
    rows = claimed.data_set_verdicts
    assert rows[["number", "data_set"]].to_numpy().tolist() == [
        *([1, "digits"], [1, "mnist"], [1, "fashion"]),
        *([2, "digits"], [2, "mnist"], [2, "fashion"]),
        *([6, "mnist"], [6, "fashion"]),
    ]
    assert rows["estimate"].tolist() == pytest.approx([0.02, 0.01, -0.01, -0.01, -0.01, -0.01, 0.01, -0.01])
    assert set(rows["n"]) == {3}


def test_their_p_values_are_a_family_of_their_own(claimed: Analysis) -> None:
    """SD 0.001 and n = 3: t = 0.02 / (0.001 / sqrt 3) = 34.6 and 17.3. Four heads have SD 0, so no test."""
    rows = claimed.data_set_verdicts
    first, second = (2 * stats.t.sf(gain / (0.001 / math.sqrt(3)), 2) for gain in (0.02, 0.01))
    alone = [first, second, second, math.nan, math.nan, math.nan, second, second]
    assert rows["p_value"].tolist() == pytest.approx(alone, nan_ok=True)
    assert rows["p_adjusted"].tolist() == pytest.approx(
        [8 * first, *[7 * second] * 2, *[math.nan] * 3, *[7 * second] * 2], nan_ok=True
    )
    assert rows["verdict"].tolist() == ["supported", "supported", "refuted", *["undecided"] * 3, "refuted", "supported"]
    overall = claimed.verdicts.iloc[:6]  # the claims with an interval: adjusted as if nothing else were judged
    assert overall["p_adjusted"].tolist() == pytest.approx(holm(overall["p_value"]).tolist(), nan_ok=True)


def test_a_row_that_only_its_own_interval_decides_is_undecided(tmp_path: Path) -> None:
    def close(trial: Trial) -> float:
        return 0.9 + (0.004 if trial.cell.labels["kv heads"] == "1" else 0.0) * (1 + 0.3 * (trial.replicate % 3))

    made = analysed(crossed(tmp_path, claims=CLAIMS[:1], replicates=3), tmp_path / "store", close).data_set_verdicts
    assert (made["p_value"] < 0.05).all()
    assert (made["p_adjusted"] > 0.05).all()
    assert set(made["verdict"]) == {"undecided"}
    assert set(made["note"]) == {"decided by its own interval, but not after Holm's correction for 3 rows"}


def test_claims_across_data_sets_are_marked(claimed: Analysis) -> None:
    """A difference of differences within data sets is not such a claim."""
    marked = claimed.verdicts["note"].str.contains("compares accuracies on different data sets")
    assert marked.tolist() == [False, False, True, False, False, False, False]


def test_contrasts_across_data_sets_are_marked(tmp_path: Path) -> None:
    compare = [
        {"cells": {"images": ["mnist", "fashion"]}},
        {"cells": {"kv heads": 1}},
        {"cells": {"images": "mnist"}, "metric": "train_seconds"},
    ]
    made = analysed(crossed(tmp_path, compare=compare), tmp_path / "store", accuracy).level_contrasts
    assert made["note"].str.contains("on different data sets").tolist() == [True, False, False]


def test_looks_divide_the_p_values_of_single_data_sets_too(tmp_path: Path) -> None:
    """Looks at 3 and 6 spend 1/4 and 3/4 of 5 %; the claim is decided at the first."""
    rule = {"min": 3, "max": 6, "until": "claims"}
    study = crossed(tmp_path, claims=[{**CLAIMS[0], "where": {"images": ["digits", "mnist"]}}], replicates=rule)
    made = analysed(study, tmp_path / "store", accuracy)
    assert made.verdicts["looked"].tolist() == [3]
    rows = made.data_set_verdicts
    assert (rows["n"].tolist(), rows["level"].tolist()) == ([3, 3], pytest.approx([0.9875] * 2))
    smallest = rows["p_value"].min()
    assert rows["p_adjusted"].min() == pytest.approx(2 * smallest / 0.25)
    early = analyse(replace(made.results, trials=made.results.trials[made.results.trials["replicate"] <= 2]))
    assert set(early.data_set_verdicts["verdict"]) == {"undecided"}
    assert set(early.data_set_verdicts["note"]) == {"the first look is not reached"}


def test_effects_on_each_data_set(analysis: Analysis) -> None:
    rows = analysis.data_set_effects
    assert rows[["level", "data_set"]].to_numpy().tolist() == [
        [level, data_set] for level in ("1", "4") for data_set in ("digits", "mnist", "fashion")
    ]
    assert rows["difference"].tolist() == pytest.approx([0.02, 0.01, -0.01, -0.01, -0.01, -0.01])
    assert rows["p_adjusted"].iloc[0] == pytest.approx(6 * rows["p_value"].iloc[0])


def test_ranks_and_aggregates_by_hand(analysis: Analysis) -> None:
    """On digits and mnist one head is first and four are last. On fashion the baseline leads two equal methods."""
    found = analysis.methods
    table = found.table.set_index("method")
    assert table["mean_rank"].to_dict() == pytest.approx(
        {"baseline": 5 / 3, "kv heads=1": 4.5 / 3, "kv heads=4": 8.5 / 3}
    )
    assert found.means.loc["baseline"].tolist() == pytest.approx([0.904, 0.934, 0.804])
    # of 9 runs two at each end are left out: 0.806 on fashion, 0.902 to 0.906 on digits, 0.932 on mnist
    assert table.loc["baseline", "iqm"] == pytest.approx((0.806 + 0.902 + 0.904 + 0.906 + 0.932) / 5)
    # four heads are 0.01 lower, replicates 0.002 apart: never better
    assert table.loc["kv heads=4", "improvement"] == 0.0
    assert math.isnan(table.loc["baseline", "improvement"])
    assert table["n"].tolist() == [3, 3, 3]


LONG = {"label": "digits, long", "set": {"finetune.epochs": 20}}
LONG_FASHION = {"label": "fashion, long", "set": {"finetune": {"dataset": "fashion-mnist", "epochs": 20}}}


def test_methods_include_what_levels_of_one_data_set_differ_in(tmp_path: Path) -> None:
    """2 and 1 heads, each trained for 8 and 20 epochs: four methods on digits and fashion, in the same order on both.

    Twenty epochs gain 0.02, and one head costs 0.005.
    """
    levels = images(LONG, FASHION, LONG_FASHION)
    heads = {"kv heads": {"path": "encoder.num_kv_heads", "levels": [2, 1]}}
    study = make_study(tmp_path, {**heads, **levels}, baseline=SCRATCH, design="factorial")

    def longer_is_better(trial: Trial) -> float:
        labels = trial.cell.labels
        base = 0.7 if "fashion" in labels["images"] else 0.9
        return base + 0.02 * ("long" in labels["images"]) - 0.005 * (labels["kv heads"] == "1")

    found = analysed(study, tmp_path / "store", longer_is_better).methods
    assert found.table.set_index("method")["mean_rank"].to_dict() == {
        "baseline": 3,
        "images=digits, long": 1,
        "kv heads=1": 4,
        "kv heads=1, images=digits, long": 2,
    }
    assert found.means.loc["images=digits, long"].to_dict() == pytest.approx({"digits": 0.92, "fashion-mnist": 0.72})
    assert found.table.set_index("method").loc["images=digits, long", "improvement"] == 1


def test_what_all_levels_of_a_data_set_share_belongs_to_it(tmp_path: Path) -> None:
    """Fashion has other epochs than digits, at both of its levels; long digits has no counterpart."""
    levels = images(
        LONG,
        {"label": "digits, smooth", "set": {"finetune.label_smoothing": 0.1}},
        {"label": "fashion", "set": {"finetune.dataset": "fashion-mnist", "finetune.epochs": 8, "encoder.top_k": 2}},
        {
            "label": "fashion, smooth",
            "set": {"finetune.dataset": "fashion-mnist", "finetune.label_smoothing": 0.1, "encoder.top_k": 2},
        },
    )
    study = make_study(tmp_path, {**KV_HEADS, **levels}, baseline=SCRATCH, design="factorial", replicates=1)
    found = analysed(study, tmp_path / "store").methods
    every = [
        f"{heads}{images}" for heads in ("", "kv heads=1, ", "kv heads=4, ") for images in ("", "images=digits, smooth")
    ]
    assert sorted(found.table["method"]) == sorted(name.removesuffix(", ") or "baseline" for name in every)


def test_pre_training_on_its_own_data_set_is_the_same_method(tmp_path: Path) -> None:
    """Pre-trained on the same images or from scratch, on digits and on mnist."""
    levels = [
        {"label": "scratch", "set": {"pretrain": None}},
        {"label": "mnist", "set": {"finetune.dataset": "mnist", "pretrain.dataset": "mnist"}},
        {"label": "mnist, scratch", "set": {"finetune.dataset": "mnist", "pretrain": None}},
    ]
    study = make_study(tmp_path, {**KV_HEADS, "task": {"baseline": "digits", "levels": levels}}, design="factorial")
    assert len(analysed(study, tmp_path / "store").methods.table) == 6


def test_methods_need_a_cell_on_every_data_set(tmp_path: Path) -> None:
    one_by_one = make_study(tmp_path, {**KV_HEADS, **images(MNIST)}, baseline=SCRATCH)
    made = analysed(one_by_one, tmp_path / "a")
    assert made.methods.table.empty
    assert made.data_set_effects.empty
    levels = [{"label": "scratch", "set": {"pretrain": None}}, MNIST]
    study = make_study(tmp_path, {**KV_HEADS, "task": {"baseline": "digits", "levels": levels}}, design="factorial")
    mixed = analysed(study, tmp_path / "b")
    assert mixed.methods.table["method"].tolist() == ["baseline", "kv heads=1", "kv heads=4"]  # not those from scratch
    assert mixed.data_set_effects["factor"].unique().tolist() == ["kv heads"]


def test_a_replicate_that_failed_on_one_data_set_is_left_out_and_counted(analysis: Analysis) -> None:
    trials = analysis.results.trials.copy()
    failed = (trials["cell"] == "kv heads=1, images=mnist") & (trials["replicate"] == 2)
    trials.loc[failed, ["status", "test_accuracy"]] = ["failed", math.nan]
    found = analyse(replace(analysis.results, trials=trials)).methods
    assert found.table["n"].tolist() == [3, 2, 3]
    assert found.table["failed"].tolist() == [0, 1, 0]
    assert found.means.loc["kv heads=1", "digits"] == pytest.approx(0.9 + 0.02 + (0.002 - 0.001 + 0.006 + 0.001) / 2)
