"""The cost of a plan: arithmetic checked by hand, and one real measurement."""

import io
import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from helpers.looks import make_plan
from rich.console import Console
from typer.testing import CliRunner

from study.analysis.stats.forecast import Spread
from study.cli.app import app
from study.cli.cost import as_json, detectable, show
from study.design.study import load
from study.planning.cost import Forecast, Machine, difference_spread, safe_gpu_share, shapes
from study.planning.plan import Plan
from study.store.results import Result, Store
from study.vit.stages import StageSettings
from study.vit.training.pace import Pace, measure

CPU = Machine("cpu", slots=2.0, gpu_bytes=None, gpu_share=0.0)
GPU = Machine("cuda", slots=4.0, gpu_bytes=10 * 2**30, gpu_share=0.25)


@pytest.fixture
def plan(tiny: Path, tmp_path: Path) -> Plan:
    return make_plan(load(tiny), Store(tmp_path / "store"))


def forecast(plan: Plan, machine: Machine = CPU) -> Forecast:
    """Every pre-training epoch takes 10 s, every fine-tuning epoch 3 s; 1 s before and 2 s after either."""
    paces = {
        name: Pace(1.0, 10.0 if stage.kind == "pretrain" else 3.0, 2.0, 2**30) for name, stage in shapes(plan).items()
    }
    return Forecast(plan, machine, paces)


def test_time_is_the_sum_of_all_stages_divided_by_the_slots(plan: Plan) -> None:
    """4 pre-trainings of one epoch: 13 s each; 8 fine-tunings of two: 9 s each."""
    made = forecast(plan)
    assert made.compute_seconds == 4 * 13 + 8 * 9
    assert made.wall_seconds == (4 * 13 + 8 * 9) / 2


def test_no_schedule_is_shorter_than_the_longest_chain(plan: Plan) -> None:
    made = forecast(plan, replace(CPU, slots=1000.0))
    assert made.wall_seconds == 13 + 9


def test_stored_stages_take_no_time(tiny: Path, tmp_path: Path) -> None:
    study, store = load(tiny), Store(tmp_path / "store")
    for stage in make_plan(study, store).stages[2:]:
        store.save(stage, Result({}, {}, [], []), b"", {})
    made = forecast(make_plan(study, store))
    assert made.compute_seconds == 13 + 9
    assert made.wall_seconds == 13 + 9
    assert [cell.name for cell, _, _ in made.cells()] == ["baseline"]


def test_gpu_hours_count_the_requested_share(plan: Plan) -> None:
    assert forecast(plan, GPU).gpu_hours == pytest.approx((4 * 13 + 8 * 9) / 3600 / 4)
    assert forecast(plan).gpu_hours == 0


def test_a_safe_share_includes_margin_and_context() -> None:
    """1 GiB x 1.15 + 600 MiB is 1.736 GiB: of 10 GiB 0.1736, up to the next twentieth 0.20."""
    assert safe_gpu_share(2**30, 10 * 2**30) == pytest.approx(0.20)
    assert safe_gpu_share(10 * 2**30, 10 * 2**30) > 1


def test_stages_that_differ_only_in_epochs_and_learning_rate_share_a_shape(plan: Plan) -> None:
    stage = plan.stages[0]
    longer = stage.settings.recipe.model_copy(update={"epochs": 9, "learning_rate": 0.5})
    assert stage.settings.shape == StageSettings(stage.settings.encoder, longer).shape
    smaller = stage.settings.recipe.model_copy(update={"batch_size": 7})
    assert stage.settings.shape != StageSettings(stage.settings.encoder, smaller).shape
    assert len(shapes(plan)) == 2 + 3  # kv heads 1 and 2; and the probe


