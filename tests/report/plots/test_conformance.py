"""Every plot, new ones included: numbers, drawing, files, alternative text, escaping, and its place in the report."""

import warnings
from pathlib import Path
from xml.etree import ElementTree

import nbformat
import pandas as pd
import pytest
from helpers.paths import ROOT
from helpers.predicted_samples import with_predictions
from helpers.report_kinds import STUDY_KINDS, varied
from helpers.report_samples import SCRIPT, Built, analysed, collected, unrun

from study.report import Analysis, figure
from study.report.coverage import AFTER_STOPPING
from study.report.plots import PLOTS
from study.report.plots.style import style
from study.report.sections import outline
from study.utils.errors import StudyError


def check_drawing(analysis: Analysis, name: str, folder: Path) -> None:
    """Draws without warnings; the files are complete, and the image has a size and an alternative text."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shown = figure(analysis, name, folder)
    assert "study" not in shown.metadata, shown.forms
    assert shown.metadata["image/png"]["alt"] == f"{PLOTS[name].title}; numbers in {folder.name}/{name}.csv"
    assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / f"{name}.pdf").read_bytes().startswith(b"%PDF")
    root = ElementTree.parse(folder / f"{name}.svg").getroot()
    assert not [element for element in root.iter() if element.tag.endswith(("script", "}a"))]
    assert len(pd.read_csv(folder / f"{name}.csv")) == len(PLOTS[name].compute(analysis))


def is_in(analysis: Analysis, name: str) -> bool:
    return f'figure(analysis, "{name}")' in [cell.written for cell in outline(analysis)]


def test_every_file_with_a_plot_is_registered() -> None:
    files = (ROOT / "study" / "report" / "plots").glob("*.py")
    assert {path.stem for path in files if "\nPLOT = Plot(" in path.read_text(encoding="utf-8")} == set(PLOTS)


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_has_a_title_and_a_caption(name: str, tmp_path: Path) -> None:
    assert PLOTS[name].title
    caption = PLOTS[name].caption_for(unrun(STUDY_KINDS["one factor"](tmp_path), tmp_path / "store"))
    assert caption.endswith(".")
    assert AFTER_STOPPING not in caption


@pytest.mark.parametrize("name", PLOTS)
def test_intervals_that_ignore_adaptive_stopping_are_marked(name: str, tmp_path: Path) -> None:
    """Whatever shows 95 % intervals, in a study that added replicates until its claims were decided."""
    caption = PLOTS[name].caption_for(unrun(STUDY_KINDS["adaptive"](tmp_path), tmp_path / "store"))
    assert ("95 % interval" in caption.replace(AFTER_STOPPING, "")) == (AFTER_STOPPING in caption)


@pytest.mark.parametrize("name", PLOTS)
def test_an_unrun_study_has_no_numbers_and_no_figure(name: str, tmp_path: Path) -> None:
    analysis = unrun(STUDY_KINDS["one factor"](tmp_path), tmp_path / "store")
    numbers = PLOTS[name].compute(analysis)
    assert isinstance(numbers, pd.DataFrame)
    assert numbers.empty
    assert not is_in(analysis, name)
    with pytest.raises(StudyError, match="is empty"):
        figure(analysis, name, tmp_path)


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_is_in_the_report_if_it_has_numbers(name: str, built: Built, tmp_path: Path) -> None:
    numbers = PLOTS[name].compute(built.analysis)
    assert numbers.columns.is_unique
    assert is_in(built.analysis, name) == (len(numbers) > 0)
    notebook = nbformat.read(built.report.notebook, as_version=4)
    assert any(f'figure(analysis, "{name}")' == cell.source for cell in notebook.cells) == (len(numbers) > 0)
    assert (f'alt="{PLOTS[name].title};' in built.text("report.html")) == (len(numbers) > 0)
    if len(numbers):
        check_drawing(built.analysis, name, tmp_path / "figures")
        assert SCRIPT not in (tmp_path / "figures" / f"{name}.svg").read_text(encoding="utf-8")
        with style():
            drawn = PLOTS[name].draw(numbers)
        texts = [*drawn.texts, *(axes.xaxis.label for axes in drawn.axes), *(axes.yaxis.label for axes in drawn.axes)]
        assert any(text.get_text() for text in texts)


@pytest.mark.parametrize("names", [("one", "b|c$"), tuple(f"class {i}" for i in range(15))])
def test_every_plot_draws_predictions(names: tuple[str, ...], tmp_path: Path) -> None:
    made = collected(STUDY_KINDS["one factor"](tmp_path), tmp_path / "store", varied)
    analysis = Analysis(with_predictions(made, names=names))
    assert is_in(analysis, "confusion")
    check_drawing(analysis, "confusion", tmp_path / "figures")


@pytest.mark.parametrize("kind", STUDY_KINDS)
def test_every_plot_draws_every_kind_of_study(kind: str, tmp_path: Path) -> None:
    analysis = analysed(STUDY_KINDS[kind](tmp_path), tmp_path / "store", varied)
    few = {"parameters", "effects", "finetune_curves"}  # the others draw dozens of panels in the same way
    for name in PLOTS if kind != "41 cells" else few:
        if PLOTS[name].is_shown(analysis):
            check_drawing(analysis, name, tmp_path / "figures")
