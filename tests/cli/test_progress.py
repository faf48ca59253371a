"""The display of a sweep: bars on a terminal that can redraw, lines elsewhere."""

import io
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable

import pytest
from helpers.paths import ROOT, TESTS
from rich.console import Console

from study.cli.progress import STATUS_INTERVAL, SweepProgress, can_redraw
from study.design.stages import Stage
from study.planning.events import Outcome
from study.utils.text import clock_time
from study.vit.settings import Encoder, Finetune, Pretrain
from study.vit.stages import StageSettings

PRETRAIN = Stage(StageSettings(Encoder(), Pretrain(dataset="digits")), 1)
FIRST = Stage(StageSettings(Encoder(), Finetune(dataset="digits")), 1, PRETRAIN)
SECOND = Stage(StageSettings(Encoder(), Finetune(dataset="digits")), 2)
STAGES = [PRETRAIN, FIRST, SECOND]
NAMES = {PRETRAIN.key: "pretrain for 2 cells r1", FIRST.key: "finetune [a] r1", SECOND.key: "finetune b r2"}


def lines(events: Callable[[SweepProgress], None], clock: Callable[[], float] = lambda: 0.0) -> list[str]:
    """What a sweep with two workers prints where it cannot redraw."""
    text = io.StringIO()
    with SweepProgress(STAGES, NAMES, Console(file=text, width=200), 2, clock=clock) as progress:
        events(progress)
    return text.getvalue().splitlines()


def terminal(text: io.StringIO, width: int) -> Console:
    return Console(file=text, width=width, force_terminal=True, legacy_windows=False)


def test_clock_time() -> None:
    assert [clock_time(seconds) for seconds in (0, 42.4, 725, 11220)] == ["0:00", "0:42", "12:05", "3:07:00"]


def test_without_a_terminal_there_is_a_line_per_stage() -> None:
    now = 0.0

    def events(progress: SweepProgress) -> None:
        nonlocal now
        progress.on_start(PRETRAIN)
        progress.on_start(SECOND)
        now = 10.0
        progress.on_done(Outcome(PRETRAIN, "done", seconds=10.0))
        progress.on_start(FIRST)
        progress.on_done(Outcome(FIRST, "failed", "loss is NaN\ntraceback"))
        progress.on_done(Outcome(SECOND, "done", seconds=2.0))

    assert lines(events, lambda: now) == [
        "1/3  pretrain for 2 cells r1  10.0 s, about 0:24 left",  # an epoch of fine-tuning has 2.4 times the MACs
        "failed  finetune [a] r1: loss is NaN",
        "3/3  finetune b r2  2.0 s",
    ]


def test_long_stages_print_the_state_of_the_sweep_every_minute() -> None:
    """100 epochs of 10 s each, two at a time."""
    now = 0.0

    def events(progress: SweepProgress) -> None:
        nonlocal now
        progress.on_start(PRETRAIN)
        progress.on_start(SECOND)
        for epoch in range(1, 14):
            now += 10.0
            for stage in (PRETRAIN, SECOND):
                progress.on_epochs(stage, [{"epoch": float(epoch), "train_loss": 0.5}])

    assert STATUS_INTERVAL == 60.0
    assert lines(events, lambda: now) == [
        "0/3 stages, 2 running, about 32:20 left",  # 94 epochs of the running stages, 100 of the last
        "0/3 stages, 2 running, about 31:20 left",
    ]


def test_a_stage_of_another_driver_and_one_that_was_stopped_early() -> None:
    def events(progress: SweepProgress) -> None:
        progress.on_done(Outcome(PRETRAIN, "done", elsewhere=True))
        progress.on_start(FIRST)
        progress.on_done(Outcome(FIRST, "stopped", learning_curve=({"epoch": 7.0},)))

    assert lines(events) == [
        "1/3  pretrain for 2 cells r1  by another driver",
        "2/3  finetune [a] r1  stopped early after 7/100 epochs",
    ]