def test_the_sd_is_that_of_paired_differences() -> None:
    """Differences 1, 3 and 2, 2 points: squares about their means 1 + 1 + 0 + 0, over one degree of freedom each.

    One degree of freedom: the quantiles 0.1 and 0.9 of chi-square are 0.01579 and 2.70554.
    """
    rows = [("baseline", 1, 10), ("baseline", 2, 20), ("a", 1, 11), ("a", 2, 23), ("b", 1, 12), ("b", 2, 22)]
    trials = pd.DataFrame(rows, columns=["cell", "replicate", "test_accuracy"])
    trials["test_accuracy"] /= 100
    found = difference_spread(trials, "baseline")
    assert found is not None
    assert found.ends == pytest.approx((0.01 / 2.70554**0.5, 0.01, 0.01 / 0.01579**0.5), rel=1e-3)
    assert difference_spread(trials[trials["replicate"] == 1], "baseline") is None
    assert difference_spread(trials[trials["cell"] != "baseline"], "baseline") is None


def test_the_difference_that_the_replicates_can_detect() -> None:
    assert detectable(1, Spread.of(0.01, 4)) == "one replicate cannot detect any difference; at least two are needed"
    # Cohen's d of a paired t-test with n = 5, power 0.8, alpha 0.05: 1.68; the SD's interval is 0.717 to 1.939 points
    assert detectable(5, Spread.of(0.01, 4)) == (
        "5 replicates: 80% power if a cell's true difference from the baseline is at least 1.2 points to 3.3 points "
        "(SD 1 point, 80% interval 0.72 points to 1.9 points)"
    )
    assert detectable(5, None).endswith("at least 1.7 SD; the SD can be estimated after two replicates")


def test_no_difference_is_printed_that_accuracies_cannot_have() -> None:
    """2 replicates have 80% power from about 11.5 SD on, and an SD of 20 points is at least 12 points."""
    assert detectable(2, Spread.of(0.2, 1, 1.0)) == (
        "2 replicates: less than 80% power for any difference of accuracies (SD 20 points)"
    )
    assert "100 points" not in detectable(2, Spread.of(0.05, 1, 1.0))
    assert "to more than accuracies can differ" in detectable(2, Spread.of(0.05, 1, 1.0))


def test_for_people_and_for_programs(plan: Plan) -> None:
    console = Console(file=io.StringIO(), width=120)
    show(forecast(plan, GPU), Spread.of(0.01, 4), console)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "12 stages will take about 31.0 s (4 at a time, 0.0086 GPU-hours; 2:04 sequentially)" in text
    assert "measured on 5 shapes; excluding Ray's start and the report" in " ".join(text.split())
    assert [line.split()[-4:] for line in text.splitlines() if line.startswith("kv heads=2")] == [
        ["s", "1.0", "GiB", "0.20"]
    ]
    found = json.loads(json.dumps(as_json(forecast(plan, GPU), Spread.of(0.01, 4))))
    assert found["spread_interval"] == pytest.approx([0.00717, 0.01939], rel=1e-3)
    assert found["detectable_difference_interval"][0] < found["detectable_difference"]
    assert found["cells"][1] == {"cell": "kv heads=2", "seconds": 22.0, "peak_bytes": 2**30, "gpu_share": 0.2}


def test_measuring_trains_and_restores_the_random_state(plan: Plan) -> None:
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    for stage in shapes(plan).values():
        pace = measure(stage.settings.encoder, stage.settings.recipe, "cpu", budget=0.05)
        assert pace.epoch_seconds > 0
        assert pace.final_seconds > 0
        assert pace.peak_bytes is None or 50 * 2**20 < pace.peak_bytes < 16 * 2**30
    assert torch.equal(torch.rand(3), expected)


def test_from_the_command_line(tiny: Path, place: Path) -> None:
    ended = CliRunner().invoke(app, ["plan", str(tiny), "--measure", "--json"])
    assert ended.exit_code == 0, ended.output
    forecast = json.loads(ended.stdout)["forecast"]
    assert forecast["compute_seconds"] > 0
    assert [cell["cell"] for cell in forecast["cells"]] == ["baseline", "kv heads=2", "mode=probe", "pre-training=none"]
    assert not (place / ".study").exists()
