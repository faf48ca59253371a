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
PENDING = {  # found when this test was written; remove each with its last use
    "' and '.join(made) replicates",
    "' and '.join(numbers) replicates",
    "2 ** number cells",
    "adaptive.max replicates",
    "all_failed cells",
    "at_once images",
    "budget trials",
    "cells cells",
    "claims claims",
    "classes classes",
    "cluster.cpus cores",
    "cluster.gpus GPUs",
    "cluster.nodes machines",
    "common cells",
    "count replicates",
    "count rows",
    "counts.max() results",
    "decoded.info.splits images",
    "ending.asked stages",
    "epochs epochs",
    "facts.budget if facts else 0 trials",
    "found.checked stages",
    "found.looked_at stored stages",
    "have GPUs",
    "hopeless cells",
    "lack factors",
    "len(cells) cells",
    "len(factor.levels) levels",
    "len(found) cells",
    "len(found) stages",
    "len(labels) images",
    "len(names) cells",
    "len(rows) - MAX_ROWS more cells",
    "len(schedule) looks",
    "len(values) finished trials",
    "like cells",
    "made[0].wanted replicates",
    "max_trials trials",
    "most replicates",
    "needed replicates",
    "node.get('CPU', 0) CPUs",
    "node.get('GPU', 0) GPUs",
    "number cells",
    "number factors",
    "one.space.budget trials",
    "outcome.stage.epochs epochs",
    "outcome.stage.recipe.epochs epochs",
    "per_stage CPUs",
    "product cells",
    "replicates replicates",
    "requested GPUs",
    "requested.cpu CPUs",
    "requested.gpu GPUs",
    "requested['CPU'] CPUs",
    "requested['GPU'] GPUs",
    "resolution factors",
    "row['n'] replicates",
    "schedule[0] replicates",
    "self.gpus GPUs",
    "self.replicates replicates",
    "span replicates",
    "stages stages",
    "sweep.total stages",
    "usable CPUs",
    "waiting replicates",
    "waiting stages",
    "wanted.gpu GPUs",
    "wanted['CPU'] CPUs",
    "wanted['GPU'] GPUs",
    "what columns",
}


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
        if text not in PENDING
    }
    assert found == set()
