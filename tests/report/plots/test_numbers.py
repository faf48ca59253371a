"""Plots: their numbers checked by hand, and how they are drawn."""

import itertools
import math
import statistics
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.report_kinds import CIFAR, varied
from helpers.report_samples import KV_HEADS, PRETRAINING, Built, analysed, collected, make_study, unrun
from hypothesis import given, settings
from hypothesis import strategies as st

from study.analysis.expert_load import IDLE, by_cell
from study.design.study import Trial
from study.report import analyse
from study.report.plots import PLOTS, curves, parameters
from study.report.plots.labels import Box, Mark, place
from study.report.plots.scales import round_ticks
from study.report.plots.style import LIGHT, style, wrapped
from study.report.plots.whiskers import Row, window
from study.report.reference_models import published_for


def test_parameters_moves_only_dots_that_would_overlap(built: Built) -> None:
    numbers = PLOTS["parameters"].compute(built.analysis)
    assert numbers["mean"].tolist() == built.analysis.cells["mean"].tolist()
    same = numbers[numbers["params"] == 51_840]
    assert same["x"].is_unique
    assert same["x"].div(51_840).sub(1).abs().max() < 0.05
    assert numbers[numbers["params"] != 51_840]["x"].tolist() == [pytest.approx(43_200)]


def test_curves_are_means_over_replicates(tmp_path: Path) -> None:
    study = make_study(tmp_path, KV_HEADS)
    results = analysed(study, tmp_path / "store", lambda trial: 0.8 + 0.03 * trial.replicate)
    curves = PLOTS["finetune_curves"].compute(results)
    last = curves[(curves["cell"] == "baseline") & (curves["epoch"] == 8)].iloc[0]
    grown = 1 - math.exp(-4)
    assert (last["n"], last["mean"]) == (3, pytest.approx(0.85 * grown))
    assert (last["low"], last["high"]) == (pytest.approx(0.82 * grown), pytest.approx(0.88 * grown))
    assert len(curves) == 3 * 8


def test_a_shared_pretraining_is_drawn_once(tmp_path: Path) -> None:
    factor = {"smoothing": {"path": "finetune.label_smoothing", "levels": [0.0, 0.1]}}
    curves = PLOTS["pretrain_curves"].compute(analysed(make_study(tmp_path, factor), tmp_path / "store"))
    assert curves["cell"].unique().tolist() == ["baseline, shared with 1 more cell"]


def test_a_pretraining_that_fewer_cells_share_in_later_replicates_is_drawn_once(tmp_path: Path) -> None:
    factor = {"smoothing": {"path": "finetune.label_smoothing", "levels": [0.0, 0.1, 0.2]}}
    results = collected(make_study(tmp_path, factor), tmp_path / "store")
    later = (results.trials["replicate"] == 3) & (results.trials["cell"] != "smoothing=0.2")
    found = analyse(replace(results, trials=results.trials[(results.trials["replicate"] < 3) | later]))
    drawn = PLOTS["pretrain_curves"].compute(found)
    assert drawn["cell"].unique().tolist() == ["baseline, shared with 2 more cells"]
    assert drawn["n"].unique().tolist() == [3]


def test_loads_are_in_units_of_an_even_share(tmp_path: Path) -> None:
    results = analysed(make_study(tmp_path, KV_HEADS, replicates=2), tmp_path / "store")
    numbers = PLOTS["expert_load"].compute(results)
    block = numbers[(numbers["cell"] == "baseline") & (numbers["replicate"] == 1) & (numbers["block"] == 3)]
    # three experts with 1, 2 and 3 sixths of the tokens, to nine digits; an even share is two sixths
    assert dict(zip(block["rank"], block["load"], strict=True)) == pytest.approx({1: 1.5, 2: 1.0, 3: 0.5}, abs=1e-8)
    row = by_cell(results.expert_load).iloc[0]
    assert (row["blocks"], row["busiest"], row["idle"]) == (6, pytest.approx(1.6), 0)
    deviations = {2: 1 / 3, 3: math.sqrt(1 / 6), 4: math.sqrt(0.2)}
    assert row["variation"] == pytest.approx(sum(deviations.values()) / 3)
    assert (row["worst"], row["worst_block"]) == (pytest.approx(math.sqrt(0.2)), 5)


