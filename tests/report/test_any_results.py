"""Whatever results a study of any design has, its report is complete, without empty numbers, and consistent."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pandas as pd
import pytest
from helpers.drawn_studies import DESIGNS, drawn_results, drawn_study
from helpers.report_csvs import write_csvs
from hypothesis import given, settings
from hypothesis import strategies as st

from study.analysis.results import FACTS_FILE, read
from study.report import Analysis, Results
from study.report.plots import PLOTS
from study.report.plots.style import style
from study.report.sections import Text, outline
from study.report.summary import answers
from study.report.tables import TABLES

ONE = "cells|claims|trials|runs|looks|results|combinations|factors|comparisons"
MANY = "cell|claim|trial|run|look|result|combination|comparison|interaction"
WRONG = re.compile(
    r"\b(nan|NaN|None|inf|NaT)\b|<NA>"
    rf"|(?<![\d.,/-])1 (?:more )?(?:{ONE})\b"
    rf"|(?<![\d.,])(?:0|[2-9]|\d*[1-9]\d) (?:more )?(?:{MANY})\b(?!-)"
    r"|\(\)|\( |\s,|\.\.|;;|; \.|: \.|, ,|\d of 0\b|[^ ] {2,}[^ ]"
)


def texts(analysis: Analysis) -> Iterator[tuple[str, str]]:
    """Every text of the report, with its place."""
    yield from (("answer", str(answer)) for answer in answers(analysis))
    yield from (("section", cell.written) for cell in outline(analysis) if isinstance(cell, Text))
    for name, table in TABLES.items():
        made = table.table(analysis)
        if table.is_shown(analysis) if table.section else made.rows:
            yield f"caption of {name}", made.caption
            yield from ((f"{name}: {column.title}", text) for column in made.columns for text in column.values)
    yield from (
        (f"caption of {name}", plot.caption_for(analysis)) for name, plot in PLOTS.items() if plot.is_shown(analysis)
    )


def read_again(results: Results, folder: Path) -> Analysis:
    """The same from the files of its report."""
    write_csvs(results, folder)
    (folder / FACTS_FILE).write_text(json.dumps(results.facts.model_dump(mode="json")), encoding="utf-8")
    return Analysis(read(folder))


def check_complete(analysis: Analysis) -> None:
    assert [answer.text for answer in answers(analysis) if answer.failed] == []
    assert [cell.failure for cell in outline(analysis) if isinstance(cell, Text) and cell.failure] == []


def check_texts(analysis: Analysis) -> None:
    found = [(place, text, match.group()) for place, text in texts(analysis) if (match := WRONG.search(text))]
    assert found == []


def check_verdicts(analysis: Analysis) -> None:
    """A verdict follows from its p-value, its own interval agrees with it, and an undecided claim has a reason."""
    for _, row in analysis.verdicts.iterrows():
        assert row["note"] or row["verdict"] != "undecided"
        if row["source"] != "trials":
            continue
        assert (row["verdict"] == "undecided") == (not row["p_adjusted"] <= 0.05)
        between = row["holds_above"] < row["low"] and row["high"] < row["holds_below"]
        beyond = row["high"] < row["holds_above"] or row["holds_below"] < row["low"]
        if row["verdict"] != "undecided":
            assert between if row["holds_between"] == (row["verdict"] == "supported") else beyond


def check_effects(analysis: Analysis) -> None:
    """Intervals include their estimate; distinguishable effects exclude 0 and have no failed replicates by default."""
    failing = analysis.facts.failures == "undecided"
    for table in (analysis.effects, analysis.image_comparisons, analysis.add_vs_remove):
        known = table[table["low"].notna()]
        assert ((known["low"] <= known["difference"] + 1e-12) & (known["difference"] <= known["high"] + 1e-12)).all()
        assert table["p_adjusted"].dropna().between(0, 1).all()
        if failing:
            assert table.loc[table["note"].str.contains("failed"), "p_value"].isna().all()
    clear = analysis.effects[analysis.effects["p_adjusted"] < 0.05]
    assert ((clear["low"] > 0) | (clear["high"] < 0)).all()


def check_same_numbers(analysis: Analysis) -> None:
    """A level in one cell: the table of effects and the table of cells have the same difference."""
    if not analysis.is_matched:
        return
    cells = analysis.cells.set_index("cell")
    for _, row in analysis.effects[analysis.effects["combinations"] == 1].iterrows():
        name = f"{row['factor']}={row['level']}"
        if name not in cells.index or cells.loc[name, "reference"] != "baseline" or row["note"]:
            continue
        if sum(cell.labels[row["factor"]] == row["level"] for cell in analysis.facts.included) > 1:
            continue
        own = cells.loc[name]
        assert row["n"] == own["pairs"]
        for here, there in (("difference", "difference"), ("low", "difference_low"), ("p_value", "p_value")):
            assert row[here] == pytest.approx(own[there], nan_ok=True, abs=1e-12), (name, here)


def check(name: str, draw: Random, folder: Path, plots: bool = False) -> None:
    results = drawn_results(drawn_study(name, draw, folder), draw, folder / "store")
    analysis = Analysis(results)
    check_complete(analysis)
    check_texts(analysis)
    check_verdicts(analysis)
    check_effects(analysis)
    check_same_numbers(analysis)
    again = read_again(results, folder / "report")
    assert list(texts(again)) == list(texts(analysis))
    pd.testing.assert_frame_equal(again.verdicts, analysis.verdicts)
    if plots:
        with style():
            for plot in PLOTS.values():
                if len(numbers := plot.compute(analysis)):
                    plot.draw(numbers)


@settings(deadline=None, max_examples=10)
@given(st.sampled_from(list(DESIGNS)), st.integers(0, 2**32))
def test_a_report_of_any_results_is_complete_and_consistent(name: str, seed: int) -> None:
    with TemporaryDirectory() as folder:
        check(name, Random(seed), Path(folder))
