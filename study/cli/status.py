"""The verb `status`: how far a study has been run, cell by cell, and what runs now."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from rich.console import Console

from study.cli.cell_table import cell_table
from study.cli.notices import show_notices
from study.cli.studies import PAGE, counts_text, ended_text
from study.design.study import Trial
from study.planning.last_run import LastRun, last_run
from study.planning.state import StudyState
from study.planning.trial_counts import TrialCounts, count_trials
from study.store.active import Driver, running
from study.utils.command_line import Invocation
from study.utils.escape import terminal as escape
from study.utils.text import plural

COLUMNS = ("done", "failed", "missing", "running")


@dataclass(frozen=True)
class Status:
    """A study at one look at its store."""

    state: StudyState
    run: LastRun | None
    running: Mapping[str, Driver]  # its stages that are computed now, by key
    report: str  # path of the page; empty without one

    @classmethod
    def of(cls, state: StudyState, reports: Path) -> "Status":
        """Raises StoreError."""
        page = reports / state.study.name / PAGE
        now = {key: driver for key, driver in running(state.store).items() if key in state.all_stages}
        return cls(state, last_run(state.study.name, state.store), now, str(page) if page.is_file() else "")

    @cached_property
    def total(self) -> TrialCounts:
        return count_trials(self.state)

    @cached_property
    def cells(self) -> dict[str, TrialCounts]:
        """The trials of each cell."""
        trials: dict[str, list[Trial]] = {}
        for trial in self.state.trials:
            trials.setdefault(trial.cell.name, []).append(trial)
        return {name: count_trials(self.state, own) for name, own in trials.items()}

    @cached_property
    def running_trials(self) -> Counter[str]:
        """By cell, the trials one of whose stages is computed now."""
        now = (
            trial for trial in self.state.trials for stage in self.state.stages_of(trial) if stage.key in self.running
        )
        return Counter(trial.cell.name for trial in now)


def as_json(status: Status) -> dict[str, Any]:
    names = status.state.names
    return {
        "study": status.state.study.name,
        "trials": asdict(status.total),
        "cells": [
            {"cell": cell, **asdict(counts), "running": status.running_trials[cell]}
            for cell, counts in status.cells.items()
        ],
        "running": [{"stage": names[key], "key": key, **asdict(one)} for key, one in status.running.items()],
        "last_run": status.run and asdict(status.run),
        "report": status.report,
    }


def show(status: Status, console: Console, invocation: Invocation) -> None:
    show_notices(status.state, console)
    for line in _lines(status, invocation):
        console.print(escape(line), highlight=False, soft_wrap=True)
    rows = [
        [escape(cell), *map(_count, (counts.done, counts.failed, counts.missing, status.running_trials[cell]))]
        for cell, counts in status.cells.items()
    ]
    console.print(cell_table(console, COLUMNS, rows, leave_out=("running", "missing")))


def _lines(status: Status, invocation: Invocation) -> Iterator[str]:
    yield f"{status.state.study.name}: {counts_text(status.total)}, {status.total.missing:,} missing"
    if status.run is not None:
        yield f"last run: {ended_text(status.run)} UTC on {status.run.host}, commit {status.run.commit[:12]}"
    for key, driver in status.running.items():
        yield f"running: {status.state.names[key]}, by process {driver.pid} on {driver.host}, {_sign(driver)}"
    if status.total.failed:
        yield f"errors: {invocation.command('failures')}"
    if status.report:
        yield f"report: {status.report}"


def _sign(driver: Driver) -> str:
    return f"last sign of life {plural(round(driver.seconds), 'second')} ago"


def _count(number: int) -> str:
    return f"{number:,}" if number else ""
