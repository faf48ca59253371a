"""What a stage's key depends on; the stages of a trial, and which trials share them."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from helpers.distinct_stages import unique_stages
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, create_model

from study.design.stages import Stage, stages_of
from study.design.study import expand, load
from study.utils.canonical_json import canonical_json
from study.vit.settings import Augment, Decoder, Encoder, Finetune, Pretrain
from study.vit.stages import VERSIONS, StageSettings

ENCODER = Encoder(image_size=8, patch_size=2, channels=1, experts_by_depth=(2, 3))
PRETRAIN = Stage(
    StageSettings(ENCODER, Pretrain(dataset="digits", epochs=10, decoder=Decoder(depth=1))), seed=3532969643
)
FINETUNE = Stage(
    StageSettings(ENCODER, Finetune(dataset="digits", epochs=15, learning_rate=3e-4)),
    PRETRAIN.seed,
    PRETRAIN,
)
SCRATCH = Stage(StageSettings(ENCODER, FINETUNE.settings.recipe), PRETRAIN.seed)


# --- keys ---


def test_golden_keys() -> None:
    """If these change without a new VERSION, stored results are no longer found."""
    assert PRETRAIN.key == "88dbf825871d96688084a9bbbce26dd3b6a1acad7033596af2ebc46543111b94"
    assert FINETUNE.key == "b7f4608f55c53f9d728eeac8660d7bb1461c88796c93b0f42af708cce919441f"


def test_a_key_is_the_sha_256_of_the_canonical_identity() -> None:
    """By hand: sorted keys, no spaces, changed fields only."""
    text = (
        '{"encoder":{"channels":1,"experts_by_depth":[2,3],"image_size":8,"patch_size":2},'
        '"parent":null,'
        '"pretrain":{"dataset":"digits","decoder":{"depth":1},"epochs":10},'
        '"seed":3532969643,"stage":"pretrain","version":1}'
    )
    assert canonical_json(PRETRAIN.identity) == text
    assert PRETRAIN.key == hashlib.sha256(text.encode()).hexdigest()


def test_the_identity_of_a_fine_tuning_contains_the_key_of_its_pre_training() -> None:
    assert FINETUNE.identity["parent"] == PRETRAIN.key
    assert SCRATCH.identity["parent"] is None
    assert FINETUNE.key != SCRATCH.key


@pytest.mark.parametrize(
    "other",
    [
        Stage(StageSettings(Encoder(image_size=8, patch_size=2, channels=1), PRETRAIN.settings.recipe), PRETRAIN.seed),
        Stage(
            StageSettings(ENCODER, Pretrain(dataset="photos", epochs=10, decoder=Decoder(depth=1))),
            PRETRAIN.seed,
        ),
        Stage(
            StageSettings(ENCODER, Pretrain(dataset="digits", epochs=11, decoder=Decoder(depth=1))),
            PRETRAIN.seed,
        ),
        Stage(StageSettings(ENCODER, Pretrain(dataset="digits", epochs=10)), PRETRAIN.seed),
        Stage(PRETRAIN.settings, PRETRAIN.seed + 1),
        Stage(StageSettings(ENCODER, Finetune(dataset="digits", epochs=10)), PRETRAIN.seed),
    ],
)
def test_whatever_changes_the_result_changes_the_key(other: Stage) -> None:
    assert other.key != PRETRAIN.key


def test_a_change_to_the_pre_training_changes_the_key_of_the_fine_tuning() -> None:
    other = Stage(StageSettings(ENCODER, Pretrain(dataset="photos", epochs=10)), PRETRAIN.seed)
    assert Stage(FINETUNE.settings, FINETUNE.seed, other).key != FINETUNE.key


def test_a_new_version_changes_the_keys_of_its_kind_and_their_children(monkeypatch: pytest.MonkeyPatch) -> None:
    before = [PRETRAIN.key, FINETUNE.key, SCRATCH.key]

    def keys() -> list[str]:
        parent = Stage(PRETRAIN.settings, PRETRAIN.seed)
        child = Stage(FINETUNE.settings, FINETUNE.seed, parent)
        return [
            parent.key,
            child.key,
            Stage(SCRATCH.settings, SCRATCH.seed).key,
        ]

    monkeypatch.setitem(VERSIONS, "finetune", 2)
    assert [new == old for new, old in zip(keys(), before, strict=True)] == [True, False, False]
    monkeypatch.setitem(VERSIONS, "finetune", 1)
    monkeypatch.setitem(VERSIONS, "pretrain", 2)
    assert [new == old for new, old in zip(keys(), before, strict=True)] == [False, False, True]


def test_a_new_field_at_its_default_keeps_old_keys() -> None:
    """A field that was added after a result was stored."""
    newer = create_model("Encoder", __base__=Encoder, new_field=(float, Field(0.0)))
    same = newer(**ENCODER.model_dump())
    changed = newer(**ENCODER.model_dump(), new_field=0.1)
    assert Stage(StageSettings(same, PRETRAIN.settings.recipe), PRETRAIN.seed).key == PRETRAIN.key
    assert Stage(StageSettings(changed, PRETRAIN.settings.recipe), PRETRAIN.seed).key != PRETRAIN.key


def test_keys_do_not_depend_on_notation() -> None:
    """1 and 1.0, 1e-3 and 0.001, lists and tuples, implicit and explicit defaults, a preset and its fields."""
    one = Finetune.model_validate(
        {"dataset": "digits", "warmup_epochs": 1, "learning_rate": 0.001, "weight_decay": 0.05}
    )
    other = Finetune.model_validate({"learning_rate": 1e-3, "warmup_epochs": 1.0, "augment": {}, "dataset": "digits"})
    encoders = [
        {"preset": "XXS", "experts_by_depth": [3, 4, 5]}, {"experts_by_depth": (3, 4, 5)}, {"width": 108, "depth": 9},
    ]  # fmt: skip
    keys = {Stage(StageSettings(Encoder.model_validate(e), recipe), 1).key for e in encoders for recipe in (one, other)}
    assert len(keys) == 1


def test_keys_do_not_depend_on_how_a_stage_is_run(tmp_path: Path) -> None:
    """Not on the study's name, file, resources, question and replicates, nor on other factors and levels."""
    text = (
        "study: {study}\nquestion: {study}?\nreplicates: {replicates}\nresources: {resources}\n"
        "baseline: {{finetune: {{dataset: digits}}}}\nfactors: {{f: {{path: encoder.depth, levels: {levels}}}}}\n"
    )
    keys = []
    for study, replicates, resources, levels in [("a", 1, "{cpu: 1}", [10]), ("b", 9, "{cpu: 8, gpu: 0.5}", [9, 12])]:
        path = tmp_path / study / "grid.yaml"
        path.parent.mkdir()
        path.write_text(text.format(study=study, replicates=replicates, resources=resources, levels=levels))
        keys.append(stages_of(expand(load(path))[0])[0].key)
    assert keys[0] == keys[1]


