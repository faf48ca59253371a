"""`resample`: the split and the subset of a replicate are those of all its cells and stages, and of no other one."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from helpers.tiny_grid import TINY

from study.design.stages import Stage, stages_of
from study.design.study import Trial, expand, load
from study.utils.errors import StudyError
from study.vit.training.batches import prepare

Writer = Callable[[str], Path]
CPU = torch.device("cpu")


@pytest.fixture
def grid(tmp_path: Path) -> Writer:
    def write(more: str, text: str = TINY) -> Path:
        path = tmp_path / "grid.yaml"
        path.write_text(f"{text}{more}\n")
        return path

    return write


def seen(stage: Stage) -> dict[str, set[bytes]]:
    """The contents of the images of each split, those of train before a subset is drawn."""
    settings = stage.settings
    data = prepare(settings.recipe, settings.encoder, CPU, settings.resampling)
    parts = {"train": data.train, "validation": data.validation, "test": data.fitted(data.dataset.test)}
    parts["all train"] = data.dataset.train
    return {name: {image.numpy().tobytes() for image in part.images} for name, part in parts.items()}


def by_replicate(path: Path) -> dict[int, list[Trial]]:
    found: dict[int, list[Trial]] = {}
    for trial in expand(load(path)):
        found.setdefault(trial.replicate, []).append(trial)
    return found


def test_all_cells_and_stages_of_a_replicate_have_one_split_and_no_test_image_is_pre_trained_on(grid: Writer) -> None:
    tests = []
    for trials in by_replicate(grid("resample: [split]")).values():
        stages = [stage for trial in trials for stage in stages_of(trial)]
        assert {stage.kind for stage in stages} == {"pretrain", "finetune"}
        found = [seen(stage) for stage in stages]
        assert all(one == found[0] for one in found), "the same split and the same 100 training images"
        assert not found[0]["test"] & (found[0]["train"] | found[0]["validation"])
        assert not found[0]["train"] & found[0]["validation"]
        tests.append(found[0]["test"])
    assert tests[0] != tests[1]


def test_a_subset_is_drawn_from_the_fixed_training_images(grid: Writer) -> None:
    fixed = seen(stages_of(by_replicate(grid(""))[1][0])[-1])
    subsets = []
    for trials in by_replicate(grid("resample: [train_images]")).values():
        found = [seen(stage) for trial in trials for stage in stages_of(trial)]
        assert all(one == found[0] for one in found)
        assert len(found[0]["train"]) == 100
        assert {name: found[0][name] for name in ("all train", "validation", "test")} == {
            name: fixed[name] for name in ("all train", "validation", "test")
        }
        subsets.append(found[0]["train"])
    assert len({frozenset(subset) for subset in (*subsets, fixed["train"])}) == 3


def test_a_larger_subset_of_a_replicate_contains_a_smaller_one(grid: Writer) -> None:
    factors = "factors:\n  images: {path: finetune.train_images, levels: [40]}\nreplicates: 1\n"
    large, small = by_replicate(grid("resample: [split, train_images]", TINY[: TINY.index("factors:")] + factors))[1]
    assert seen(stages_of(small)[-1])["train"] < seen(stages_of(large)[-1])["train"]


def test_keys_differ_from_those_of_the_fixed_split_and_by_what_is_drawn(grid: Writer) -> None:
    keys = [
        {stage.key for trial in expand(load(grid(more))) for stage in stages_of(trial)}
        for more in ("", "resample: [split]", "resample: [train_images]", "resample: [split, train_images]")
    ]
    assert sum(map(len, keys)) == len(set.union(*keys))
    assert {len(some) for some in keys} == {len(keys[0])}, "cells share as many pre-trainings as without"


@pytest.mark.parametrize("written", ["[]", "{}"])
def test_nothing_to_resample_changes_no_key(grid: Writer, written: str) -> None:
    plain, empty = (
        [stage.key for trial in expand(load(path)) for stage in stages_of(trial)]
        for path in (grid(""), grid(f"resample: {written}"))
    )
    assert plain == empty


def test_the_form_of_a_mapping_is_that_of_a_list(grid: Writer) -> None:
    listed = expand(load(grid("resample: [split, train_images]")))
    assert [t.resampling for t in expand(load(grid("resample: {split, train_images}")))] == [
        t.resampling for t in listed
    ]
    assert len({trial.resampling for trial in listed}) == 2


def test_a_stage_is_the_same_after_its_spec(grid: Writer) -> None:
    for trial in expand(load(grid("resample: [split, train_images]"))):
        for stage in stages_of(trial):
            again = Stage.from_spec(json.loads(json.dumps(stage.spec())))
            assert again == stage
            assert again.key == stage.key


TUNE = "tune: {{{seeds}budget: 2, parameters: {{finetune.weight_decay: {{low: 0.0, high: 0.1}}}}}}\n"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("resample: [splits]", "splits"),
        ("resample: [split, split]", "can be named once"),
        ("resample: {split: false}", "resample"),
        ("resample: split", 'invalid value "split": must be a list, as in [split, train_images]'),
        ("resample: [split]\n" + TUNE.format(seeds=""), "requires one tuning per replicate"),
        (TUNE.format(seeds="seeds: 3, "), "must be 1, or the number of replicates, 2"),
        (TUNE.format(seeds="seeds: 0, "), "seeds"),
    ],
)
def test_invalid(grid: Writer, more: str, words: str) -> None:
    with pytest.raises(StudyError, match=r"grid\.yaml:\d+") as error:
        load(grid(more))
    assert words in str(error.value)


def test_a_subset_that_no_cell_draws_is_refused(grid: Writer) -> None:
    with pytest.raises(StudyError, match=r"no cell sets finetune\.train_images"):
        load(
            grid(
                "resample: [train_images]",
                TINY.replace("    train_images: 100\n", "").replace(", train_images: 100", ""),
            )
        )


def test_tunings_by_replicate_are_refused_with_adaptive_replicates(grid: Writer) -> None:
    text = TINY.replace("replicates: 2", "replicates: {min: 2, max: 4, until: claims}")
    claims = (
        "claims: [{claim: c, kind: greater, metric: test_accuracy, cells: {mode: finetune}, against: {mode: probe}}]\n"
    )
    with pytest.raises(StudyError, match="use a fixed number of replicates, or seeds: 1"):
        load(grid(claims + TUNE.format(seeds="seeds: 4, "), text))
