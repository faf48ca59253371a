"""A report whose figure, table, analysis or notebook cell raises: one sentence in its place, all else as usual."""

import sys
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from helpers.report_kernel import run_in_kernel_too
from helpers.report_samples import KV_HEADS, PRETRAINING, Built, collected, make_study
from nbformat import v4

from study.report import Report, Results, build, is_current
from study.report.notebook import execute
from study.report.plots import PLOTS
from study.report.tables import TABLES


@pytest.fixture
def results(tmp_path: Path) -> Results:
    study = make_study(tmp_path, {**KV_HEADS, **PRETRAINING}, design="factorial", replicates=2)
    return collected(study, tmp_path / "store")


@pytest.fixture
def registries() -> Iterator[None]:
    """Plots and tables as they were before the test."""
    plots, tables = dict(PLOTS), dict(TABLES)
    yield
    for registry, before in ((PLOTS, plots), (TABLES, tables)):
        registry.clear()
        registry.update(before)


def shown(report: Report) -> str:
    """The page, with characters in place of entities."""
    return unescape(report.html.read_text(encoding="utf-8"))


def check_the_rest(report: Report, results: Results) -> None:
    """The data and the other content are complete, and the report is not considered current."""
    pd.testing.assert_frame_equal(pd.read_csv(report.folder / "results.csv")[["cell"]], results.trials[["cell"]])
    for section in ("Answer", "All trials", "How to reproduce"):
        assert f'<h2 id="{section.replace(" ", "-")}">' in shown(report)
    assert 'figure(analysis, "finetune_curves")' in report.notebook.read_text(encoding="utf-8").replace("\\", "")
    assert (report.folder / "figures" / "finetune_curves.svg").is_file()
    assert not is_current(results, report.folder)


def test_a_usual_report_has_no_such_sentence(built: Built) -> None:
    assert built.report.warnings == ()
    for name in ("report.html", "report.ipynb", "table.md", "claims.md"):
        assert "could not be" not in built.text(name)
    assert is_current(built.results, built.report.folder)


def test_a_plot_that_cannot_be_drawn(
    results: Results, tmp_path: Path, registries: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "from dataclasses import replace\n"
        "from study.report.plots import PLOTS\n"
        "def draw(numbers): raise ZeroDivisionError('no <b>ink</b>\\nleft')\n"
        "PLOTS['effects'] = replace(PLOTS['effects'], draw=draw)\n"
    )
    run_in_kernel_too(code, tmp_path / "site", monkeypatch)
    report = build(results, tmp_path / "report")
    assert report.warnings == ("The figure 'effects' could not be drawn: ZeroDivisionError: no <b>ink</b>.",)
    assert report.warnings[0] in shown(report)
    assert "<b>ink</b>" not in report.html.read_text(encoding="utf-8")
    assert (report.folder / "figures" / "effects.csv").is_file()
    assert not (report.folder / "figures" / "effects.svg").exists()
    check_the_rest(report, results)


def test_a_table_that_cannot_be_computed(
    results: Results, tmp_path: Path, registries: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "from dataclasses import replace\n"
        "from study.report.tables import TABLES\n"
        "def write(analysis, rows): raise KeyError('params')\n"
        "TABLES['cells'] = replace(TABLES['cells'], write=write)\n"
    )
    run_in_kernel_too(code, tmp_path / "site", monkeypatch)
    report = build(results, tmp_path / "report")
    assert report.warnings == ("The table 'cells' could not be computed: KeyError: 'params'.",)
    assert report.warnings[0] in shown(report)
    assert not (report.folder / "table.md").exists()
    assert (report.folder / "table.tex").is_file()
    check_the_rest(report, results)


