"""Records of other versions."""

from dataclasses import dataclass

import pytest

from study.utils.records import from_record, is_newer


@dataclass(frozen=True)
class Point:
    x: int
    y: int = 0


def test_unknown_fields_are_ignored_and_missing_ones_are_an_error() -> None:
    assert from_record(Point, {"x": 1, "z": 2}) == Point(1)
    with pytest.raises(TypeError, match="x"):
        from_record(Point, {"y": 1})


@pytest.mark.parametrize(
    ("version", "than", "newer"),
    [("0.2.0", "0.1.0", True), ("0.10.0", "0.9.0", True), ("0.1.0", "0.1.0", False), ("0.1", "0.1.0", False),
     ("1.0", "0.9.9", True), ("", "0.1.0", False), ("unknown", "0.1.0", False)],
)  # fmt: skip
def test_versions_are_compared_by_number(version: str, than: str, newer: bool) -> None:
    assert is_newer(version, than) == newer