def test_keys_are_valid_file_names() -> None:
    assert re.fullmatch(r"[0-9a-f]{64}", PRETRAIN.key)


# --- specs, as stored and sent to workers ---


@pytest.mark.parametrize("stage", [PRETRAIN, FINETUNE, SCRATCH])
def test_spec_round_trip(stage: Stage) -> None:
    again = Stage.from_spec(json.loads(json.dumps(stage.spec())))
    assert again == stage
    assert again.key == stage.key


def test_a_spec_contains_every_setting() -> None:
    spec = FINETUNE.spec()
    assert spec["encoder"].keys() == Encoder.model_fields.keys()
    assert spec["recipe"].keys() == Finetune.model_fields.keys()
    assert spec["parent"]["recipe"].keys() == Pretrain.model_fields.keys()


recipes = st.builds(
    Finetune,
    dataset=st.text(max_size=20),
    epochs=st.integers(1, 1000),
    learning_rate=st.floats(1e-9, 1e9),
    weight_decay=st.floats(0, 1e3),
    augment=st.builds(Augment, flip=st.booleans(), shift=st.floats(0, 1, exclude_max=True)),
)


@given(recipes, recipes, st.integers(0, 2**32 - 1))
def test_keys_are_equal_if_and_only_if_stages_are(one: Finetune, other: Finetune, seed: int) -> None:
    first, second = Stage(StageSettings(Encoder(), one), seed), Stage(StageSettings(Encoder(), other), seed)
    assert (first == second) == (first.key == second.key)
    assert Stage.from_spec(json.loads(json.dumps(first.spec()))).key == first.key


