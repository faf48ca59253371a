"""Writes a report: all files into a temporary folder first, then file by file into place, `study.json` last."""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from study.analysis import validation_bias
from study.analysis.analysis import Analysis, analyse
from study.analysis.confusion import by_class, confusions
from study.analysis.failures import attempt
from study.analysis.hard_images import hard_images
from study.analysis.predictions import encode
from study.analysis.results import FACTS_FILE, GRID_FILE, PREDICTIONS_FILE, Results
from study.report.answer import Answer
from study.report.notebook import execute, failures_in, fill, notebook
from study.report.page import page
from study.report.sections import Cell, Text, outline
from study.report.summary import answers
from study.report.tables import TABLES, captions
from study.report.tables.report_table import ReportTable
from study.utils import escape, json_text
from study.utils.csv_cells import csv_text
from study.utils.errors import StudyError
from study.utils.provenance import source_digest

if TYPE_CHECKING:
    from nbformat import NotebookNode

DRAWN_BY = ("ipykernel", "matplotlib", "nbconvert", "pandas", "pillow", "scipy")  # a report depends on their versions


@dataclass(frozen=True)
class Report:
    """A report as written."""

    folder: Path
    files: tuple[Path, ...]
    summary: tuple[str, ...]  # the notices and the findings, in plain sentences
    warnings: tuple[str, ...] = ()  # what could not be computed or drawn, one sentence each

    @property
    def notebook(self) -> Path:
        return self.folder / "report.ipynb"

    @property
    def html(self) -> Path:
        return self.folder / "report.html"


def build(results: Results, folder: Path) -> Report:
    """Write a study's report. An existing report is replaced file by file; other files in the folder are kept.

    An analysis, figure, table or notebook cell that raises is replaced by one sentence, which is also in the report's
    `warnings`. Raises StudyError if the folder cannot be written; the old report is then kept.
    """
    folder, analysis = Path(folder), analyse(results)
    found = answers(analysis)
    warnings = [answer.text for answer in found if answer.failed]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".building-", dir=folder) as temporary:
            names = _write(analysis, Path(temporary), warnings)
            _put_in_place(Path(temporary), folder, names)
    except OSError as error:
        raise StudyError(
            f"cannot write the report to {folder}: {error.strerror or error}; free disk space, fix permissions, or "
            "choose another folder with --reports"
        ) from None
    files = tuple(folder / name for name in names)
    summary = (*map(escape.line, results.facts.notices), *map(_one_line, found))
    return Report(folder, files, summary, tuple(dict.fromkeys(map(escape.line, warnings))))


def _one_line(answer: Answer) -> str:
    return escape.line(str(answer))


def is_current(results: Results, folder: Path) -> bool:
    """Whether the folder has all files of a report of these results, written by this code, without warnings."""
    written = _stamp(Path(folder))
    if written.get("fingerprint") != fingerprint(results):
        return False
    return all((Path(folder) / name).is_file() for name in written["files"])


def fingerprint(results: Results) -> str:
    """A digest of everything that a report depends on: results, code, and the libraries that draw it.

    The path of the grid file is left out, since it is relative to the working directory.
    """
    digest = hashlib.sha256(results.facts.model_dump_json(exclude={"grid"}).encode())
    for name, frame in results.tables().items():
        digest.update(name.encode() + frame.to_csv(index=False).encode("utf-8", "backslashreplace"))
    digest.update(results.grid.encode() + encode(results.predictions))
    digest.update(_code().encode())
    return digest.hexdigest()


@cache
def _code() -> str:
    """A digest of the code that makes reports, and the versions of the libraries."""
    return source_digest("study.analysis", "study.report") + json.dumps({name: version(name) for name in DRAWN_BY})


def _write(analysis: Analysis, folder: Path, warnings: list[str]) -> list[str]:
    """Write all files of a report. Returns their names, `study.json` last."""
    results = analysis.results
    for name, frame in results.tables().items():
        _write_csv(frame, folder / name)
    if results.predictions:
        (folder / PREDICTIONS_FILE).write_bytes(encode(results.predictions))
    _write_analyses(analysis, folder, warnings)
    for name, table in TABLES.items():
        _write_table(name, table, analysis, folder, warnings)
    (folder / GRID_FILE).write_bytes(results.grid.encode())
    facts = results.facts.model_dump(mode="json")
    (folder / FACTS_FILE).write_text(_json(facts), encoding="utf-8")  # read by the notebook's kernel
    _write_notebook(analysis, folder, warnings)
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    names.sort(key=lambda name: name == FACTS_FILE)
    stamp = {"fingerprint": None if warnings else fingerprint(results), "files": names}
    (folder / FACTS_FILE).write_text(_json({**facts, **stamp}), encoding="utf-8")
    return names


