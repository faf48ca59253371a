"""The list of all reports in a folder."""

import html
import re
from pathlib import Path

import pytest
from helpers.report_samples import HOSTILE, SCRIPT, collected, everything, make_study

from study.planning.state import StudyState
from study.report import build, collect
from study.report.index import INDEX, write_index

KV_HEADS = {"kv heads": {"path": "encoder.num_kv_heads", "levels": [2, 1]}}


def built(folder: Path, name: str, **keys: object) -> Path:
    """A report with 0.90 for the baseline and 0.01 more for the other cell, 0.002 more with every replicate."""
    (folder / name).mkdir()
    study = make_study(folder / name, KV_HEADS, study=name, **keys)
    build(collected(study, folder / name / "store"), folder / "reports" / name)
    return folder / "reports"


def rows_of(page: str) -> dict[str, str]:
    """The text of each row, by the name of its study."""
    body = page.split("<tbody>")[1].split("</tbody>")[0]
    rows = [html.unescape(re.sub(r"<[^>]+>", "|", row)) for row in body.split("</tr>") if "<th" in row]
    plain = [row.replace("\N{NO-BREAK SPACE}", " ").replace("\N{NON-BREAKING HYPHEN}", "-") for row in rows]
    return {next(filter(None, map(str.strip, row.split("|")))): row for row in plain}


def test_every_report_has_its_answer_and_links_that_lead_to_files(tmp_path: Path) -> None:
    claim = {"claim": "one head is enough", "kind": "non_inferior", "cells": {"kv heads": 1}, "margin": 0.01}
    built(tmp_path, "heads", claims=[claim], question="One head & no more?")
    path = write_index(built(tmp_path, "other"))
    assert path == tmp_path / "reports" / INDEX
    page = path.read_text(encoding="utf-8")
    rows = rows_of(page)
    assert sorted(rows) == ["heads", "other"]
    assert "One head & no more?" in rows["heads"]
    assert "2 \N{MULTIPLICATION SIGN} 3" in rows["heads"]
    assert "kv heads=1: 91.20 ± 0.50" in rows["heads"]  # t(2) = 4.30 x 0.2 / sqrt(3)
    assert "90.20 ± 0.50" in rows["heads"]
    assert "1 undecided" in rows["heads"]
    assert "2026-01-02 03:05" in rows["heads"]
    links = re.findall(r"href='([^']+)'", page)
    assert "heads/report.html" in links
    assert all((path.parent / link).is_file() for link in links)


def test_names_of_a_hostile_grid_are_text(tmp_path: Path) -> None:
    study, store = everything(tmp_path)
    build(collect(StudyState.look(study, store)), tmp_path / "reports" / "made-up")
    path = write_index(tmp_path / "reports")
    assert path is not None
    page = path.read_text(encoding="utf-8")
    assert SCRIPT not in page
    assert HOSTILE not in page
    assert "<script" not in page


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("study.json", b"{"),
        ("study.json", b"[" * 99_999),
        ("cells.csv", b"x\n1\n"),
        ("cells.csv", b""),
        ("cells.csv", b"\xff"),
    ],
)
def test_a_damaged_report_is_named_and_the_others_are_listed(tmp_path: Path, file: str, content: bytes) -> None:
    built(tmp_path, "damaged")
    reports = built(tmp_path, "whole")
    (reports / "damaged" / file).write_bytes(content)
    path = write_index(reports)
    assert path is not None
    rows = rows_of(path.read_text(encoding="utf-8"))
    assert "91.20 ± 0.50" in rows["whole"]
    assert "91.20" not in rows["damaged"]


def test_a_page_of_somebody_else_is_kept(tmp_path: Path) -> None:
    reports = built(tmp_path, "heads")
    (reports / INDEX).write_text("my pages")
    assert write_index(reports) is None
    assert (reports / INDEX).read_text() == "my pages"


def test_a_folder_without_reports_has_an_empty_list(tmp_path: Path) -> None:
    path = write_index(tmp_path)
    assert path is not None
    assert "0 reports" in path.read_text(encoding="utf-8")
    assert [file.name for file in tmp_path.iterdir()] == [INDEX]
