"""Writes a report: everything into a folder of its own first, then file by file into place, `study.json` last."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

import study
from study.analysis.results import FACTS_FILE, GRID_FILE, Results
from study.analysis.verdicts import runs
from study.report import tables
from study.report.notebook import execute, notebook
from study.report.page import page
from study.report.summary import answers
from study.utils import escape
from study.utils.errors import StudyError

DRAWN_BY = ("ipykernel", "matplotlib", "nbconvert", "pandas", "scipy")  # whose versions show in a report


@dataclass(frozen=True)
class Report:
    """A report as written."""

    folder: Path
    files: tuple[Path, ...]
    summary: tuple[str, ...]  # the answer, in plain sentences

    @property
    def notebook(self) -> Path:
        return self.folder / "report.ipynb"

    @property
    def html(self) -> Path:
        return self.folder / "report.html"


def build(results: Results, folder: Path) -> Report:
    """Write a study's report; a report that is there is replaced, file by file, and other files are left alone.

    Raises StudyError where the folder cannot be written or the notebook cannot be executed; the old report then stays.
    """
    folder = Path(folder)
    results = _with_calibration(results, folder)
    summary = tuple(escape.line(str(answer)) for answer in answers(results))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".building-", dir=folder) as temporary:
            names = _write(results, Path(temporary))
            _put_in_place(Path(temporary), folder, names)
    except OSError as error:
        raise StudyError(
            f"the report cannot be written to {folder}: {error.strerror or error}; "
            "free the disk or its permissions, or name another folder with --reports"
        ) from None
    return Report(folder, tuple(folder / name for name in names), summary)


def is_current(results: Results, folder: Path) -> bool:
    """Whether the folder holds a whole report of exactly these results, written by this very code."""
    written = _stamp(Path(folder))
    if written.get("fingerprint") != fingerprint(_with_calibration(results, Path(folder))):
        return False
    return all((Path(folder) / name).is_file() for name in written["files"])


def _with_calibration(results: Results, folder: Path) -> Results:
    """The report links the table that checks its statistics, where that lies beside it."""
    found = "../calibration/calibration.md" if (folder.parent / "calibration" / "calibration.md").is_file() else ""
    return replace(results, facts=results.facts.model_copy(update={"calibration": found}))


def fingerprint(results: Results) -> str:
    """What a report depends on: the results, the code that writes it, and the libraries that draw it."""
    digest = hashlib.sha256(results.facts.model_dump_json().encode())
    for name, frame in results.tables().items():
        digest.update(name.encode() + frame.to_csv(index=False).encode("utf-8", "backslashreplace"))
    digest.update(results.grid.encode())
    digest.update(_code().encode())
    return digest.hexdigest()


@cache
def _code() -> str:
    root = Path(study.__file__).parent
    files = [path for part in ("report", "analysis") for path in sorted((root / part).rglob("*")) if _is_source(path)]
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return digest.hexdigest() + json.dumps({name: version(name) for name in DRAWN_BY})


def _is_source(path: Path) -> bool:
    return path.is_file() and "__pycache__" not in path.parts


def _write(results: Results, folder: Path) -> list[str]:
    """Write all files of a report; gives their names, `study.json` last."""
    for name, frame in results.tables().items():
        _write_csv(frame, folder / name)
    _write_csv(_with_levels(results), folder / "cells.csv")
    (folder / "table.md").write_text(tables.cells(results).first().markdown(), encoding="utf-8")
    paper = tables.paper(results).first()
    (folder / "table.tex").write_text(paper.latex(f"tab:{results.facts.study}"), encoding="utf-8")
    _write_latex(results, folder / "tables")
    (folder / GRID_FILE).write_bytes(results.grid.encode())
    (folder / FACTS_FILE).write_text(_json(results.facts.model_dump(mode="json")), encoding="utf-8")
    if results.facts.claims:
        _write_claims(results, folder)
    _write_notebook(results, folder)
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    names.sort(key=lambda name: name == FACTS_FILE)
    stamp = {"fingerprint": fingerprint(results), "files": names}
    (folder / FACTS_FILE).write_text(_json({**results.facts.model_dump(mode="json"), **stamp}), encoding="utf-8")
    return names


def _write_claims(results: Results, folder: Path) -> None:
    _write_csv(results.verdicts, folder / "claims.csv")
    _write_csv(runs(results), folder / "claim_runs.csv")
    (folder / "claims.md").write_text(tables.claims(results).markdown(), encoding="utf-8")
    (folder / "claims.tex").write_text(
        tables.paper_claims(results).latex(f"tab:{results.facts.study}-claims"), encoding="utf-8"
    )


def _write_notebook(results: Results, folder: Path) -> None:
    import nbformat

    node = notebook(results)
    execute(node, folder)
    text = nbformat.writes(node)  # type: ignore[no-untyped-call]
    (folder / "report.ipynb").write_text(f"{text}\n", encoding="utf-8")
    (folder / "report.html").write_text(page(node), encoding="utf-8")


def _write_latex(results: Results, folder: Path) -> None:
    """The other tables that a paper may want, in booktabs style."""
    folder.mkdir()
    for name, table in tables.in_latex(results).items():
        text = table.first().latex(f"tab:{results.facts.study}-{name}")
        (folder / f"{name}.tex").write_text(text, encoding="utf-8")


def _write_csv(frame: pd.DataFrame, path: Path) -> None:
    frame.to_csv(path, index=False, encoding="utf-8", errors="backslashreplace", lineterminator="\n")


def _with_levels(results: Results) -> pd.DataFrame:
    """The table of cells with a column per factor, called `factor NAME` where NAME is a column of its own."""
    cells = results.cells
    for i, factor in enumerate(results.facts.factor_names):
        name = f"factor {factor}" if factor in cells.columns else factor
        cells = _inserted(cells, 2 + i, name, [cell.labels[factor] for cell in results.facts.included])
    return cells


def _inserted(frame: pd.DataFrame, position: int, name: str, values: Iterable[str]) -> pd.DataFrame:
    wider = frame.copy()
    wider.insert(position, name, list(values))
    return wider


def _put_in_place(temporary: Path, folder: Path, names: list[str]) -> None:
    stale = set(_stamp(folder).get("files", [])) - set(names)
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        os.replace(temporary / name, folder / name)
    for name in stale:
        _remove(folder, name)


def _remove(folder: Path, name: str) -> None:
    """A file of the report before; its list of files is not believed where it points elsewhere."""
    path = (folder / name).resolve()
    if path.is_relative_to(folder.resolve()) and path.is_file():
        path.unlink()


def _stamp(folder: Path) -> dict[str, Any]:
    try:
        written = json.loads((folder / FACTS_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    files = written.get("files") if isinstance(written, dict) else None
    if not isinstance(files, list) or not all(isinstance(name, str) for name in files):
        return {}
    return written if isinstance(written, dict) else {}


def _json(value: object) -> str:
    return json.dumps(value, indent=1) + "\n"
