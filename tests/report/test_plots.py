"""Figures: their numbers by hand, and one suite that every one of PLOTS passes."""

import itertools
import math
import statistics
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from helpers.looks import collect
from helpers.report_samples import BASELINE, KV_HEADS, PRETRAINING, Built, collected, everything, fill, make_study
from hypothesis import given, settings
from hypothesis import strategies as st

from study.analysis.expert_load import IDLE, loads, relative_loads
from study.design.study import Study, Trial
from study.report import Results, figure
from study.report.plots import PLOTS, curves, parameters
from study.report.plots.labels import Box, Mark, place
from study.report.plots.scales import round_ticks
from study.report.plots.style import LIGHT, style, wrapped
from study.report.plots.whiskers import Row, window
from study.report.reference_models import beside
from study.store.results import Store
from study.utils.errors import StudyError

CIFAR = {**BASELINE, "pretrain": None, "finetune": {"dataset": "cifar10", "epochs": 3}}
WIDTHS = {
    "first": {"path": "encoder.ffn_width_first", "levels": [48, *range(50, 90, 2)]},
    "last": {"path": "encoder.ffn_width_last", "levels": [16, *range(18, 58, 2)]},
}
STUDIES: dict[str, Callable[[Path], Study]] = {
    "one factor": lambda folder: make_study(folder, {**KV_HEADS, **PRETRAINING}),
    "factorial": lambda folder: make_study(folder, {**KV_HEADS, **PRETRAINING}, design="factorial", replicates=2),
    "one replicate": lambda folder: make_study(folder, {**KV_HEADS, **PRETRAINING}, replicates=1),
    "nothing alike": lambda folder: make_study(  # two cells that differ in both factors
        folder,
        {"x": {"path": "encoder.num_kv_heads", "levels": [1]}, "y": {"path": "encoder.bias", "levels": [False]}},
        design="factorial",
        exclude=[{"when": {"x": "1", "y": "on"}, "reason": "no"}, {"when": {"x": "2", "y": "off"}, "reason": "no"}],
    ),
    "cifar": lambda folder: make_study(folder, KV_HEADS, baseline=CIFAR),
    "41 cells": lambda folder: make_study(folder, WIDTHS, replicates=2),
}


def varied(trial: Trial) -> float:
    return 0.8 + 0.1 * math.sin(len(trial.cell.name) + trial.replicate) ** 2


@pytest.mark.parametrize("name", PLOTS)
def test_without_results_a_plot_has_no_numbers(name: str, tmp_path: Path) -> None:
    results = collect(STUDIES["one factor"](tmp_path), Store(tmp_path / "store"))
    assert PLOTS[name].compute(results).empty
    with pytest.raises(StudyError, match="nothing to show"):
        figure(results, name, tmp_path)


@pytest.mark.parametrize("kind", [*STUDIES, "everything"])
def test_every_plot_draws_every_kind_of_study_without_a_warning(kind: str, tmp_path: Path) -> None:
    if kind == "everything":
        results = collect(*everything(tmp_path))
    else:
        results = collected(STUDIES[kind](tmp_path), tmp_path / "store", varied)
    few = {"parameters", "effects", "finetune_curves"}  # the others draw dozens of panels in the same way
    for name, plot in PLOTS.items():
        if kind == "41 cells" and name not in few:
            continue
        numbers = plot.compute(results)
        if len(numbers):
            check_figure(results, name, tmp_path / "figures")
        assert numbers.columns.is_unique


