"""The files of a report: complete, self-contained, readable again, and replaced only by complete ones."""

import base64
import html
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from helpers.looks import collect
from helpers.paths import ROOT
from helpers.predicted_samples import with_predictions
from helpers.report_samples import HOSTILE, KV_HEADS, SCRIPT, Built, fill, make_study, put, unrun
from nbformat import v4

from study.analysis.predictions import encode
from study.design.factors import RESULT_COLUMNS
from study.design.stages import stages_of
from study.design.study import expand, load
from study.report import Results, build, is_current, read
from study.report.notebook import execute
from study.store.results import Store
from study.utils.csv_cells import guarded
from study.utils.errors import StudyError
from study.utils.escape import line

FILES = [
    *("claim_runs.csv", "claims.csv", "claims.md", "claims.tex"),
    *(
        "budgets.csv",
        "cells.csv",
        "expert_load.csv",
        "grid.yaml",
        "history.csv",
        "report.html",
        "report.ipynb",
        "results.csv",
    ),
    "study.json",
]
SMALL = {"kv heads": {"path": "encoder.num_kv_heads", "levels": [3, 1]}}
BASIC = {
    "encoder": {"image_size": 8, "patch_size": 2, "depth": 2, "experts_by_depth": [3]},
    "finetune": {"dataset": "digits", "epochs": 2},
}


