"""Damaged JSON raises ValueError, whatever is wrong with it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.utils import json_text

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inside: st.lists(inside) | st.dictionaries(st.text(), inside),
)


@given(VALUES)
def test_valid_json_is_read(value: object) -> None:
    assert json_text.parse(json.dumps(value)) == value
    assert json_text.parse(json.dumps(value).encode()) == value


@pytest.mark.parametrize("depth", [102, 500, 900, 990, 1_000, 100_000])
@pytest.mark.parametrize(("before", "after"), [("[", "]"), ('{"a":', "}")])
def test_deep_json_is_invalid(depth: int, before: str, after: str) -> None:
    with pytest.raises(ValueError, match="nested too deeply"):
        json_text.parse(before * depth + "1" + after * depth)


def test_json_of_one_hundred_levels_is_valid() -> None:
    assert json_text.parse("[" * 100 + "]" * 100)


@pytest.mark.parametrize("text", ["", "{", "nul", b"\xff", "[1,]"])
def test_broken_json_is_invalid(text: str) -> None:
    with pytest.raises(ValueError, match=r"Expecting|decode|Illegal"):
        json_text.parse(text)
