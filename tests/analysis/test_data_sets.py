"""Several data sets: recognised from the cells, and compared within each."""

from pathlib import Path

import pytest
from helpers.data_set_studies import MNIST, SCRATCH, accuracy, crossed, images
from helpers.paths import ROOT
from helpers.report_samples import BASELINE, KV_HEADS, PRETRAINING, analysed, make_study, unrun

from study.analysis.data_sets import data_sets_of, references, within
from study.design.study import Study, load
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
