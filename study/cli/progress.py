"""Shows a sweep as it runs: live bars on a terminal, a line per stage elsewhere."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.text import Text

from study.design.stages import Stage
from study.planning.events import Listener, Outcome
from study.utils.text import clock_time


class Clock:
    """Estimates the time that is left from the stages that have ended. Asked after each stage of thousands, it counts
    them by kind instead of going through them."""

    def __init__(self, stages: list[Stage], total: Callable[[], int] | None = None) -> None:
        self._open = {stage.key for stage in stages}
        self._known = set(self._open)
        self._kinds = Counter(stage.kind for stage in stages)  # of the open ones
        self._total = total or (lambda: len(stages))  # with those that are not known yet
        self._ended: Counter[str] = Counter()  # by kind, as the next
        self._seconds: dict[str, float] = defaultdict(float)
        self._started: dict[str, tuple[Stage, float]] = {}

    def start(self, stage: Stage) -> None:
        if stage.key not in self._known:
            self._known.add(stage.key)
            self._open.add(stage.key)
            self._kinds[stage.kind] += 1
        self._started[stage.key] = stage, time.monotonic()

    def lose(self, stage: Stage) -> None:
        self._started.pop(stage.key, None)

    def end(self, outcome: Outcome) -> None:
        if outcome.stage.key in self._open:
            self._open.remove(outcome.stage.key)
            self._kinds[outcome.stage.kind] -= 1
        self._started.pop(outcome.stage.key, None)
        if outcome.seconds:
            self._ended[outcome.stage.kind] += 1
            self._seconds[outcome.stage.kind] += outcome.seconds

    def left(self) -> float | None:
        """Seconds until all stages have ended, None before the first one of any kind has."""
        if not self._ended:
            return None
        mean = sum(self._seconds.values()) / self._ended.total()
        usual = {kind: self._seconds[kind] / self._ended[kind] if self._ended[kind] else mean for kind in self._kinds}
        total = max(0, self._total() - len(self._known)) * mean
        total += sum(number * usual[kind] for kind, number in self._kinds.items())
        for stage, began in self._started.values():
            total -= min(usual[stage.kind], time.monotonic() - began)
        return total / max(1, len(self._started))


class SweepProgress(Listener):
    """Follows a sweep on a console. `names` says how stages are called, by key; `total` counts those to come too."""

    def __init__(
        self, stages: list[Stage], names: Mapping[str, str], console: Console, total: Callable[[], int] | None = None
    ) -> None:
        self._total = total or (lambda: len(stages))
        self._names, self._console, self._clock = names, console, Clock(stages, self._total)
        self._ended = 0
        self._live = _Live(self._total(), self._clock, console) if console.is_terminal else None

    def __enter__(self) -> "SweepProgress":
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def on_start(self, stage: Stage) -> None:
        self._clock.start(stage)
        if self._live:
            self._live.add(stage, self._names[stage.key])

    def on_epochs(self, stage: Stage, rows: list[dict[str, float]]) -> None:
        if self._live:
            self._live.update(stage, rows[-1])

    def on_lost(self, stage: Stage, reason: str) -> None:
        self._clock.lose(stage)
        if self._live:
            self._live.remove(stage)
        self._console.print(f"[yellow]again[/]   {escape(self._names[stage.key])}: {escape(reason)}")

    def on_done(self, outcome: Outcome) -> None:
        self._clock.end(outcome)
        self._ended += 1
        if self._live:
            self._live.end(outcome.stage, self._total())
        if outcome.error is not None:
            error = outcome.error.splitlines()[0]
            self._console.print(f"[red]failed[/]  {escape(self._names[outcome.stage.key])}: {escape(error)}")
        elif outcome.status == "stopped":
            after = f"stopped early after {outcome.epochs} of {outcome.stage.epochs} epochs"
            number = f"{self._ended}/{self._total()}"
            self._console.print(f"{number}  {escape(self._names[outcome.stage.key])}  {after}", highlight=False)
        elif not self._live:
            left = self._clock.left()
            eta = f", about {clock_time(left)} left" if left and self._ended < self._total() else ""
            name = escape(self._names[outcome.stage.key])
            took = "by another driver" if outcome.elsewhere else f"{outcome.seconds:.1f} s"
            self._console.print(f"{self._ended}/{self._total()}  {name}  {took}{eta}", highlight=False)


class _Live:
    """One bar for the sweep and one for each running stage."""

    def __init__(self, total: int, clock: Clock, console: Console) -> None:
        self._bars = Progress(
            TextColumn("{task.description}", table_column=None),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            _Note(clock),
            console=console,
            transient=True,
        )
        self._sweep = self._bars.add_task("stages", total=total, note=None)
        self._tasks: dict[str, TaskID] = {}
        self.start, self.stop = self._bars.start, self._bars.stop

    def add(self, stage: Stage, name: str) -> None:
        short = name if len(name) <= 44 else f"{name[:43]}…"
        self._tasks[stage.key] = self._bars.add_task(escape(short), total=stage.epochs, note="")

    def update(self, stage: Stage, row: dict[str, float]) -> None:
        note = f"val {row['val_accuracy']:.1%}" if "val_accuracy" in row else f"loss {row['train_loss']:.3f}"
        self._bars.update(self._tasks[stage.key], completed=int(row["epoch"]), note=note)

    def remove(self, stage: Stage) -> None:
        task = self._tasks.pop(stage.key, None)
        if task is not None:
            self._bars.remove_task(task)

    def end(self, stage: Stage, total: int) -> None:
        self.remove(stage)
        self._bars.update(self._sweep, advance=1, total=total)


class _Note(ProgressColumn):
    """The time left for the sweep's bar, the last epoch's number for a stage's."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def render(self, task: Task) -> Text:
        if task.fields["note"] is not None:
            return Text(task.fields["note"], style="dim")
        left = self._clock.left()
        return Text("estimating the time left" if left is None else f"about {clock_time(left)} left", style="cyan")
