"""The list of all reports in a folder, `index.html`: questions, answers and links. Written by every run."""

import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape as attribute
from pathlib import Path
from urllib.parse import quote

import pandas as pd

from study.analysis.facts import StudyFacts
from study.analysis.results import FACTS_FILE
from study.report.mixed_provenance import short_commit
from study.utils import escape, formats
from study.utils.csv_cells import unguarded
from study.utils.errors import StudyError
from study.utils.text import minute, plural

INDEX = "index.html"
STYLE = Path(__file__).parent / "page" / "style.css"
GENERATOR = '<meta name="generator" content="study">'
OWN_STYLE = """\
main { max-width: 84rem; }
th[scope="row"] { vertical-align: top; border-bottom: 1px solid #ececec; white-space: nowrap; max-width: none; }
.question { min-width: 11rem; }
a { color: var(--accent); }
"""
LINKS = {"notebook": "report.ipynb", "trials": "results.csv", "cells": "cells.csv", "grid": "grid.yaml"}
HEADINGS = (
    *(
        "study",
        "question",
        "cells \N{MULTIPLICATION SIGN} replicates",
        "best cell (test, %)",
        "baseline (test, %)",
        "verdicts",
        "data",
    ),
    *("last result (UTC)", "commit", "files"),
)


@dataclass(frozen=True)
class Entry:
    """A report, or why it cannot be read."""

    folder: Path
    facts: StudyFacts | None
    cells: pd.DataFrame  # as cells.csv, all text
    claims: pd.DataFrame  # as claims.csv
    problem: str = ""

    @classmethod
    def read(cls, folder: Path) -> "Entry":
        try:
            facts = StudyFacts.model_validate_json((folder / FACTS_FILE).read_bytes())
            cells = _table(folder / "cells.csv", ("cell", "mean", "low", "high", "val_accuracy"))
            return cls(folder, facts, cells, _table(folder / "claims.csv", ("verdict",)))
        except (OSError, ValueError) as error:
            return cls(folder, None, pd.DataFrame(), pd.DataFrame(), next(iter(str(error).splitlines()), "unreadable"))

    @property
    def last(self) -> str:
        """When its last result was computed, ISO 8601, UTC."""
        return max((origin.last for origin in self.facts.origins), default="") if self.facts else ""


def write_index(reports: Path) -> Path | None:
    """List the reports in a folder, the one with the latest result first.

    Returns the path; None if the folder has a file of this name that was not written here: it is kept. Raises
    StudyError if the list cannot be written.
    """
    if not _is_ours(reports / INDEX):
        return None
    entries = [Entry.read(path.parent) for path in sorted(reports.glob(f"*/{FACTS_FILE}"))]
    entries.sort(key=lambda entry: entry.last, reverse=True)
    try:
        with tempfile.NamedTemporaryFile("w", dir=reports, prefix=".index-", encoding="utf-8", delete=False) as file:
            file.write(_page(entries))
        os.chmod(file.name, 0o644)
        os.replace(file.name, reports / INDEX)
    except OSError as error:
        raise StudyError(f"cannot write {reports / INDEX}: {error.strerror or error}") from None
    return reports / INDEX


def _is_ours(path: Path) -> bool:
    try:
        return GENERATOR in path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return True
    except OSError:
        return False


def _page(entries: list[Entry]) -> str:
    head = "".join(f"<th scope='col' align='left'>{name}</th>" for name in HEADINGS)
    rows = "\n".join(_row(entry) for entry in entries)
    count = plural(len(entries), "report")
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
{GENERATOR}
<title>Reports</title>
<style>
{STYLE.read_text(encoding="utf-8")}{OWN_STYLE}</style>
</head>
<body>
<main>
<h1>Reports</h1>
<p>{count}, the latest first. Accuracies are on test images, with 95% intervals over replicates; the best cell is the
one with the highest validation accuracy.</p>
<div class="wide">
<table>
<thead><tr>{head}</tr></thead>
<tbody>
{rows}
</tbody>
</table>
</div>
</main>
</body>
</html>
"""


def _row(entry: Entry) -> str:
    first = f"<th scope='row' align='left'>{_link(entry, 'report.html', entry.folder.name)}"
    if entry.facts is None:
        return f"<tr>{first}</th><td colspan='{len(HEADINGS) - 1}'>{escape.html(entry.problem)}</td></tr>"
    question = f"<td align='left' class='question'>{escape.html(entry.facts.question)}</td>"
    cells = "".join(f"<td align='left'>{text}</td>" for text in _cells(entry, entry.facts))
    return f"<tr>{first}</th>{question}{cells}</tr>"


def _cells(entry: Entry, facts: StudyFacts) -> Iterator[str]:
    """The columns after the question, as HTML."""
    until = f" to {facts.replicates_until}" if facts.replicates_until else ""
    yield escape.html(f"{len(facts.included)} \N{MULTIPLICATION SIGN} {facts.replicates}{until}")
    searches = facts.tuning is not None and facts.tuning.searches  # then the models found are in the report
    yield escape.html("" if searches else _best(entry.cells))
    yield escape.html(_accuracy(entry.cells[:1]))
    yield escape.html(", ".join(f"{count} {verdict}" for verdict, count in Counter(entry.claims["verdict"]).items()))
    yield escape.html(", ".join(dict.fromkeys(cell.finetune_dataset or "" for cell in facts.included)))
    yield escape.html(_unbroken(minute(entry.last)))
    yield escape.html(", ".join(dict.fromkeys(short_commit(origin.commit) for origin in facts.origins)))
    there = {name: file for name, file in LINKS.items() if (entry.folder / file).is_file()}
    yield " ".join(_link(entry, file, name) for name, file in there.items())


def _best(cells: pd.DataFrame) -> str:
    """The cell with the highest validation accuracy, and its test accuracy; empty with several data sets."""
    selected = pd.to_numeric(cells["val_accuracy"], errors="coerce").dropna()
    if selected.empty or ("data_set" in cells and cells["data_set"].nunique() > 1):
        return ""
    best = cells.loc[[selected.idxmax()]]
    return f"{unguarded(best['cell'].iloc[0])}: {_accuracy(best)}"


def _accuracy(row: pd.DataFrame) -> str:
    """As `97.29 ± 0.36`; empty without a result."""
    mean, low, high = (pd.to_numeric(row[name], errors="coerce").max() for name in ("mean", "low", "high"))
    return "" if pd.isna(mean) else _unbroken(formats.percent_plus_minus(mean, low, high))


def _unbroken(text: str) -> str:
    return text.replace(" ", "\N{NO-BREAK SPACE}").replace("-", "\N{NON-BREAKING HYPHEN}")


def _link(entry: Entry, file: str, text: str) -> str:
    target = attribute(quote(f"{entry.folder.name}/{file}"))
    return f"<a href='{target}'>{escape.html(text)}</a>"


def _table(path: Path, columns: Iterable[str]) -> pd.DataFrame:
    """A CSV file as text. Raises ValueError if it lacks a column; a study without claims has no file of them."""
    if not path.is_file():
        return pd.DataFrame({name: pd.Series(dtype=str) for name in columns})
    found = pd.read_csv(path, dtype=str, keep_default_na=False)
    if missing := [name for name in columns if name not in found]:
        raise ValueError(f"{path.name} has no column {missing[0]!r}")
    return found
