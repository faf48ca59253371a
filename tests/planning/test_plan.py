"""The plan: counts checked by hand, stored stages, and both output formats."""

import io
import json
from dataclasses import astuple
from pathlib import Path

import pytest
from helpers.looks import make_plan
from helpers.paths import EXAMPLE_GRIDS
from rich.console import Console

from study.cli.plan import MAX_ROWS, as_json, short, show, summary
from study.design.stages import Stage, stages_of
from study.design.study import expand, load
from study.planning.plan import Plan, datasets
from study.store.results import Result, Store
from study.utils.errors import StudyError
from study.vit import counts


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def finish(store: Store, *stages: Stage) -> None:
    for stage in stages:
        store.save(stage, Result({}, {}, [], []), b"", {})


def shown(plan: Plan) -> str:
    console = Console(file=io.StringIO(), width=200)
    show(plan, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_shared_stages_are_counted_once(tiny: Path, store: Store) -> None:
    """4 cells x 2 replicates; per replicate baseline and probe share a pre-training, kv heads has one, one has none."""
    plan = make_plan(load(tiny), store)
    assert len(plan.trials) == 8
    assert plan.uses == 2 * (2 + 2 + 2 + 1)
    assert len(plan.stages) == 2 * (2 + 4)
    assert plan.missing == plan.stages
    assert summary(plan) == (
        "4 cells x 2 replicates = 8 trials; 12 stages (4 pre-trainings, 8 fine-tunings), 2 more avoided by sharing; "
        "0 done, 12 to run"
    )


@pytest.mark.parametrize("path", EXAMPLE_GRIDS, ids=lambda p: p.stem)
def test_every_bundled_grid_can_be_planned(path: Path, store: Store) -> None:
    assert not make_plan(load(path), store).finished


def test_planning_writes_nothing(tiny: Path, store: Store) -> None:
    make_plan(load(tiny), store)
    assert not store.root.exists()


def test_stored_stages_are_done(tiny: Path, store: Store) -> None:
    study = load(tiny)
    first, second = (stages_of(trial) for trial in expand(study)[:2])
    finish(store, *first, *second)
    plan = make_plan(study, store)
    assert [item.done for item in plan.cells] == [1, 1, 0, 0]
    assert plan.done == {stage.key for stage in [*first, *second]}
    assert not plan.done & {stage.key for stage in plan.missing}
    assert len(plan.missing) == 12 - len(plan.done)


def test_a_trial_is_done_once_its_fine_tuning_is(tiny: Path, store: Store) -> None:
    study = load(tiny)
    pretraining, finetuning = stages_of(expand(study)[0])
    finish(store, pretraining)
    assert [item.done for item in make_plan(study, store).cells] == [0, 0, 0, 0]
    store.discard(pretraining)
    finish(store, finetuning)
    assert [item.done for item in make_plan(study, store).cells] == [1, 0, 0, 0]


def test_results_of_other_settings_do_not_count(tiny: Path, store: Store) -> None:
    study = load(tiny)
    tiny.write_text(tiny.read_text().replace("epochs: 2", "epochs: 3"))
    finish(store, *stages_of(expand(load(tiny))[-1]))
    assert make_plan(study, store).done == frozenset()


def test_sizes_match_the_model(tiny: Path, store: Store) -> None:
    plan = make_plan(load(tiny), store)
    for item in plan.cells:
        assert item.cell.settings is not None
        assert item.size is not None
        params = counts.classifier_params(item.cell.settings.encoder, 10)
        macs = counts.classifier_macs(item.cell.settings.encoder, 10)
        assert astuple(item.size) == (params.total, params.active, macs.executed, macs.active)
    baseline, more_heads = plan.cells[:2]
    assert baseline.size is not None
    assert more_heads.size is not None
    # two blocks, and a second key and a second value head of width 8 in each, from width 16 and with biases
    assert more_heads.size.params - baseline.size.params == 2 * 2 * 8 * (16 + 1)


def test_for_programs(tiny: Path, store: Store) -> None:
    tiny.write_text(tiny.read_text() + "exclude: [{when: {mode: probe}, reason: not now}]\n")
    study = load(tiny)
    finish(store, *stages_of(expand(study)[0]))
    found = json.loads(json.dumps(as_json(make_plan(study, store))))
    assert (found["study"], found["design"], found["replicates"], found["trials"]) == ("tiny", "one_factor", 2, 6)
    assert [cell["cell"] for cell in found["cells"]] == ["baseline", "kv heads=2", "mode=probe", "pre-training=none"]
    assert [cell["excluded"] for cell in found["cells"]] == [None, None, "not now", None]
    assert [cell["done"] for cell in found["cells"]] == [1, 0, 0, 0]
    assert found["cells"][0]["levels"] == {"kv heads": "1", "mode": "finetune", "pre-training": "digits"}
    assert study.baseline.settings is not None
    assert found["cells"][0]["params"] == counts.classifier_params(study.baseline.settings.encoder, 10).total
    assert found["cells"][2]["params"] is None
    keys = [stage["key"] for stage in found["stages"]]
    assert all(stage["parent"] in [None, *keys[:i]] for i, stage in enumerate(found["stages"]))
    assert sum(stage["done"] for stage in found["stages"]) == 2
    assert {stage["dataset"] for stage in found["stages"]} == {"digits"}


def test_for_people(tiny: Path, store: Store) -> None:
    tiny.write_text(tiny.read_text() + "exclude: [{when: {mode: probe}, reason: '[bold]not[/] now'}]\n")
    text = shown(make_plan(load(tiny), store))
    assert "Do all parts work together?" in text
    assert "excluded: mode=probe: [bold]not[/] now" in text  # text of a grid is not markup
    assert [line.split()[-1] for line in text.splitlines() if "kv heads=2" in line] == ["0/2"]
    assert "3 cells x 2 replicates = 6 trials" in text


def test_a_long_plan_is_truncated_for_people_and_complete_for_programs(tiny: Path, store: Store) -> None:
    levels = ", ".join(str(1 + i / 1000) for i in range(300))
    tiny.write_text(
        tiny.read_text().replace("factors:\n", f"factors:\n  c: {{path: finetune.clip_norm, levels: [{levels}]}}\n")
    )
    plan = make_plan(load(tiny), store)
    assert len(plan.cells) == 303
    text = shown(plan)
    assert len(text.splitlines()) == 4 + MAX_ROWS + 2
    assert f"and {303 - MAX_ROWS} more cells; --json lists them all" in text
    assert len(as_json(plan)["cells"]) == 303


def test_data_sets_of_a_study(tiny: Path) -> None:
    tiny.write_text(tiny.read_text().replace("dataset: digits\n    epochs: 1", "dataset: photos\n    epochs: 1"))
    assert datasets(load(tiny)) == ["photos", "digits"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("epochs: 1\n    train_images: 100", "train_images: 2000", "baseline.pretrain.train_images: 2000 is more than"),
        ("{path: pretrain, levels: [null]", "{path: pretrain.dataset, levels: [cfar10]",
         r"levels\[0\]: cell 'pre-training=cfar10': pretrain.dataset: unknown data set 'cfar10'. Did you mean"),
        ("{path: finetune.mode, levels: [finetune, probe]}", "{path: finetune.dataset, levels: [photos]}",
         r"levels\[0\]: cell 'mode=photos': finetune.dataset: 'photos' has no labels"),
    ],
)  # fmt: skip
def test_unsuitable_data_sets_are_reported_with_their_place_in_the_grid(
    tiny: Path, store: Store, old: str, new: str, message: str
) -> None:
    text = tiny.read_text()
    assert old in text
    tiny.write_text(text.replace(old, new))
    with pytest.raises(StudyError, match=message) as caught:
        make_plan(load(tiny), store)
    assert str(caught.value).startswith(f"{tiny}:")


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (7, "7"), (999, "999"), (1000, "1.00k"), (92_146, "92.1k"), (667_000, "667k"), (1_644_000, "1.64M"),
     (12_340_000_000, "12.3G")],
)  # fmt: skip
def test_numbers_have_three_digits(number: int, text: str) -> None:
    assert short(number) == text