class Page(HTMLParser):
    """Elements and attributes of a page, and the text that a browser would show."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


def small(folder: Path) -> Results:
    study = make_study(folder, SMALL, baseline=BASIC, replicates=1)
    return collect(study, fill(study, folder / "store"))


def test_a_report_has_exactly_these_files(built: Built) -> None:
    folder = built.report.folder
    found = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    figures = ["claims", "effects", "expert_load", "finetune_curves", "parameters", "pretrain_curves", "pretraining"]
    expected = [f"figures/{name}.{suffix}" for name in figures for suffix in ("csv", "pdf", "png", "svg")]
    latex = [f"tables/{name}.tex" for name in ("budgets", "comparisons", "effects")]
    assert found == sorted([*FILES, "table.md", "table.tex", *latex, *expected])
    assert sorted(path.relative_to(folder).as_posix() for path in built.report.files) == found


def test_csv_files_are_read_back_unchanged(built: Built) -> None:
    again = read(built.report.folder)
    assert again.facts == built.results.facts
    for name, frame in built.results.tables().items():
        pd.testing.assert_frame_equal(again.tables()[name], frame)
    for name in ("history", "expert_load"):  # whose keys are written in part
        pd.testing.assert_frame_equal(getattr(again, name), getattr(built.results, name))
        assert set(getattr(again, name)["key"].str.len()) == {64}


def test_predictions_are_read_back_unchanged_and_reports_without_them_are_valid(tmp_path: Path) -> None:
    results = with_predictions(small(tmp_path))
    folder = build(results, tmp_path / "report").folder
    assert encode(read(folder).predictions) == encode(results.predictions)
    assert is_current(results, folder)
    assert not is_current(replace(results, predictions=()), folder)
    (folder / "predictions.npz").write_bytes(b"no archive")
    with pytest.raises(StudyError, match="invalid report files"):
        read(folder)
    (folder / "predictions.npz").unlink()  # as in reports of older versions
    assert read(folder).predictions == ()


def test_a_report_of_predictions_is_built_without_warnings_and_says_where_they_lack(tmp_path: Path) -> None:
    results = with_predictions(small(tmp_path))
    made = build(results, tmp_path / "report")
    assert made.warnings == ()
    names = {path.name for path in made.files}
    assert {"image_comparisons.csv", "classes.csv", "confusions.csv", "hard_images.csv", "predictions.npz"} <= names
    assert "Images that are most often wrong" in made.html.read_text()
    old = build(replace(results, predictions=()), tmp_path / "report")
    assert "not available for all cells: 2 of 2 finished trials stored without" in Page(old.html.read_text()).text
    assert not (old.folder / "predictions.npz").exists()


def test_levels_that_look_like_numbers_or_none_are_read_back_as_text(tmp_path: Path) -> None:
    labels = ["NA", "007", "1e5", "None", " -"[1:], "true", 'a"b,c', "\u00e9|\U0001f680"]
    levels = [{"label": label, "value": 50 + i} for i, label in enumerate(labels)]
    study = make_study(tmp_path, {"width": {"path": "encoder.ffn_width_first", "levels": [48, *levels]}}, replicates=1)
    results = collect(study, Store(tmp_path / "store"))
    from study.report.build import _write_csv

    for name, frame in results.tables().items():
        _write_csv(frame, tmp_path / name)
    (tmp_path / "study.json").write_text(results.facts.model_dump_json())
    assert read(tmp_path).trials["width"].tolist() == ["48", *labels]


def test_results_csv_has_the_promised_columns(built: Built) -> None:
    table = pd.read_csv(built.report.folder / "results.csv", keep_default_na=False)
    assert list(table.columns) == [*RESULT_COLUMNS, *map(guarded, built.results.facts.factor_names)]
    assert not [cell for cell in table.to_numpy().ravel() if str(cell).startswith(("=", "+", "@"))]
    assert table["status"].value_counts().to_dict() == {"done": 8, "failed": 2, "missing": 2, "excluded": 1}


def test_cells_csv_has_the_promised_columns(built: Built) -> None:
    table = pd.read_csv(built.report.folder / "cells.csv")
    promised = {"cell", "n", "mean", "low", "high", "difference", "difference_low", "difference_high", "params", "macs"}
    assert promised | set(map(guarded, built.results.facts.factor_names)) <= set(table.columns)
    assert len(table) == 4


def test_a_factor_named_like_a_column_of_cells_csv_is_renamed(tmp_path: Path) -> None:
    from study.report.build import _cells_with_levels

    study = make_study(tmp_path, {"mean": SMALL["kv heads"]}, baseline=BASIC, replicates=1)
    table = _cells_with_levels(unrun(study, tmp_path / "store"))
    assert table.columns.is_unique
    assert table["factor mean"].tolist() == ["3", "1"]


def test_every_figure_of_the_notebook_is_embedded_and_every_table_has_two_forms(built: Built) -> None:
    notebook = nbformat.read(built.report.notebook, as_version=4)
    nbformat.validate(notebook)
    outputs = [(cell.source, cell.outputs) for cell in notebook.cells if cell.cell_type == "code"]
    assert outputs[0][1] == []  # the imports
    for source, found in outputs[1:]:
        assert [output.output_type for output in found] == ["execute_result"], source
        if source.startswith("figure("):
            assert base64.b64decode(found[0].data["image/png"]).startswith(b"\x89PNG")
            assert found[0].metadata["image/png"]["alt"]
        else:
            assert {"text/html", "text/plain"} <= set(found[0].data)


def test_the_notebook_is_short_prose_and_calls_in_order(built: Built) -> None:
    cells = nbformat.read(built.report.notebook, as_version=4).cells
    code = [cell.source for cell in cells if cell.cell_type == "code"]
    assert max(map(len, code[1:])) < 50
    assert code[1:3] == ["answers(analysis)", 'figure(analysis, "claims")']
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert headings[:5] == ["Answer", "Verdicts", "Parameters versus accuracy", "Effect of each factor", "Budgets"]
    assert headings[-4:] == ["All trials", "Design", "Provenance", "How to reproduce"]
    assert "Failures and exclusions" in headings


def test_the_page_has_no_scripts_and_no_external_resources(built: Built) -> None:
    page = Page(built.text("report.html"))
    assert not page.tags & {"script", "iframe", "object", "embed", "form", "base"}
    links = [value for name, value in page.attributes if name in {"href", "src", "action", "srcset"}]
    assert links
    assert all(link.startswith(("#", "data:image/png")) for link in links)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert not re.findall(r"@import|url\(", built.text("report.html"))


def test_links_of_the_page_point_to_its_sections(built: Built) -> None:
    page = Page(built.text("report.html"))
    ids = {value for name, value in page.attributes if name == "id"}
    assert {value[1:] for name, value in page.attributes if name == "href"} <= ids


def test_hostile_names_are_shown_literally(built: Built) -> None:
    page = Page(built.text("report.html"))
    shown = " ".join(page.text.split())
    assert SCRIPT in shown
    assert HOSTILE in shown
    assert line(built.results.facts.question) in shown
    assert "RuntimeError: " + SCRIPT + " | loss is nan" in shown
    for cell in nbformat.read(built.report.notebook, as_version=4).cells:
        assert "<script" not in cell.source + "".join(o.data.get("text/html", "") for o in cell.get("outputs", []))
    assert "<script" not in built.text("table.md")
    assert "\\_c\\%d\\$e" in built.text("table.tex")


def test_no_name_controls_a_page_a_table_or_a_figure(tmp_path: Path) -> None:
    """ANSI sequences, directions of text and characters without a shape, in all that a grid and an error may name."""
    odd = "[31mkv \u202eheads\u2066\u200b\ufeff"
    factor = {"path": "encoder.num_kv_heads", "levels": [3, {"label": f"one {odd}", "value": 1}, 2]}
    claim = {"claim": f"{odd} helps", "kind": "greater", "cells": {odd: f"one {odd}"}, "against": {odd: 3}}
    exclude = [{"when": {odd: "2"}, "reason": f"not {odd}"}]
    study = make_study(
        tmp_path, {odd: factor}, baseline=BASIC, replicates=2, question=odd, claims=[claim], exclude=exclude
    )
    store = Store(tmp_path / "store")
    first, *others = expand(study)
    store.record_failure(stages_of(first)[-1], f"RuntimeError: \x1b[31mred\x9b1m {odd}")
    for trial in others:
        put(store, trial, 0.9)
    report = build(collect(study, store), tmp_path / "report")
    assert report.warnings == ()
    shown = {path.name: path.read_text() for path in report.files if path.suffix in (".html", ".md", ".tex", ".svg")}
    notebook = nbformat.read(report.notebook, as_version=4)
    shown["report.ipynb"] = "".join(text for cell in notebook.cells for text in texts_of(cell))
    for name, text in shown.items():
        assert not re.findall(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u202e\u2066\ufeff]", html.unescape(text)), name
    assert "[31mkv" in shown["report.html"]
    assert "heads" in shown["table.tex"]


def texts_of(cell: nbformat.NotebookNode) -> Iterator[str]:
    yield cell.source
    for output in cell.get("outputs", []):
        yield from output.get("data", {}).values()


def test_failures_and_commits_are_reported(built: Built) -> None:
    shown = Page(built.text("report.html")).text
    assert "pre-training failed: OutOfMemory" in shown
    assert "Results from 2 commits: 0123456789ab for" in shown
    assert "fedcba987654-dirty" in shown
    assert "git checkout" in shown


def test_the_notebook_can_be_executed_from_a_copy(built: Built, tmp_path: Path) -> None:
    """From a copy of the folder alone, in another process, with a home that cannot be written."""
    copy = tmp_path / "clone"
    shutil.copytree(built.report.folder, copy, ignore=shutil.ignore_patterns("figures", "*.html"))
    code = (
        "import sys, nbformat; from pathlib import Path; from study.report.notebook import execute;"
        "node = nbformat.read('report.ipynb', 4); execute(node, Path.cwd()); nbformat.write(node, 'again.ipynb')"
    )
    root = str(ROOT)
    environment = {"PATH": os.environ["PATH"], "HOME": os.devnull, "PYTHONPATH": root}
    subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=copy, env=environment, check=True)
    again = nbformat.read(copy / "again.ipynb", as_version=4)
    assert again == nbformat.read(built.report.notebook, as_version=4)
    assert (copy / "figures" / "effects.svg").read_bytes() == (built.report.folder / "figures/effects.svg").read_bytes()
    assert sorted(path.name for path in copy.iterdir() if path.is_dir()) == ["figures", "tables"]


def test_a_report_is_current_until_results_code_or_files_change(tmp_path: Path) -> None:
    study = make_study(tmp_path, SMALL, baseline=BASIC, replicates=1)
    store = Store(tmp_path / "store")
    first, second = expand(study)
    put(store, first, 0.9)
    folder = tmp_path / "report"
    assert not is_current(collect(study, store), folder)
    build(collect(study, store), folder)
    assert is_current(collect(study, store), folder)
    assert not is_current(collect(study, store, {collect(study, store).trials["key"].iloc[0]: "run"}), folder)
    page = (folder / "report.html").rename(tmp_path / "away.html")
    assert not is_current(collect(study, store), folder)
    page.rename(folder / "report.html")
    assert is_current(collect(study, store), folder)
    put(store, second, 0.8)
    assert not is_current(collect(study, store), folder)


def test_figures_that_a_study_no_longer_has_are_removed(tmp_path: Path) -> None:
    results = small(tmp_path)
    folder = tmp_path / "report"
    folder.mkdir()
    (folder / "old.png").write_text("old")
    (folder / "mine.txt").write_text("mine")
    (tmp_path / "outside.txt").write_text("not ours")
    listed = ["old.png", "../outside.txt", str(tmp_path / "outside.txt")]
    (folder / "study.json").write_text(json.dumps({"fingerprint": "x", "files": listed}))
    build(results, folder)
    assert not (folder / "old.png").exists()
    assert (folder / "mine.txt").exists()
    assert (tmp_path / "outside.txt").exists()
    assert not [path.name for path in folder.iterdir() if path.name.startswith(".")]


def test_a_report_without_any_result_can_be_built(tmp_path: Path) -> None:
    report = build(collect(make_study(tmp_path, KV_HEADS), Store(tmp_path / "store")), tmp_path / "report")
    assert report.summary == ("No result yet: none of the 9 trials has finished.",)
    assert "has not been run" in report.html.read_text(encoding="utf-8")


def test_a_report_is_current_from_any_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The path of the grid is shown relative to the working directory, but is not part of the fingerprint."""
    (tmp_path / "grids").mkdir()
    study = make_study(tmp_path / "grids", SMALL, baseline=BASIC, replicates=1)
    store = fill(study, tmp_path / "store")
    monkeypatch.chdir(tmp_path)
    build(collect(study, store), tmp_path / "report")
    assert read("report").facts.grid == "grids/grid.yaml"
    monkeypatch.chdir(tmp_path / "grids")
    assert collect(study, store).facts.grid == "grid.yaml"
    assert is_current(collect(study, store), Path("..") / "report")


