"""Counts, points and durations in messages."""

import ast
import re
from collections.abc import Iterator

import pytest
from helpers.paths import ROOT

from study.utils.text import clock_time, plural, points

NOUNS = (
    "cells|claims|classes|columns|cores|CPUs|epochs|factors|fine-tunings|GPUs|images|levels|looks|machines|models|nodes|"
    "pre-trainings|replicates|results|rows|runs|stages|trials|values|workers"
)
HAND_MADE = re.compile(rf" (?:(?:more|other|stored|finished|failed) )*({NOUNS})\b")
NEVER_ONE = "# never one"  # marks a line whose count cannot be 1


@pytest.mark.parametrize(
    ("share", "digits", "expected"),
    [
        (0.01, 3, "1 point"),
        (-0.01, 3, "1 point"),
        (0.0104, 2, "1 point"),
        (0.005, 3, "0.5 points"),
        (0.0, 3, "0 points"),
        (0.02, 3, "2 points"),
    ],
)
def test_points(share: float, digits: int, expected: str) -> None:
    assert points(share, digits) == expected


def test_plural() -> None:
    assert [plural(n, "trial") for n in (0, 1, 2, 1200)] == ["0 trials", "1 trial", "2 trials", "1,200 trials"]
    assert [plural(n, "GPU") for n in (0.5, 1.0, 2.0)] == ["0.5 GPUs", "1 GPU", "2 GPUs"]
    assert [plural(n, "class") for n in (1, 2)] == ["1 class", "2 classes"]


def test_clock_time() -> None:
    assert [clock_time(seconds) for seconds in (0, 42.4, 725, 11220)] == ["0:00", "0:42", "12:05", "3:07:00"]


def hand_made_plurals(source: str) -> Iterator[tuple[int, str]]:
    """Line and text of every f-string in which a number is followed by a plural noun, as in f"{count} stages".

    Not reported: numbers with decimals, constants in capitals, and lines marked as NEVER_ONE.
    """
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.JoinedStr):
            continue
        for value, after in zip(node.values, node.values[1:], strict=False):
            if not isinstance(value, ast.FormattedValue) or not isinstance(after, ast.Constant):
                continue
            found = HAND_MADE.match(str(after.value))
            decimals = value.format_spec is not None and "." in ast.unparse(value.format_spec)
            expression = ast.unparse(value.value)
            if found and not decimals and not expression.isupper() and NEVER_ONE not in lines[value.lineno - 1]:
                yield value.lineno, f"{expression}{found[0]}"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('f"{count} stages failed"', ["count stages"]),
        ('f"{len(found)} stored stages, {n:,} cells"', ["len(found) stored stages", "n cells"]),
        ('f"{a}/{b} stages"', ["b stages"]),
        ("f\"{plural(count, 'stage')} failed\"", []),
        ('f"{LIMIT} values"', []),
        ('f"{seconds:.1f} cores"', []),
        ('f"{count} stages"  # never one', []),
        ('f"{name} stage"', []),
    ],
)
def test_hand_made_plurals_are_found(line: str, expected: list[str]) -> None:
    assert [text for _, text in hand_made_plurals(line)] == expected


def test_counts_are_written_with_plural() -> None:
    """`plural` or a `# never one` comment: "1 stages" must not appear."""
    found = {
        f"{path.relative_to(ROOT)}:{line}: {text}"
        for path in (ROOT / "study").rglob("*.py")
        for line, text in hand_made_plurals(path.read_text())
    }
    assert found == set()
