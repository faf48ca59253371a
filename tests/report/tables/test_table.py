"""Tables: one content, four forms."""

import re

import pytest
from helpers.report_samples import HOSTILE

from study.report.tables.table import LONG, MOST_ROWS, MOST_SHOWN, Column, Table
from study.utils import formats

TABLE = Table(
    (Column.text("cell", ["a|b", HOSTILE]), Column.of("mean, %", formats.percent, [0.5, 0.987654])), "Two rows."
)


def test_html_aligns_numbers_right_and_has_a_cell_per_value() -> None:
    html = TABLE.html()
    assert html.startswith("<p>Two rows.</p>\n<table>")
    assert re.findall(r'<th align="(\w+)">', html) == ["left", "right"]
    assert '<td align="right">98.77</td>' in html
    assert html.count("<td") == 4


def test_markdown_has_as_many_bars_in_every_row() -> None:
    rows = TABLE.markdown().splitlines()[2:]
    assert [row.count("|") for row in rows] == [3, 3, 3, 3]
    assert rows[1] == "| :--- | ---: |"


def test_latex_has_booktabs_rules_and_as_many_columns_in_every_row() -> None:
    latex = TABLE.latex("tab:x")
    assert [latex.count(rule) for rule in (r"\toprule", r"\midrule", r"\bottomrule")] == [1, 1, 1]
    rows = [row for row in latex.splitlines() if row.endswith(r"\tabularnewline")]
    assert [len(re.findall(r"(?<!\\)&", row)) for row in rows] == [1, 1, 1]
    assert r"\label{tab:x}" in latex


def test_latex_wraps_long_names_and_breaks_long_tables() -> None:
    long = Table(
        (Column.text("cell", ["x" * (LONG + 1)] * (MOST_ROWS + 1)), Column("n", ["1"] * (MOST_ROWS + 1))), "Long."
    )
    assert r"\begin{longtable}{@{}p{0.3\linewidth}r@{}}" in long.latex("l")
    assert r"\begin{tabular}{@{}lr@{}}" in Table((Column.text("a", ["b"]), Column("n", ["1"])), "Short.").latex("s")


def test_plain_text_lines_up() -> None:
    lines = Table((Column.text("cell", ["a", "bbb"]), Column("n", ["10", "5"])), "").plain().splitlines()
    assert lines == ["cell   n", "a     10", "bbb    5"]


def test_formats_by_hand() -> None:
    assert formats.percent(0.94631) == "94.63"
    assert [formats.points(x) for x in (0.0031, -0.0031, 0.00001, -0.00001)] == ["+0.31", "−0.31", "0.00", "0.00"]  # noqa: RUF001
    assert formats.percent_with(0.9, 0.8, 1.0) == "90.00 (80.00 to 100.00)"
    assert formats.percent_with(0.9, float("nan"), float("nan")) == "90.00"
    assert formats.points_with(0.01, 0.01, 0.01) == "+1.00 (no spread)"
    assert formats.points_plus_minus(0.01, -0.01, 0.03) == "+1.00 ± 2.00"
    assert [formats.short(x) for x in (950, 51_840, 663_024, 2_384_000, 1.21e9)] == [
        "950",
        "51.8 k",
        "663 k",
        "2.38 M",
        "1.21 G",
    ]
    assert [formats.significant(x) for x in (0.39583, 1.6, 123.4, 0)] == ["0.396", "1.60", "123", "0"]
    assert [formats.duration(x) for x in (8.41, 200, 7_500)] == ["8.4 s", "3 min 20 s", "2 h 05 min"]
    assert [formats.p_value(x) for x in (0.0004, 0.0426)] == ["<0.001", "0.043"]
    assert {write(float("nan")) for write in (formats.percent, formats.points, formats.count, formats.short)} == {"–"}  # noqa: RUF001


@pytest.mark.parametrize(
    ("count", "total", "text"),
    [
        (0, 1, "the only change is not"),
        (1, 1, "the only change is"),
        (0, 2, "none of the 2 changes is"),
        (1, 2, "1 of 2 changes is"),
        (2, 2, "2 of 2 changes are"),
    ],
)
def test_a_subject_agrees_with_its_verb(count: int, total: int, text: str) -> None:
    assert formats.subject(count, total, "change") == text


def test_a_long_table_is_cut_with_a_note() -> None:
    table = Table((Column.text("cell", range(1200)), Column("n", ["5"] * 1200)), "Cells.")
    short = table.first(500)
    assert short.rows == table.rows[:500]
    assert short.caption == "Cells. First 500 of 1,200 rows."
    assert table.first(1200) is table


def test_the_note_names_the_file_with_all_rows() -> None:
    short = Table((Column.text("cell", range(1200)),), "Cells.", "cells.csv").first()
    assert len(short.rows) == MOST_SHOWN
    assert short.caption == "Cells. First 500 of 1,200 rows; all rows are in cells.csv."
