"""Shows a sweep while it runs: progress bars on a terminal that can redraw lines, otherwise one line per stage."""

import os
import time
from collections.abc import Callable, Mapping
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

from study.cli.time_left import TimeLeft
from study.design.stages import Stage
from study.planning.events import Listener, Outcome
from study.utils.escape import terminal as escape
from study.utils.text import clock_time, plural

STATUS_INTERVAL = 60.0  # seconds without a line, after which long stages print the state of the sweep
BAR_WIDTH = 24
BAR_FROM = 72  # columns of a terminal; narrower ones show numbers only


class SweepProgress(Listener):
    """Follows a sweep on a console.

    names: what each stage is called, by key. workers: how many stages run at the same time. total: the expected number
    of stages, including those that are not known yet.
    """

    def __init__(
        self,
        stages: list[Stage],
        names: Mapping[str, str],
        console: Console,
        workers: int,
        total: Callable[[], int] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._total = total or (lambda: len(stages))
        self._names, self._console, self._clock = names, console, clock
        self._time_left = TimeLeft(stages, workers, self._total, clock)
        self._ended = 0
        self._printed = clock()
        self._bars = _Bars(self._total(), self._time_left, console) if can_redraw(console) else None

    def __enter__(self) -> "SweepProgress":
        if self._bars:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars:
            self._bars.stop()

    def on_start(self, stage: Stage) -> None:
        self._time_left.start(stage)
        if self._bars:
            self._bars.add(stage, self._names[stage.key])

    def on_epochs(self, stage: Stage, rows: list[dict[str, float]]) -> None:
        self._time_left.report(stage, rows)
        if self._bars:
            self._bars.update(stage, rows[-1])
        elif self._clock() - self._printed >= STATUS_INTERVAL:
            self._print(
                f"{self._ended}/{plural(self._total(), 'stage')}, {self._time_left.running} running{self._eta()}"
            )

    def on_lost(self, stage: Stage, reason: str) -> None:
        self._time_left.lose(stage)
        if self._bars:
            self._bars.remove(stage)
        self._print(f"[yellow]retry[/]   {escape(self._names[stage.key])}: {escape(reason)}")

    def on_done(self, outcome: Outcome) -> None:
        self._ended += 1
        self._time_left.end(outcome)
        if self._bars:
            self._bars.end(outcome.stage, self._total())
        name = escape(self._names[outcome.stage.key])
        count = f"{self._ended}/{self._total()}"
        if outcome.error is not None:
            self._print(f"[red]failed[/]  {name}: {escape(outcome.error.splitlines()[0])}")
        elif outcome.status == "stopped":
            epochs = f"{outcome.epochs}/{plural(outcome.stage.epochs, 'epoch')}"
            self._print(f"{count}  {name}  stopped early after {epochs}")
        elif not self._bars:
            took = "by another driver" if outcome.elsewhere else f"{outcome.seconds:.1f} s"
            self._print(f"{count}  {name}  {took}{self._eta() if self._ended < self._total() else ''}")

    def _eta(self) -> str:
        left = self._time_left.seconds()
        return "" if left is None else f", about {clock_time(left)} left"

    def _print(self, line: str) -> None:
        self._printed = self._clock()
        self._console.print(line, highlight=False)


def can_redraw(console: Console) -> bool:
    """Whether the console is a terminal that supports cursor movement: not with TERM=dumb, and not without TERM."""
    return console.is_interactive and (os.name == "nt" or bool(os.environ.get("TERM")))


class _Bars:
    """One bar for the sweep and one for each running stage."""

    def __init__(self, total: int, time_left: TimeLeft, console: Console) -> None:
        bar = [BarColumn(bar_width=BAR_WIDTH)] if console.width >= BAR_FROM else []
        self._progress = Progress(
            TextColumn("{task.description}", table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")),
            *bar,
            MofNCompleteColumn(table_column=Column(no_wrap=True)),
            _Note(time_left),
            console=console,
            transient=True,
            expand=True,
            refresh_per_second=4,
        )
        self._sweep = self._progress.add_task("stages", total=total, note=None)
        self._tasks: dict[str, TaskID] = {}
        self.start, self.stop = self._progress.start, self._progress.stop

    def add(self, stage: Stage, name: str) -> None:
        self._tasks[stage.key] = self._progress.add_task(escape(name), total=stage.epochs, note="")

    def update(self, stage: Stage, row: dict[str, float]) -> None:
        note = f"val {row['val_accuracy']:.1%}" if "val_accuracy" in row else f"loss {row['train_loss']:.3f}"
        self._progress.update(self._tasks[stage.key], completed=int(row["epoch"]), note=note)

    def remove(self, stage: Stage) -> None:
        task = self._tasks.pop(stage.key, None)
        if task is not None:
            self._progress.remove_task(task)

    def end(self, stage: Stage, total: int) -> None:
        self.remove(stage)
        self._progress.update(self._sweep, advance=1, total=total)


class _Note(ProgressColumn):
    """The time left for the bar of the sweep, the latest metric for the bar of a stage."""

    def __init__(self, time_left: TimeLeft) -> None:
        super().__init__(table_column=Column(no_wrap=True))
        self._time_left = time_left

    def render(self, task: Task) -> Text:
        if task.fields["note"] is not None:
            return Text(task.fields["note"], style="dim")
        left = self._time_left.seconds()
        return Text("estimating time" if left is None else f"about {clock_time(left)} left", style="cyan")
