"""No cell of a CSV file begins a formula, and every text is read back."""

import io

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.utils.csv_cells import FORMULA, csv_text, guarded, unguarded


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ('=HYPERLINK("http://x","y")', '\'=HYPERLINK("http://x","y")'),
        ("+1+2", "'+1+2"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("-0.5", "-0.5"),
        ("+1e3", "+1e3"),
        ("-1_0", "'-1_0"),
        ("-inf", "'-inf"),
        ("+nan", "'+nan"),
        ("-1 ", "'-1 "),
        ("-\u0661", "'-\u0661"),
        ("\n=1", "'\n=1"),
        ("\uff1d1+1", "'\uff1d1+1"),
        ("\uff20SUM(A1)", "'\uff20SUM(A1)"),
        ("'=x", "''=x"),
        ("kv heads=2", "kv heads=2"),
        ("", ""),
    ],
)
def test_formulas_are_guarded(text: str, written: str) -> None:
    assert guarded(text) == written
    assert unguarded(written) == text


@given(st.text())
def test_every_text_is_read_back(text: str) -> None:
    assert unguarded(guarded(text)) == text


@given(st.lists(st.text(alphabet="=+-@'\t1ae ,\"", max_size=6), min_size=1))
def test_no_cell_of_a_table_begins_a_formula(texts: list[str]) -> None:
    frame = pd.DataFrame({"=level": texts, "number": -1.5})
    found = pd.read_csv(io.StringIO(csv_text(frame)), dtype=str, keep_default_na=False)
    assert list(found.columns) == ["'=level", "number"]
    assert [unguarded(cell) for cell in found["'=level"]] == texts
    for cell in found["'=level"]:
        assert not cell.startswith(FORMULA[:-1]) or float(cell) is not None
