"""Every table, new ones included: rows, columns, caption, escaping, files, and its place in the report."""

from html import unescape
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from helpers.paths import ROOT
from helpers.predicted_samples import NAMES, with_predictions
from helpers.report_kinds import STUDY_KINDS, varied
from helpers.report_samples import SCRIPT, Built, analysed, collected, unrun

from study.report import Analysis, table
from study.report.coverage import AFTER_STOPPING
from study.report.placement import Section
from study.report.sections import outline
from study.report.tables import TABLES
from study.report.tables.table import Table


def check_forms(made: Table) -> None:
    """All forms have all rows, and none has markup from a name."""
    assert made.columns
    assert made.caption.rstrip().endswith(".")
    assert {len(column.values) for column in made.columns} == {len(made.rows)}
    for form in (made.html(), made.markdown(), made.latex("tab:x")):
        assert SCRIPT not in form
        assert "<i>" not in form
    assert made.html().count("<tr>") == 1 + len(made.rows)
    assert made.latex("tab:x").count(r"\toprule") in (1, 2)
    assert len(made.plain().splitlines()) == 1 + len(made.rows)


def is_in(analysis: Analysis, name: str) -> bool:
    return f'table(analysis, "{name}")' in [cell.written for cell in outline(analysis)]


def test_every_file_with_a_table_is_registered() -> None:
    files = (ROOT / "study" / "report" / "tables").glob("*.py")
    assert {path.stem for path in files if "\nTABLE = ReportTable(" in path.read_text(encoding="utf-8")} == set(TABLES)


@pytest.mark.parametrize("name", TABLES)
def test_an_unrun_study_has_rows_and_columns_of_the_right_kind(name: str, tmp_path: Path) -> None:
    analysis = unrun(STUDY_KINDS["one factor"](tmp_path), tmp_path / "store")
    assert isinstance(TABLES[name].compute(analysis), pd.DataFrame)
    check_forms(TABLES[name].table(analysis))


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_in_the_report_if_it_applies(name: str, built: Built) -> None:
    spec = TABLES[name]
    check_forms(spec.table(built.analysis))
    shown = spec.section is not None and spec.is_shown(built.analysis)
    assert is_in(built.analysis, name) == shown
    cells = nbformat.read(built.report.notebook, as_version=4).cells
    outputs = [cell.outputs for cell in cells if cell.source == f'table(analysis, "{name}")']
    assert len(outputs) == shown
    for output in outputs:
        assert output[0].data["text/html"] == table(built.analysis, name).forms["text/html"]
        caption = output[0].data["text/html"].partition("</p>")[0]
        assert unescape(caption) in unescape(built.text("report.html"))


@pytest.mark.parametrize("name", sorted(TABLES.keys() - {"claims", "claims_paper"}))  # their intervals allow for looks
def test_intervals_that_ignore_adaptive_stopping_are_marked(name: str, tmp_path: Path) -> None:
    """Whatever shows 95 % intervals or tests, in a study that added replicates until its claims were decided."""
    table = TABLES[name].table(analysed(STUDY_KINDS["adaptive"](tmp_path), tmp_path / "store", varied))
    titles = {column.title for column in table.columns}
    shows = "95 % interval" in table.caption.replace(AFTER_STOPPING, "") or "p" in titles
    assert shows == (AFTER_STOPPING in table.caption)
    fixed = TABLES[name].table(unrun(STUDY_KINDS["one factor"](tmp_path), tmp_path / "other"))
    assert AFTER_STOPPING not in fixed.caption


@pytest.mark.parametrize("name", TABLES)
def test_files_of_a_table_are_written_if_it_has_rows(name: str, built: Built) -> None:
    rows = TABLES[name].table(built.analysis).rows
    for file in TABLES[name].files:
        assert (built.report.folder / file).is_file() == bool(rows)


@pytest.mark.parametrize("classes", [4, 30])
def test_every_table_is_written_with_predictions(classes: int, tmp_path: Path) -> None:
    """Tables of test images are shown; of many classes there are confused pairs instead of a matrix."""
    made = collected(STUDY_KINDS["one factor"](tmp_path), tmp_path / "store", varied)
    names = NAMES if classes == 4 else tuple(f"class {i}" for i in range(classes))
    analysis = Analysis(with_predictions(made, images=90, names=names))
    for spec in TABLES.values():
        check_forms(spec.table(analysis))
    shown = {name for name, spec in TABLES.items() if spec.section == Section.TEST_IMAGES and is_in(analysis, name)}
    assert shown == {"image_comparisons", "classes", "hard_images"} | ({"confused"} if classes > 20 else set())
    assert len(TABLES["classes"].table(analysis).rows) == min(classes, 20)
    assert len(TABLES["hard_images"].table(analysis).rows) == 10


@pytest.mark.parametrize("kind", STUDY_KINDS)
def test_every_table_is_written_for_every_kind_of_study(kind: str, tmp_path: Path) -> None:
    analysis = analysed(STUDY_KINDS[kind](tmp_path), tmp_path / "store", varied)
    for spec in TABLES.values():
        check_forms(spec.table(analysis))
