"""What is said while a sweep runs."""

import io

from rich.console import Console

from study.cli.progress import Clock, SweepProgress
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


def test_the_time_left_counts_each_kind_by_its_own_mean() -> None:
    """A pre-training took 10 s and a fine-tuning 4 s; one fine-tuning is left and nothing runs: 4 s."""
    clock = Clock(STAGES)
    assert clock.left() is None
    clock.end(Outcome(PRETRAIN, "done", seconds=10.0))
    assert clock.left() == 20.0  # no fine-tuning has ended yet: the pre-training's time stands in for both
    clock.end(Outcome(FIRST, "done", seconds=4.0))
    assert clock.left() == 4.0


def test_clock_time() -> None:
    assert [clock_time(seconds) for seconds in (0, 42.4, 725, 11220)] == ["0:00", "0:42", "12:05", "3:07:00"]


def test_without_a_terminal_there_is_a_line_per_stage() -> None:
    text = io.StringIO()
    with SweepProgress(STAGES, NAMES, Console(file=text, width=200)) as progress:
        progress.on_start(PRETRAIN)
        progress.on_epochs(PRETRAIN, [{"epoch": 1.0, "train_loss": 0.5}])
        progress.on_done(Outcome(PRETRAIN, "done", seconds=10.0))
        progress.on_done(Outcome(FIRST, "failed", "loss is NaN\ntraceback"))
        progress.on_done(Outcome(SECOND, "done", seconds=2.0))
    assert text.getvalue().splitlines() == [
        "1/3  pretrain for 2 cells r1  10.0 s, about 0:20 left",
        "failed  finetune [a] r1: loss is NaN",
        "3/3  finetune b r2  2.0 s",
    ]


def test_on_a_terminal_running_stages_show_their_epochs() -> None:
    text = io.StringIO()
    console = Console(file=text, width=100, force_terminal=True, legacy_windows=False)
    with SweepProgress(STAGES, NAMES, console) as progress:
        progress.on_start(FIRST)
        progress.on_epochs(FIRST, [{"epoch": 7.0, "train_loss": 0.5, "val_accuracy": 0.912}])
    assert "finetune [a] r1" in text.getvalue()
    assert "7/100" in text.getvalue()
    assert "91.2%" in text.getvalue()


def test_a_lost_stage_is_told_and_starts_again() -> None:
    text = io.StringIO()
    with SweepProgress(STAGES, NAMES, Console(file=text, width=200)) as progress:
        progress.on_start(SECOND)
        progress.on_lost(SECOND, "its worker process died")
        progress.on_start(SECOND)
        progress.on_done(Outcome(SECOND, "done", seconds=2.0))
    assert text.getvalue().splitlines()[0] == "again   finetune b r2: its worker process died"
    assert text.getvalue().splitlines()[1].startswith("1/3  finetune b r2  2.0 s")
