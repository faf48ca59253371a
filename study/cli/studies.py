"""The verb `list`: the studies of a store, and how far each has been run."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from study.planning.last_run import LastRun, last_run
from study.planning.recorded_grids import RecordedStudy, recorded_studies
from study.planning.state import StudyState
from study.planning.trial_counts import TrialCounts, count_trials
from study.store.results import Store
from study.utils.errors import StudyError
from study.utils.escape import terminal as escape
from study.utils.text import minute

PAGE = "report.html"


@dataclass(frozen=True)
class Listed:
    """A study of a store. `counts` is None where its grid cannot be used; `problem` has the reason."""

    name: str
    question: str
    counts: TrialCounts | None
    run: LastRun | None
    report: str  # the path of its page; empty without one
    problem: str

    @property
    def trials(self) -> str:
        return "?" if self.counts is None else counts_text(self.counts)

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "counts": self.counts and asdict(self.counts)}


def listed(store: Store, reports: Path) -> list[Listed]:
    """All studies that were run with a store, the last one first. Raises StoreError."""
    found = [_listed(recorded, store, reports) for recorded in recorded_studies(store)]
    return sorted(found, key=lambda one: one.run.began if one.run else "", reverse=True)


def show(studies: list[Listed], store: Store, console: Console) -> None:
    """Print a table, and below it why some studies could not be counted."""
    if not studies:
        console.print(f"no study has been run with {escape(str(store))}", highlight=False)
        return
    table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for name in ("study", "trials", "last run", "report", "question"):
        table.add_column(name, no_wrap=name in ("study", "last run"), overflow="fold")
    for one in studies:
        cells = (one.name, one.trials, ended_text(one.run), one.report, one.question)
        table.add_row(*map(escape, cells))
    console.print(table)
    for one in studies:
        if one.problem:
            console.print(f"[yellow]{escape(one.name)}:[/] {escape(one.problem)}", highlight=False, soft_wrap=True)


def counts_text(counts: TrialCounts) -> str:
    """As `40 of 45 done, 3 failed`."""
    failed = f", {counts.failed:,} failed" if counts.failed else ""
    return f"{counts.done:,} of {counts.total:,} done{failed}"


def ended_text(run: LastRun | None) -> str:
    """When a run ended, and its exit code if that is not 0."""
    if run is None:
        return ""
    if not run.ended:
        return f"began {minute(run.began)}"
    return minute(run.ended) + (f", exit code {run.exit_code}" if run.exit_code else "")


def _listed(recorded: RecordedStudy, store: Store, reports: Path) -> Listed:
    page = reports / recorded.name / PAGE
    report = str(page) if page.is_file() else ""
    run, found = last_run(recorded.name, store), recorded.study
    if found is None:
        return Listed(recorded.name, "", None, run, report, recorded.problem)
    try:
        counts, problem = count_trials(StudyState.look(found, store)), ""
    except StudyError as error:  # its own data are not on this machine, or a record is damaged
        counts, problem = None, str(error)
    return Listed(found.name, found.grid.question, counts, run, report, problem)