def test_loads_equal_a_plain_pass_over_cells_replicates_and_blocks(tmp_path: Path) -> None:
    results = collected(make_study(tmp_path, KV_HEADS, replicates=2), tmp_path / "store")
    drawn = np.random.default_rng(3).dirichlet([0.5] * 4, size=len(results.expert_load)).max(axis=1)
    results = analyse(replace(results, expert_load=results.expert_load.assign(share=drawn)))
    table, rows = results.expert_load, by_cell(results.expert_load).set_index("cell")
    for cell, own in table.groupby("cell"):
        spreads: dict[int, list[float]] = {}
        for (_, block), load in own.groupby(["replicate", "block"])["load"]:
            spreads.setdefault(int(block), []).append(statistics.pstdev(load))
        idle = [(load < IDLE).sum() for _, load in own.groupby("replicate")["load"]]
        worst = [max(spread) for spread in zip(*spreads.values(), strict=True)]
        means = {block: statistics.mean(spread) for block, spread in spreads.items()}
        found = rows.loc[str(cell)]
        assert found[["n", "blocks", "worst_block"]].tolist() == [2, 6, max(means, key=lambda block: means[block])]
        assert found["variation"] == pytest.approx(statistics.mean(means.values()))
        assert (found["worst"], found["idle"]) == (pytest.approx(statistics.mean(worst)), statistics.mean(idle))
        assert found["busiest"] == pytest.approx(own.groupby("replicate")["load"].max().mean())