def test_a_lost_stage_is_reported_and_retried() -> None:
    def events(progress: SweepProgress) -> None:
        progress.on_start(SECOND)
        progress.on_lost(SECOND, "its worker process died")
        progress.on_start(SECOND)
        progress.on_done(Outcome(SECOND, "done", seconds=2.0))

    first, second = lines(events)
    assert first == "retry   finetune b r2: its worker process died"
    assert second.startswith("1/3  finetune b r2  2.0 s")


@pytest.mark.parametrize("width", [40, 80, 120])
def test_on_a_terminal_running_stages_show_their_epochs(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line per bar at every width: long names are shortened."""
    monkeypatch.setenv("TERM", "xterm")
    text, plain = io.StringIO(), io.StringIO()
    names = {**NAMES, FIRST.key: f"finetune [a] {'x' * 200} r1"}
    with SweepProgress(STAGES, names, terminal(text, width), 2) as progress:
        progress.on_start(FIRST)
        progress.on_epochs(FIRST, [{"epoch": 7.0, "train_loss": 0.5, "val_accuracy": 0.912}])
        assert progress._bars is not None
        Console(file=plain, width=width).print(progress._bars._progress.get_renderable())
    assert "7/100" in text.getvalue()
    sweep, stage = plain.getvalue().splitlines()
    assert "stages" in sweep
    assert "about" in sweep
    assert stage.startswith("finetune")
    assert stage.split()[-3:] == ["7/100", "val", "91.2%"]


@pytest.mark.parametrize(
    ("term", "expected"), [("xterm-256color", True), ("screen", True), ("dumb", False), ("unknown", False), ("", False)]
)
def test_only_terminals_that_can_redraw_get_bars(term: str, expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", term)
    assert can_redraw(terminal(io.StringIO(), 80)) is expected
    assert not can_redraw(Console(file=io.StringIO()))


SWEEP = """
import time
from rich.console import Console
from test_progress import FIRST, NAMES, PRETRAIN, STAGES, SweepProgress, Outcome
with SweepProgress(STAGES, NAMES, Console(), 1) as progress:
    for stage in (PRETRAIN, FIRST):
        progress.on_start(stage)
        progress.on_epochs(stage, [{"epoch": 1.0, "train_loss": 0.5}])
        time.sleep(0.5)
        progress.on_done(Outcome(stage, "done", seconds=0.5))
"""
LINES = re.compile(
    r"1/3  pretrain for 2 cells r1  0\.5 s, about \d+:\d\d left\n"
    r"2/3  finetune \[a\] r1  0\.5 s, about \d+:\d\d left\n"
)


def run_in_terminal(script: str, term: str) -> str:
    """The output of a Python process whose standard output is a pseudo-terminal of this kind."""
    reader, terminal = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name != "TERM"} | script_path()
    environment |= {"TERM": term} if term else {}
    with subprocess.Popen([sys.executable, "-c", script], stdout=terminal, env=environment) as process:
        os.close(terminal)
        shown = b""
        while data := read_available(reader):
            shown += data
    os.close(reader)
    assert process.returncode == 0
    return shown.decode().replace("\r\n", "\n")


def read_available(reader: int) -> bytes:
    try:
        return os.read(reader, 4096)
    except OSError:  # Linux reports the end of a pseudo-terminal as an error
        return b""


def script_path() -> dict[str, str]:
    return {"PYTHONPATH": os.pathsep.join(map(str, (ROOT, TESTS, TESTS / "cli"))), "COLUMNS": "100"}


@pytest.mark.parametrize("term", ["dumb", ""])
def test_a_process_in_a_simple_terminal_prints_lines(term: str) -> None:
    assert LINES.fullmatch(run_in_terminal(SWEEP, term))


def test_a_process_in_a_terminal_draws_bars() -> None:
    shown = run_in_terminal(SWEEP, "xterm")
    assert "\x1b[" in shown
    assert "1/100" in shown
    assert not LINES.search(shown)


def test_a_piped_process_prints_lines() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", SWEEP], env=os.environ | script_path(), capture_output=True, text=True, check=True
    )
    assert LINES.fullmatch(ended.stdout)