def test_a_copy_without_figures_is_readable_but_not_current(built: Built, tmp_path: Path) -> None:
    """As the committed examples are."""
    copy = shutil.copytree(built.report.folder, tmp_path / "copy", ignore=shutil.ignore_patterns("figures", "*.tex"))
    pd.testing.assert_frame_equal(read(copy).trials, built.results.trials)
    assert not is_current(built.results, copy)
    assert is_current(built.results, built.report.folder)


def test_a_folder_that_cannot_be_written_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(StudyError, match=r"cannot write the report to .*taken.*--reports"):
        build(small(tmp_path), tmp_path / "taken")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "history.csv").unlink(), "history.csv not found"),
        (lambda folder: (folder / "results.csv").write_text("a,b\n1,2\n"), "invalid report files"),
        (lambda folder: (folder / "study.json").write_text("{}"), "invalid report files"),
    ],
)
def test_reading_a_damaged_report_is_one_message(spoil: object, message: str, built: Built, tmp_path: Path) -> None:
    assert callable(spoil)
    folder = tmp_path / "copy"
    shutil.copytree(built.report.folder, folder)
    spoil(folder)
    with pytest.raises(StudyError, match=message):
        read(folder)


def test_a_kernel_that_does_not_start_is_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho no module named ipykernel >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    with pytest.raises(StudyError, match="kernel stopped: no module named ipykernel"):
        execute(v4.new_notebook(cells=[v4.new_code_cell("1")]), tmp_path)


def test_a_report_has_a_copy_of_its_grid(built: Built) -> None:
    copy = built.report.folder / "grid.yaml"
    assert copy.read_bytes() == built.study.path.read_bytes()
    assert load(copy).cells == built.study.cells
    assert read(built.report.folder).grid == built.study.source.text


def test_the_copy_of_the_grid_has_no_path_to_a_schema(tmp_path: Path) -> None:
    study = make_study(tmp_path, SMALL, baseline=BASIC, replicates=1)
    text = study.source.text
    study.path.write_text(f"# yaml-language-server: $schema=grid.schema.json\n{text}")
    assert collect(load(study.path), Store(tmp_path / "store")).grid == text


def test_a_report_without_a_grid_can_be_read(built: Built, tmp_path: Path) -> None:
    copy = shutil.copytree(built.report.folder, tmp_path / "old")
    (copy / "grid.yaml").unlink()
    assert read(copy).grid == ""