def check_figure(results: Results, name: str, folder: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shown = figure(results, name, folder)
    assert shown.forms["image/png"]
    assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    root = ElementTree.parse(folder / f"{name}.svg").getroot()
    assert not [element for element in root.iter() if element.tag.endswith(("script", "}a"))]
    assert (folder / f"{name}.csv").read_text(encoding="utf-8").count("\n") > 1


def test_equal_numbers_give_equal_files(tmp_path: Path) -> None:
    results = collected(make_study(tmp_path, KV_HEADS), tmp_path / "store")
    for folder in ("one", "two"):
        figure(results, "parameters", tmp_path / folder)
    for suffix in ("png", "svg", "pdf", "csv"):
        one, two = (tmp_path / folder / f"parameters.{suffix}" for folder in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()


def test_parameters_has_the_cells_and_moves_only_those_that_would_cover_each_other(built: Built) -> None:
    numbers = PLOTS["parameters"].compute(built.results)
    assert numbers["mean"].tolist() == built.results.cells["mean"].tolist()
    same = numbers[numbers["params"] == 51_840]
    assert same["x"].is_unique
    assert same["x"].div(51_840).sub(1).abs().max() < 0.05
    assert numbers[numbers["params"] != 51_840]["x"].tolist() == [pytest.approx(43_200)]


def test_curves_are_means_over_replicates(tmp_path: Path) -> None:
    study = make_study(tmp_path, KV_HEADS)
    results = collected(study, tmp_path / "store", lambda trial: 0.8 + 0.03 * trial.replicate)
    curves = PLOTS["finetune_curves"].compute(results)
    last = curves[(curves["cell"] == "baseline") & (curves["epoch"] == 8)].iloc[0]
    grown = 1 - math.exp(-4)
    assert (last["n"], last["mean"]) == (3, pytest.approx(0.85 * grown))
    assert (last["low"], last["high"]) == (pytest.approx(0.82 * grown), pytest.approx(0.88 * grown))
    assert len(curves) == 3 * 8


def test_a_shared_pretraining_is_drawn_once(tmp_path: Path) -> None:
    factor = {"smoothing": {"path": "finetune.label_smoothing", "levels": [0.0, 0.1]}}
    curves = PLOTS["pretrain_curves"].compute(collected(make_study(tmp_path, factor), tmp_path / "store"))
    assert curves["cell"].unique().tolist() == ["baseline, shared with 1 more cell"]


def test_loads_are_in_even_shares(tmp_path: Path) -> None:
    results = collected(make_study(tmp_path, KV_HEADS, replicates=2), tmp_path / "store")
    numbers = PLOTS["expert_load"].compute(results)
    block = numbers[(numbers["cell"] == "baseline") & (numbers["replicate"] == 1) & (numbers["block"] == 3)]
    # three experts with 1, 2 and 3 sixths of the tokens; an even share is two sixths
    assert sorted(zip(block["rank"], block["load"], strict=True)) == [(1, 1.5), (2, 1.0), (3, 0.5)]
    row = loads(results).iloc[0]
    assert (row["blocks"], row["busiest"], row["idle"]) == (6, pytest.approx(1.6), 0)
    deviations = {2: 1 / 3, 3: math.sqrt(1 / 6), 4: math.sqrt(0.2)}
    assert row["variation"] == pytest.approx(sum(deviations.values()) / 3)
    assert (row["worst"], row["worst_block"]) == (pytest.approx(math.sqrt(0.2)), 5)


def test_loads_of_many_cells_are_each_cells_own(tmp_path: Path) -> None:
    """Against a plain pass over cells, replicates and blocks."""
    results = collected(make_study(tmp_path, KV_HEADS, replicates=2), tmp_path / "store")
    drawn = np.random.default_rng(3).dirichlet([0.5] * 4, size=len(results.expert_load)).max(axis=1)
    results = replace(results, expert_load=results.expert_load.assign(share=drawn))
    table, rows = relative_loads(results), loads(results).set_index("cell")
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
    """Thousands of curves behind every panel become their span, thousands of dots one line of markers."""
    results = collected(make_study(tmp_path, {**KV_HEADS, **PRETRAINING}), tmp_path / "store", varied)
    monkeypatch.setattr(curves, "MOST_LINES", 2)
    monkeypatch.setattr(parameters, "MOST", 2)
    with style():
        panels = PLOTS["finetune_curves"].draw(PLOTS["finetune_curves"].compute(results)).axes
        (dots,) = PLOTS["parameters"].draw(PLOTS["parameters"].compute(results)).axes
    cells = results.cells
    assert {type(behind).__name__ for behind in panels[1].collections} == {"FillBetweenPolyCollection"}
    told = int((cells["front"] | (cells["number"] == 1)).sum())
    faint = [line for line in dots.lines if line.get_color() == LIGHT and len(line.get_xdata())]
    assert [len(line.get_xdata()) for line in faint] == [len(cells) - told]


def test_of_many_levels_some_are_named_and_fewer_lines_drawn() -> None:
    levels = pd.DataFrame(itertools.product(range(60), range(5)), columns=["level_a", "level_b"]).astype(str)
    told = {"term": "a x b", "factor_a": "a", "factor_b": "b", "share": 0.1, "p_adjusted": 0.5}
    with style():
        (axes,) = PLOTS["interactions"].draw(levels.assign(mean=0.5, low=0.4, high=0.6, **told)).axes
    assert len(axes.lines) == 2
    assert "and 3 more" in [text.get_text() for text in axes.texts]
    assert 5 <= len(axes.get_xticks()) <= 20


def test_dense_cells_have_no_load_to_show(tmp_path: Path) -> None:
    dense = {"label": "dense", "set": {"encoder.experts_by_depth": [1], "encoder.top_k": 1}}
    study = make_study(tmp_path, {"experts": {"path": "encoder.experts_by_depth", "levels": [[2, 3, 4], dense]}})
    assert loads(collected(study, tmp_path / "store"))["cell"].tolist() == ["baseline"]


def test_published_points_stand_beside_cifar_studies_alone(tmp_path: Path) -> None:
    results = collected(STUDIES["cifar"](tmp_path), tmp_path / "store")
    rows = beside(results.facts)
    assert set(rows["source"].str.len() > 0) == {True}
    second_hand = rows[rows["model"] == "ViT lightweight MAE (Tan)"].iloc[0]
    assert (second_hand["top1"], "second-hand" in second_hand["source"]) == (96.41, True)
    numbers = PLOTS["references"].compute(results)
    assert numbers["name"].is_unique
    assert (numbers["family"] == "this study").sum() == (results.cells["front"] | (results.cells["number"] == 1)).sum()
    other = collect(make_study(tmp_path, KV_HEADS), fill(make_study(tmp_path, KV_HEADS), tmp_path / "other"))
    assert beside(other.facts).empty


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300)), min_size=1, max_size=12, unique=True))
def test_placed_names_overlap_nothing_and_stay_inside(points: list[tuple[int, int]]) -> None:
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