def test_a_fit_that_fails(results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fit(results: Results) -> None:
        raise np.linalg.LinAlgError("Singular matrix")

    monkeypatch.setattr("study.analysis.factorial.fit", fit)
    report = build(results, tmp_path / "report")
    for what in (
        *("The table 'anova' could not be computed", "The finding 'variance' could not be computed"),
        *(f"The figure '{name}' could not be drawn" for name in ("variance", "main_effects", "interactions")),
    ):
        assert f"{what}: LinAlgError: Singular matrix." in report.warnings
    assert any(sentence.startswith("Not computed: The finding 'variance'") for sentence in report.summary)
    assert "The figure 'variance' could not be drawn: LinAlgError: Singular matrix." in shown(report)
    assert 'figure(analysis, "effects")' in report.notebook.read_text(encoding="utf-8").replace("\\", "")
    check_the_rest(report, results)


def test_a_bootstrap_that_fails(results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def bootstrap(*samples: object, **options: object) -> None:
        raise MemoryError

    monkeypatch.setattr("study.analysis.cells.bootstrap_intervals", bootstrap)
    report = build(results, tmp_path / "report")
    assert report.warnings == ("The bootstrap intervals could not be computed: MemoryError.",)
    cells = pd.read_csv(report.folder / "cells.csv")
    assert cells["mean"].notna().all()
    assert cells["bootstrap_low"].isna().all()
    assert "The bootstrap intervals could not be computed: MemoryError." in (report.folder / "table.md").read_text()
    check_the_rest(report, results)


def test_verdicts_that_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    claim = {"claim": "one head is better", "kind": "greater", "cells": {"kv heads": 1}}
    study = make_study(tmp_path, KV_HEADS, claims=[claim])
    results = collected(study, tmp_path / "store")

    def judge(*arguments: object) -> None:
        raise ValueError("no verdict")

    monkeypatch.setattr("study.analysis.verdicts.judge", judge)
    report = build(results, tmp_path / "report")
    for what in ("claims.csv", "The table 'claims'", "The finding 'claims'"):
        assert f"{what} could not be computed: ValueError: no verdict." in report.warnings
    assert not (report.folder / "claims.csv").exists()
    assert (report.folder / "claim_runs.csv").is_file()
    check_the_rest(report, results)


def test_a_cell_that_raises_shows_one_sentence(tmp_path: Path) -> None:
    node = v4.new_notebook(cells=[v4.new_code_cell("1 / 0"), v4.new_markdown_cell("text"), v4.new_code_cell("2")])
    execute(node, tmp_path)
    failed, _, succeeded = node.cells
    assert [output.output_type for output in failed.outputs] == ["execute_result"]
    sentence = "This cell could not be executed: ZeroDivisionError: division by zero."
    assert failed.outputs[0].data["text/plain"] == sentence
    assert succeeded.outputs[0].data["text/plain"] == "2"
    nbformat.validate(node)


def test_a_cell_that_takes_too_long_shows_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("study.report.notebook.TIMEOUT", 2)
    node = v4.new_notebook(cells=[v4.new_code_cell("import time; time.sleep(60)"), v4.new_code_cell("2")])
    execute(node, tmp_path)
    assert "it took longer than 2 s" in node.cells[0].outputs[0].data["text/plain"]
    assert node.cells[1].outputs[0].data["text/plain"] == "2"


def test_without_a_kernel_the_outputs_are_the_same(
    built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho no module named ipykernel >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    report = build(built.results, tmp_path / "report")
    assert report.warnings == (
        "The notebook was not executed, its outputs were computed without a kernel: the notebook kernel stopped: no "
        "module named ipykernel.",
    )
    assert report.notebook.read_text() == built.report.notebook.read_text()
    assert report.html.read_text() == built.report.html.read_text()
    assert sorted(path.relative_to(report.folder) for path in report.files) == sorted(
        path.relative_to(built.report.folder) for path in built.report.files
    )


def test_a_new_plot_and_a_new_table_are_shown_without_further_changes(
    results: Results, tmp_path: Path, registries: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "import pandas as pd\n"
        "from study.report.placement import Section\n"
        "from study.report.plots import PLOTS\n"
        "from study.report.plots.plot import Plot\n"
        "from study.report.plots.style import new_figure\n"
        "from study.report.tables import TABLES\n"
        "from study.report.tables.report_table import ReportTable\n"
        "from study.report.tables.table import Column, Table\n"
        "def compute(analysis): return pd.DataFrame({'x': [1, 2]})\n"
        "def draw(numbers):\n"
        "    figure = new_figure(2, 2)\n"
        "    figure.add_subplot(xlabel='x').plot(numbers['x'])\n"
        "    return figure\n"
        "def write(analysis, rows): return Table((Column.of('x', str, rows['x']),), 'A throw-away table.')\n"
        "PLOTS['extra'] = Plot(Section.EFFECTS, 'A throw-away plot', 'Its caption.', compute, draw)\n"
        "TABLES['extra'] = ReportTable(Section.DEVICE, compute, write, files=('tables/extra.tex',))\n"
    )
    run_in_kernel_too(code, tmp_path / "site", monkeypatch)
    report = build(results, tmp_path / "report")
    assert report.warnings == ()
    sources = [cell.source for cell in nbformat.read(report.notebook, as_version=4).cells]
    assert sources.index('figure(analysis, "extra")') > sources.index('figure(analysis, "effects")')
    assert 'table(analysis, "extra")' in sources
    assert 'alt="A throw-away plot; numbers in figures/extra.csv"' in shown(report)
    assert "A throw-away table." in shown(report)
    assert (report.folder / "figures" / "extra.svg").is_file()
    assert r"\label{tab:made-up-extra}" in (report.folder / "tables" / "extra.tex").read_text()