# --- canonical JSON ---


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "a": [1, 2.5, None, True]}, '{"a":[1,2.5,null,true],"b":1}'),
        ("é\u2028", '"\\u00e9\\u2028"'),
        (1e-3, "0.001"),
        (1e22, "1e+22"),
        ((1, 2), "[1,2]"),
    ],
)
def test_canonical_json(value: Any, text: str) -> None:
    assert canonical_json(value) == text


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": -float("inf")}])
def test_non_finite_numbers_are_rejected(value: Any) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical_json(value)


# --- stages of trials ---


def test_a_trial_is_pre_trained_then_fine_tuned_from_one_seed(tiny: Path) -> None:
    trial = expand(load(tiny))[0]
    pretraining, finetuning = stages_of(trial)
    assert (pretraining.kind, finetuning.kind) == ("pretrain", "finetune")
    assert finetuning.parent is pretraining
    assert pretraining.parent is None
    assert {pretraining.seed, finetuning.seed} == {trial.seed}


def test_without_pre_training_there_is_one_stage(tiny: Path) -> None:
    trial = next(trial for trial in expand(load(tiny)) if trial.settings.pretrain is None)
    assert [stage.kind for stage in stages_of(trial)] == ["finetune"]


def test_cells_that_differ_only_in_fine_tuning_share_their_pre_training(tiny: Path) -> None:
    """Per replicate baseline and probe share one pre-training, kv heads has its own, one cell has none."""
    trials = expand(load(tiny))
    unique = unique_stages(trials)
    assert sum(len(stages_of(trial)) for trial in trials) == 14
    assert [stage.kind for stage in unique].count("pretrain") == 4
    assert [stage.kind for stage in unique].count("finetune") == 8
    first = {trial.cell.name: stages_of(trial)[0].key for trial in trials if trial.replicate == 1}
    assert first["baseline"] == first["mode=probe"]
    assert len(set(first.values())) == 3


def test_replicates_share_no_stage(tiny: Path) -> None:
    keys: dict[int, set[str]] = {}
    for trial in expand(load(tiny)):
        keys.setdefault(trial.replicate, set()).update(stage.key for stage in stages_of(trial))
    assert keys[1].isdisjoint(keys[2])


def test_parents_come_before_their_children(tiny: Path) -> None:
    seen: set[str] = set()
    for stage in unique_stages(expand(load(tiny))):
        assert stage.parent is None or stage.parent.key in seen
        seen.add(stage.key)


def test_own_data_are_identified_by_their_content_and_not_by_their_path() -> None:
    """By hand, as above; without a content, by path, as results were stored before."""

    def stage(path: str, content: str | None) -> Stage:
        return Stage(StageSettings(ENCODER, Finetune(dataset=path)), 1, None, content)

    text = (
        '{"encoder":{"channels":1,"experts_by_depth":[2,3],"image_size":8,"patch_size":2},'
        '"finetune":{"dataset":"imagefolder:sha256:c0ffee"},"parent":null,"seed":1,"stage":"finetune","version":1}'
    )
    assert canonical_json(stage("imagefolder:a/b", "c0ffee").identity) == text
    assert stage("imagefolder:a/b", "c0ffee").key == stage("imagefolder:/c", "c0ffee").key
    assert stage("parquet:a/b", "c0ffee").key != stage("imagefolder:a/b", "c0ffee").key
    assert canonical_json(stage("imagefolder:a/b", None).identity) == text.replace("sha256:c0ffee", "a/b")


@pytest.mark.parametrize(
    ("dataset", "key"),
    [
        ("photos", "42f0401cd48bbb8a631b6c2feb96f606e21bebd07f1328765d748a8d3092d009"),
        ("cifar10", "9744a7a4325def29880cacdc4c3a8b718ab1dddab5119532f0a11461ac63bb11"),
        ("mnist", "56e5ff841961fdf6936f186df3b275f99f63591cd225348e945a170dde831680"),
    ],
)
def test_golden_keys_of_named_data_sets(dataset: str, key: str) -> None:
    """Computed before own data were identified by content."""
    assert Stage(StageSettings(ENCODER, Pretrain(dataset=dataset)), 1).key == key


def test_a_stage_keeps_its_content_on_the_way_to_a_worker() -> None:
    parent = Stage(StageSettings(ENCODER, Pretrain(dataset="imagefolder:a")), 1, None, "c0ffee")
    stage = Stage(StageSettings(ENCODER, Finetune(dataset="parquet:b")), 1, parent, "decaf")
    assert Stage.from_spec(json.loads(json.dumps(stage.spec()))) == stage
    assert "content" not in FINETUNE.spec()
