"""Every setting of encoder and recipes changes what a run computes, or is invalid for that stage.

A setting that is accepted, gives a new key and does nothing would make a study compare equal runs.
"""

from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from typing import Any, Literal, get_args, get_origin

import pytest
from helpers.data_samples import digits, save_table
from helpers.training_samples import QUICK, SMALL, finetuning, pretraining, run_digest
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from study.vit import settings

WITHOUT_EFFECT = {
    "compile": "torch.compile computes the same, and takes a minute",
}
ENCODER = settings.Encoder.model_validate(
    # With top_k 1 the router's weights are constant, and so is the importance loss. Rounding matters: 24.5 in between.
    SMALL | {"experts_by_depth": (3, 3, 4), "top_k": 2, "ffn_width_last": 17}
)
STAGES = {"pretrain": pretraining(**QUICK), "finetune": finetuning(**QUICK)}
OTHER_EXPERTS = {"experts_by_depth": [(3, 4, 4)]}


def fields(model: BaseModel, prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The path of every setting, also of those in nested models."""
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from fields(value, (*prefix, name))
        else:
            yield (*prefix, name)


CASES = [(stage, path) for stage, recipe in STAGES.items() for path in fields(recipe) if path[-1] not in WITHOUT_EFFECT]


def others(name: str, value: Any, field: FieldInfo) -> list[Any]:
    """Values of a setting's type that differ from `value`; not all of them need to be valid."""
    if get_origin(field.annotation) is Literal:
        return [other for other in get_args(field.annotation) if other != value]
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, 2 * value, value - 1, value // 2]
    if isinstance(value, float):
        return [value / 2, 0.5, 0.25] if value else [0.5]
    if name in OTHER_EXPERTS:
        return OTHER_EXPERTS[name]
    raise TypeError(f"{name}: add other values of type {field.annotation}")


def changed(model: BaseModel, path: tuple[str, ...], table: str) -> list[Any]:
    """Copies of a settings model in which the setting at `path` has another, valid value."""
    name, rest = path[0], path[1:]
    value = getattr(model, name)
    if rest:
        candidates: list[Any] = [inner.model_dump() for inner in changed(value, rest, table)]
    else:
        candidates = [table] if name == "dataset" else others(name, value, type(model).model_fields[name])
        candidates = [candidate for candidate in candidates if candidate != value]
    found = []
    for candidate in candidates:
        with suppress(ValidationError):
            found.append(type(model).model_validate(model.model_dump() | {name: candidate}))
    return found


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A data set other than the digits of scikit-learn: some of them."""
    return f"parquet:{save_table(tmp_path_factory.mktemp('table') / 'train.parquet', *digits())}"


@cache
def plain(stage: str) -> str:
    return run_digest(STAGES[stage], ENCODER)


@pytest.mark.parametrize(
    ("stage", "path"), CASES, ids=lambda value: value if isinstance(value, str) else ".".join(value)
)
def test_a_setting_of_a_recipe_changes_the_run_or_is_invalid(stage: str, path: tuple[str, ...], table: str) -> None:
    recipes = changed(STAGES[stage], path, table)
    assert all(recipe.changed() != STAGES[stage].changed() for recipe in recipes), "a new value needs a new key"
    assert not recipes or any(run_digest(recipe, ENCODER) != plain(stage) for recipe in recipes)


@pytest.mark.parametrize("path", list(fields(ENCODER)), ids=".".join)
def test_a_setting_of_the_encoder_changes_the_run(path: tuple[str, ...]) -> None:
    assert any(run_digest(STAGES["finetune"], encoder) != plain("finetune") for encoder in changed(ENCODER, path, ""))


def test_only_labels_are_invalid_in_pretraining() -> None:
    invalid = [(stage, ".".join(path)) for stage, path in CASES if not changed(STAGES[stage], path, "digits:other")]
    assert invalid == [("pretrain", "augment.mixup")]


@pytest.mark.parametrize("name", WITHOUT_EFFECT)
def test_settings_without_effect_exist(name: str) -> None:
    assert name in settings.Recipe.model_fields
