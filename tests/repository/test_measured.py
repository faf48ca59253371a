"""The tables that commands write into tests/README.md: when and how they were measured, and what they add up to."""

import re
import subprocess
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from bench_soak import measures
from helpers import measured
from helpers.disturbances import KINDS
from helpers.paths import ROOT
from system.chaos_sweep import label
from test_soak import life

BLOCK = pytest.mark.parametrize("name", ["chaos", "soak"])
HEADING = re.compile(
    r"\s*Measured on (?P<date>[\d-]+) at commit (?P<commit>[0-9a-f]{10}) with `nox -s (?P<session>\w+)[^`]*`, "
    r"on \d+ cores of [^\n]+, in \d+ minutes, with a load average of \d+:\n"
)


def block(name: str) -> str:
    return measured.block(measured.README.read_text(encoding="utf-8"), name)


def git(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)


def test_a_measurement_replaces_its_own_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    readme = tmp_path / "README.md"
    monkeypatch.setattr(measured, "README", readme)
    empty = [measured.begin("chaos"), measured.end("chaos"), measured.begin("soak"), measured.end("soak")]
    readme.write_text("\n".join(["before", *empty, "after", ""]))
    for table in ("| a | b |", "| c | d |"):
        measured.Measurement("soak", "nox -s soak").write(table)
        text = readme.read_text()
        assert measured.block(text, "chaos") == ""
        assert HEADING.match(measured.block(text, "soak"))
        assert measured.block(text, "soak").endswith(f":\n\n{table}\n")
        assert text.startswith(f"before\n{empty[0]}\n{empty[1]}\n{empty[2]}\n")
        assert text.endswith(f"{table}\n{empty[3]}\nafter\n")


@BLOCK
def test_its_date_commit_and_command_are_given(name: str) -> None:
    found = HEADING.match(" ".join(block(name).partition("\n\n")[0].split()) + "\n")
    assert found, block(name)
    assert found["session"] == name
    assert date.fromisoformat(found["date"]) <= datetime.now(UTC).date()
    if git("rev-parse", "--is-shallow-repository").stdout.strip() == "false":
        assert git("merge-base", "--is-ancestor", found["commit"], "HEAD").returncode == 0


def test_kills_add_up() -> None:
    rows = measured.rows(block("chaos"))
    total = int(rows.pop("**killed in total**"))
    assert rows.keys() <= {label(kind) for kind in KINDS}
    assert sum(int(times) for name, times in rows.items() if name.startswith("killed: ")) == total > 0


def test_the_soak_has_all_its_measures() -> None:
    lives = [life([1])]
    expected = measures(lives, {}, 10, {"stored": 1.0, "delivered": 1.0, "reported": 1.0}, 1)
    assert measured.rows(block("soak")).keys() == expected.keys()