def test_many_cells_are_drawn_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Many curves behind a panel are drawn as their span, many dots as one line of markers."""
    results = analysed(make_study(tmp_path, {**KV_HEADS, **PRETRAINING}), tmp_path / "store", varied)
    monkeypatch.setattr(curves, "MOST_LINES", 2)
    monkeypatch.setattr(parameters, "MOST", 2)
    with style():
        panels = PLOTS["finetune_curves"].draw(PLOTS["finetune_curves"].compute(results)).axes
        (dots,) = PLOTS["parameters"].draw(PLOTS["parameters"].compute(results)).axes
    cells = results.cells
    assert {type(behind).__name__ for behind in panels[1].collections} == {"FillBetweenPolyCollection"}
    labelled = int((cells["front"] | (cells["number"] == 1)).sum())
    faint = [line for line in dots.lines if line.get_color() == LIGHT and len(line.get_xdata())]
    assert [len(line.get_xdata()) for line in faint] == [len(cells) - labelled]


def test_many_levels_get_fewer_labels_and_lines() -> None:
    levels = pd.DataFrame(itertools.product(range(60), range(5)), columns=["level_a", "level_b"]).astype(str)
    texts = {"term": "a x b", "factor_a": "a", "factor_b": "b", "share": 0.1, "p_adjusted": 0.5}
    with style():
        (axes,) = PLOTS["interactions"].draw(levels.assign(mean=0.5, low=0.4, high=0.6, **texts)).axes
    assert len(axes.lines) == 2
    assert "and 3 more" in [text.get_text() for text in axes.texts]
    assert 5 <= len(axes.get_xticks()) <= 20


def test_dense_cells_have_no_load(tmp_path: Path) -> None:
    dense = {"label": "dense", "set": {"encoder.experts_by_depth": [1], "encoder.top_k": 1}}
    study = make_study(tmp_path, {"experts": {"path": "encoder.experts_by_depth", "levels": [[2, 3, 4], dense]}})
    assert by_cell(analysed(study, tmp_path / "store").expert_load)["cell"].tolist() == ["baseline"]


def test_published_results_are_shown_for_each_data_set(tmp_path: Path) -> None:
    """Cells are beside results on their own data set; mnist has none."""
    levels = [{"label": name, "set": {"finetune.dataset": name}} for name in ("cifar100", "mnist")]
    factors = {**KV_HEADS, "images": {"baseline": "cifar10", "levels": levels}}
    results = analysed(make_study(tmp_path, factors, baseline=CIFAR, design="factorial"), tmp_path / "store", varied)
    assert published_for(results.facts)["data_set"].unique().tolist() == ["cifar10", "cifar100"]
    numbers = PLOTS["references"].compute(results)
    ours = numbers[numbers["family"] == "this study"]
    assert all(
        ("cifar100" in name) == (on == "cifar100") for name, on in zip(ours["name"], ours["data_set"], strict=True)
    )
    assert ours["data_set"].unique().tolist() == ["cifar10", "cifar100"]
    with style():
        drawn = PLOTS["references"].draw(numbers)
    assert [axes.get_ylabel() for axes in drawn.axes] == [
        "top-1 accuracy on cifar10, %", "top-1 accuracy on cifar100, %",
    ]  # fmt: skip


def test_only_cifar_studies_are_shown_with_published_results(tmp_path: Path) -> None:
    results = analysed(make_study(tmp_path, KV_HEADS, baseline=CIFAR), tmp_path / "store")
    rows = published_for(results.facts)
    assert set(rows["source"].str.len() > 0) == {True}
    second_hand = rows[rows["model"] == "ViT lightweight MAE (Tan)"].iloc[0]
    assert (second_hand["top1"], "second-hand" in second_hand["source"]) == (96.41, True)
    numbers = PLOTS["references"].compute(results)
    assert numbers["name"].is_unique
    assert (numbers["family"] == "this study").sum() == (results.cells["front"] | (results.cells["number"] == 1)).sum()
    assert published_for(unrun(make_study(tmp_path, KV_HEADS), tmp_path / "other").facts).empty


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300)), min_size=1, max_size=12, unique=True))
def test_labels_do_not_overlap_and_stay_inside(points: list[tuple[int, int]]) -> None:
    marks = [Mark((x, y), [Box.around((x, y), 4)]) for x, y in points]
    frame = Box(-20, -20, 320, 320)
    placed = place(marks, [(40.0, 10.0)] * len(marks), [Box(100, 0, 102, 300)], frame)
    boxes = [box for box in placed if box]
    taken = [Box(100, 0, 102, 300), *(box for mark in marks for box in mark.boxes)]
    assert all(box.within(frame) for box in boxes)
    assert not any(box.overlaps(other) for box in boxes for other in taken)
    assert not any(one.overlaps(two) for i, one in enumerate(boxes) for two in boxes[:i])


@given(st.floats(1, 1e10), st.floats(1.3, 1e4))
def test_ticks_are_round_few_and_inside(low: float, ratio: float) -> None:
    ticks = round_ticks(low, low * ratio)
    assert 2 <= len(ticks) <= 7
    assert all(low * 0.999 <= tick <= low * ratio * 1.001 for tick in ticks)
    assert ticks == sorted(set(ticks))


def test_an_outlier_does_not_squeeze_the_other_rows() -> None:
    rows = [Row("a", 1.0, 0.0, 2.0), Row("b", -1.0, -2.0, 0.0), Row("c", 0.5), Row("far", -30.0, -35.0, -25.0)]
    assert window(rows, zero=True) == (pytest.approx(-2.2), pytest.approx(2.2))  # 5 % of room at both ends
    assert window(rows, zero=False) == (pytest.approx(-36.85), pytest.approx(3.85))
    assert window([Row("a", 0.0), Row("b", 0.0), Row("c", 1.0)], zero=True)[1] > 1  # where nothing else moves


def test_a_cell_far_below_is_labelled_with_its_accuracy_at_the_edge(tmp_path: Path) -> None:
    def accuracy(trial: Trial) -> float:
        return 0.4 if trial.cell.changed == ("first",) and trial.cell.labels["first"] == "50" else varied(trial)

    factor = {"first": {"path": "encoder.ffn_width_first", "levels": [48, 50, 52, 54]}}
    results = analysed(make_study(tmp_path, factor, replicates=1), tmp_path / "store", accuracy)
    with style():
        axes = PLOTS["parameters"].draw(PLOTS["parameters"].compute(results)).axes[0]
        assert axes.get_ylim()[0] > 50
        assert [text.get_text() for text in axes.texts if "40.00 %" in text.get_text()]


def test_names_wrap_to_a_width_and_end_in_an_ellipsis() -> None:
    with style():
        assert wrapped("short", 1.0, 2) == "short"
        assert wrapped("one two", 0.3, 2) == "one\ntwo"
        rows = wrapped("W" * 60 + " and more", 1.0, 3).split("\n")
        assert (len(rows), rows[-1][-1]) == (3, "…")
        assert wrapped("汉\U0001f680", 1.0, 1).count("\N{REPLACEMENT CHARACTER}") in (1, 2)