def test_one_row_far_out_does_not_squeeze_the_others() -> None:
    rows = [Row("a", 1.0, 0.0, 2.0), Row("b", -1.0, -2.0, 0.0), Row("c", 0.5), Row("far", -30.0, -35.0, -25.0)]
    assert window(rows, zero=True) == (pytest.approx(-2.2), pytest.approx(2.2))  # 5 % of room at both ends
    assert window(rows, zero=False) == (pytest.approx(-36.85), pytest.approx(3.85))
    assert window([Row("a", 0.0), Row("b", 0.0), Row("c", 1.0)], zero=True)[1] > 1  # where nothing else moves


def test_a_cell_far_below_is_told_at_the_edge(tmp_path: Path) -> None:
    def accuracy(trial: Trial) -> float:
        return 0.4 if trial.cell.changed == ("first",) and trial.cell.labels["first"] == "50" else varied(trial)

    factor = {"first": {"path": "encoder.ffn_width_first", "levels": [48, 50, 52, 54]}}
    results = collected(make_study(tmp_path, factor, replicates=1), tmp_path / "store", accuracy)
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


def test_an_unknown_figure_names_those_there_are(built: Built) -> None:
    with pytest.raises(StudyError, match="did you mean 'effects'"):
        figure(built.results, "effect")