def _write_analyses(analysis: Analysis, folder: Path, warnings: list[str]) -> None:
    """What is computed, as CSV files."""
    frames: dict[str, Callable[[Analysis], pd.DataFrame]] = {"cells.csv": _cells_with_levels}
    if any(cell.budget for cell in analysis.facts.included):
        frames |= {"budgets.csv": lambda made: made.budgets}
    if analysis.predicted:
        frames |= {
            "image_comparisons.csv": lambda made: made.image_comparisons,
            "classes.csv": lambda made: by_class(made.shown_cells),
            "confusions.csv": lambda made: confusions(made.shown_cells).query("images > 0"),
            "hard_images.csv": lambda made: hard_images(made.results, made.predicted).query("wrong > 0"),
        }
    if analysis.facts.claims:
        frames |= {"claims.csv": lambda made: made.verdicts, "claim_runs.csv": lambda made: made.claim_runs}
    if analysis.facts.compare:
        frames |= {"contrasts.csv": lambda made: made.level_contrasts}
    if len(analysis.outlying):
        frames |= {"outlying.csv": lambda made: made.outlying}
    if analysis.data_sets is not None:
        frames |= {"data_set_claims.csv": lambda made: made.data_set_verdicts, "methods.csv": _methods_with_means}
    for name, compute in frames.items():
        frame = attempt(warnings, f"{name} could not be computed", compute, analysis)
        if frame is not None:
            _write_csv(frame, folder / name)
    if analysis.bootstrap.failure:
        warnings.append(captions.bootstrap_failure(analysis))


def _write_table(name: str, table: ReportTable, analysis: Analysis, folder: Path, warnings: list[str]) -> None:
    """The Markdown and LaTeX files of a table, if it has any rows."""
    if not table.files:
        return
    made = attempt(warnings, f"The table '{name}' could not be computed", table.table, analysis)
    if made is None or not made.rows:
        return
    for file in map(Path, table.files):
        main = f"tab:{analysis.facts.study}"
        text = made.first().markdown() if file.suffix == ".md" else made.first().latex(_label(main, file))
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).write_text(text, encoding="utf-8")


def _label(main: str, file: Path) -> str:
    """A LaTeX label; table.tex is the main table."""
    return main if file.name == "table.tex" else f"{main}-{file.stem}"


def _write_notebook(analysis: Analysis, folder: Path, warnings: list[str]) -> None:
    import nbformat

    cells = outline(analysis)
    warnings += [cell.failure for cell in cells if isinstance(cell, Text) and cell.failure]
    node = _executed(cells, analysis, folder, warnings)
    warnings += failures_in(node)
    text = nbformat.writes(node)  # type: ignore[no-untyped-call]
    (folder / "report.ipynb").write_text(f"{text}\n", encoding="utf-8")
    (folder / "report.html").write_text(page(node), encoding="utf-8")


def _executed(cells: list[Cell], analysis: Analysis, folder: Path, warnings: list[str]) -> "NotebookNode":
    """The notebook with outputs: from a kernel, or if it does not run, from this process."""
    node = notebook(analysis.facts.study, cells)
    try:
        execute(node, folder)
    except StudyError as error:
        warnings.append(f"The notebook was not executed, its outputs were computed without a kernel: {error}.")
        node = notebook(analysis.facts.study, cells)
        fill(node, cells, analysis, folder)
    return node


def _write_csv(frame: pd.DataFrame, path: Path) -> None:
    path.write_bytes(csv_text(frame).encode("utf-8", "backslashreplace"))


def _methods_with_means(analysis: Analysis) -> pd.DataFrame:
    """The table of methods with a column per data set, its mean accuracy there."""
    found = analysis.methods
    means = {f"mean on {name}": found.means[name].to_numpy() for name in found.means}
    return found.table.assign(**means)


def _cells_with_levels(analysis: Analysis) -> pd.DataFrame:
    """The table of cells with a column per factor, named `factor NAME` if NAME is already a column, and marks on the
    validation accuracies that a selection has used."""
    cells, facts = analysis.cells, analysis.facts
    marks = [validation_bias.of_cell(facts, cell) for cell in facts.included]
    cells = _inserted(cells, list(cells.columns).index("val_accuracy") + 1, "val_accuracy_note", marks)
    for i, factor in enumerate(facts.factor_names):
        name = f"factor {factor}" if factor in cells.columns else factor
        cells = _inserted(cells, 2 + i, name, [cell.labels[factor] for cell in facts.included])
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
    """Remove a file of the previous report, unless its path is outside the report's folder."""
    path = (folder / name).resolve()
    if path.is_relative_to(folder.resolve()) and path.is_file():
        path.unlink()


def _stamp(folder: Path) -> dict[str, Any]:
    try:
        written = json_text.parse((folder / FACTS_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    files = written.get("files") if isinstance(written, dict) else None
    if not isinstance(files, list) or not all(isinstance(name, str) for name in files):
        return {}
    return written if isinstance(written, dict) else {}


def _json(value: object) -> str:
    return json.dumps(value, indent=1) + "\n"
