"""Any text in grids and file names, in any encoding of the output: no traceback, and JSON stays valid."""

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.tiny_grid import ONE_REPLICATE
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from study.cli import streams

FACTOR, LEVEL = "köpfe 😀", "Prüfung \N{MINUS SIGN} ✓"
TEXT = (
    ONE_REPLICATE.replace("kv heads:", f'"{FACTOR}":')
    .replace("[finetune, probe]", f"[finetune, {{label: '{LEVEL}', value: probe}}]")
    .replace("Do all", "Übung ½ 日本, do all")
    + f"claims: [{{claim: 'Größer ≥ 😀', kind: greater, cells: {{'{FACTOR}': 2}}}}]\n"
    + f"exclude: [{{when: {{mode: '{LEVEL}'}}, reason: 'Grund ß'}}]\n"
)
NAME = os.fsdecode(b"t\xfe \xc3\xbc.yaml")  # \xfe is not UTF-8


@pytest.fixture
def odd(place: Path, tiny_results: Path) -> Path:
    """A finished study with labels from many alphabets; the name of its grid file cannot be decoded."""
    (place / NAME).write_text(TEXT, encoding="utf-8")
    shutil.copytree(tiny_results, place / ".study")
    return place


def study(folder: Path, encoding: str, *arguments: str) -> str:
    """The output of a command that succeeds, with this encoding of output and file names."""
    environment = os.environ | {"PYTHONIOENCODING": encoding, "LC_ALL": "C", "PYTHONUTF8": "0", "COLUMNS": "300"}
    command = [sys.executable, "-m", "study", *arguments]
    ended = subprocess.run(command, cwd=folder, capture_output=True, check=False, timeout=240, env=environment)
    assert ended.returncode == 0, ended.stderr
    assert b"Traceback" not in ended.stderr
    return (ended.stdout + ended.stderr).decode(encoding)


@pytest.mark.slow
def test_every_verb_prints_any_text_in_ascii(odd: Path) -> None:
    planned = study(odd, "ascii", "plan", NAME)
    assert "k\\xf6pfe \\U0001f600=2" in planned
    assert "Pr\\xfcfung - \\u2713: Grund \\xdf" in planned
    data = json.loads(study(odd, "ascii", "plan", NAME, "--json"))
    assert f"{FACTOR}=2" in [cell["cell"] for cell in data["cells"]]
    ran = study(odd, "ascii", "run", NAME)
    assert "k\\xf6pfe \\U0001f600: 2 instead of 1 changes accuracy by" in ran
    assert "warning" not in ran  # the notebook was executed
    assert "incomplete" not in ran  # and MLflow has everything
    assert "passed verification" in study(odd, "ascii", "verify", NAME)
    assert "0 runs delivered" in study(odd, "ascii", "sync", NAME)
    study(odd, "ascii", "report", NAME)


def test_latin_1_keeps_its_characters(odd: Path) -> None:
    planned = study(odd, "latin-1", "plan", NAME)
    assert "köpfe \\U0001f600=2" in planned
    assert "Prüfung - \\u2713: Grund ß" in planned


def ascii_stdout(monkeypatch: pytest.MonkeyPatch) -> io.BytesIO:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii", write_through=True))
    streams.accept_any_text()
    return written


def test_spinners_in_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    written = ascii_stdout(monkeypatch)
    with Console(force_terminal=True).status(f"training {LEVEL}"):
        pass
    assert b"*\x1b[0m training Pr\\xfcfung - \\u2713" in written.getvalue()


@given(st.text(st.characters()))
def test_any_text_can_be_printed(text: str) -> None:
    """Surrogates, too; what ASCII has stays as it is."""
    with pytest.MonkeyPatch.context() as patch:
        written = ascii_stdout(patch)
        print(text, end="")
        shown = written.getvalue().decode("ascii")
    assert shown == text or not text.isascii()
