"""Suggested values are what a trial has, and a space has no two names of one setting."""

import json
from typing import Any

import pytest
from helpers.tuning_samples import SEARCH, TUNED, Writer
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from study.design.overrides import InvalidError
from study.design.search_space import distinct, suggested
from study.design.study import Study, load
from study.utils.errors import StudyError
from study.vit import counts
from study.vit.settings import PRESETS, Settings

SPACE = SEARCH[SEARCH.index("    encoder.width:") : SEARCH.index("replicates: 1")]
PRESET = "    encoder.preset: {choices: [S, XS, XXS]}\n"
RATES = "finetune.learning_rate: {low: 1e-4, high: 1e-2, log: true}"


def every(study: Study) -> list[tuple[dict[str, Any], Settings]]:
    """All distinct values of a small space with the settings that they give."""
    assert study.space is not None
    assert study.baseline.settings is not None
    cell = study.baseline.settings
    found = distinct(cell, study.space.parameters)
    assert found is not None
    return [(dict(values), suggested(cell, study.space.parameters, values)) for values in found]


def test_a_preset_in_a_search_changes_the_model(grid: Writer) -> None:
    """The baseline writes every size, and the preset replaces all of them."""
    found = every(load(grid((SPACE, PRESET), ("trials: 12", "trials: 3"), text=SEARCH)))
    assert {values["encoder.preset"]: made.encoder.width for values, made in found} == {"S": 144, "XS": 128, "XXS": 108}
    assert len({counts.classifier_params(made.encoder, 10).total for _, made in found}) == 3


def test_a_field_beside_a_preset_has_its_own_value(grid: Writer) -> None:
    space = PRESET + "    encoder.num_kv_heads: {choices: [1, 2]}\n"
    found = every(load(grid((SPACE, space), ("trials: 12", "trials: 6"), text=SEARCH)))
    assert [values["encoder.num_kv_heads"] for values, _ in found] == [1, 2] * 3
    assert [made.encoder.num_kv_heads for _, made in found] == [1, 2] * 3
    assert [made.encoder.width for _, made in found] == [144, 144, 128, 128, 108, 108]


def test_the_levels_of_factors_in_a_search_keep_their_fields(grid: Writer) -> None:
    """Beside size=XS, depth=9 is the baseline level, which no level sets: it is 9, not the 12 of XS."""
    sizes = SEARCH[SEARCH.index("    width: 8") : SEARCH.index("  pretrain:")]
    factors = (
        "factors:\n  size: {path: encoder.preset, levels: [XS]}\n  depth: {path: encoder.depth, levels: [4]}\n"
        "design: search"
    )
    changes = [(sizes, "    preset: XXS\n"), ("  space:\n" + SPACE, ""), ("design: search", factors)]
    study = load(grid(*changes, ("trials: 12", "trials: 4"), text=SEARCH))
    found = [(values["size"], values["depth"], made.encoder.width, made.encoder.depth) for values, made in every(study)]
    assert found == [("XXS", "9", 108, 9), ("XXS", "4", 108, 4), ("XS", "9", 128, 9), ("XS", "4", 128, 4)]


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ("[0.1, 1e-1]", "choices[1]: duplicate choice 0.1"),
        ("[1.0, 1]", "choices[1]: duplicate choice 1: same settings as 1.0"),
        ("[1e-3, 0.01, 0.001]", "choices[2]: duplicate choice 0.001"),
    ],
)
def test_equal_choices_are_refused(grid: Writer, choices: str, message: str) -> None:
    with pytest.raises(StudyError) as error:
        load(grid((RATES, f"finetune.learning_rate: {{choices: {choices}}}")))
    assert message in str(error.value)


def test_a_parameter_without_effect_is_refused(grid: Writer) -> None:
    with pytest.raises(StudyError, match=r"finetune.augment.choices\[1\]: duplicate choice .*same settings as {}"):
        load(grid(("choices: [{}, {flip: true}]", "choices: [{}, {flip: false}]")))


def test_a_preset_is_not_tuned_over_a_factor_on_its_fields(grid: Writer) -> None:
    with pytest.raises(StudyError, match=r"sets encoder.num_kv_heads, which is also set by factor 'kv heads'"):
        load(grid((RATES, "encoder.preset: {choices: [S, XS]}")))


def test_a_field_of_a_preset_that_a_factor_sets_is_not_tuned(grid: Writer) -> None:
    """A size labelled XS with a tuned width would not be XS."""
    sizes = TUNED[TUNED.index("    width: 8") : TUNED.index("  pretrain:")]
    changes = [(sizes, "    preset: XXS\n"), ("encoder.num_kv_heads, levels: [1, 2]", "encoder.preset, levels: [XS]")]
    with pytest.raises(StudyError, match="is also set by factor 'kv heads'"):
        load(grid(*changes, (RATES, "encoder.ffn_width_last: {choices: [20, 30]}")))
    assert load(grid(*changes, (RATES, "encoder.bias: {choices: [true, false]}"))).space is not None


@pytest.mark.parametrize(
    ("text", "space", "requested", "budget"),
    [
        (SEARCH, "    encoder.bias: {choices: [true, false]}\n", 50, 2),
        (SEARCH, "    encoder.depth: {low: 1, high: 3}\n    encoder.bias: {choices: [true, false]}\n", 50, 6),
        (SEARCH, "    encoder.depth: {low: 1, high: 3}\n    encoder.bias: {choices: [true, false]}\n", 5, 5),
        (SEARCH, "    encoder.width: {low: 4, high: 12, step: 4}\n", 50, 3),
        (SEARCH, "    encoder.width: {low: 4, high: 16, log: true}\n", 50, 13),
        (SEARCH, "    finetune.learning_rate: {low: 1e-3, high: 1e-1}\n", 50, 50),
    ],
)
def test_a_budget_is_at_most_the_number_of_distinct_settings(
    grid: Writer, text: str, space: str, requested: int, budget: int
) -> None:
    """All trials of a cell share one seed, so a repeated setting would only repeat its result."""
    found = load(grid((SPACE, space), ("trials: 12", f"trials: {requested}"), text=text)).space
    assert found is not None
    assert (found.requested, found.budget) == (requested, budget)


def test_the_budget_of_a_tuning_is_that_of_the_largest_space_of_a_cell(grid: Writer) -> None:
    parameters = TUNED[TUNED.index("    finetune.learning_rate") : TUNED.index("replicates: 2")]
    space = "    finetune.keep: {choices: [last, best]}\n    pretrain.normalize_targets: {choices: [true, false]}\n"
    found = load(
        grid(
            (parameters, space),
            ("budget: 4", "budget: 9"),
            ("{path: encoder.num_kv_heads, levels: [1, 2]}", "{path: pretrain, levels: [null], baseline: digits}"),
        )
    ).space
    assert found is not None
    assert (found.requested, found.budget) == (9, 4)


POOL: dict[str, list[Any]] = {
    "encoder.preset": ["S", "XS", "XXS"],
    "encoder.width": [48, 144],
    "encoder.depth": [1, 15],
    "encoder.num_heads": [6, 8],
    "encoder.num_kv_heads": [1, 2],
    "finetune.augment": [{}, {"flip": True}, {"shift": 0.1}],
    "pretrain": [None, {"dataset": "digits"}, {"dataset": "photos", "mask_ratio": 0.5}],
    "finetune.epochs": [1, 2],
}


@given(st.lists(st.sampled_from(sorted(POOL)), min_size=1, max_size=4, unique=True))
@hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_suggestion_of_a_drawn_space_has_its_values(grid: Writer, names: list[str]) -> None:
    """A plain reference: each written value is found in the settings of the trial, or the trial fails."""
    space = "".join(f"    {name}: {{choices: {json.dumps(POOL[name])}}}\n" for name in names)
    try:
        study = load(grid((SPACE, space), ("trials: 12", "trials: 1"), text=SEARCH))
    except StudyError:  # a value that is invalid in the baseline
        return
    assert study.space is not None
    assert study.baseline.settings is not None
    for values in distinct(study.baseline.settings, study.space.parameters) or []:
        try:
            made = suggested(study.baseline.settings, study.space.parameters, values).model_dump(mode="json")
        except InvalidError:
            continue
        for name, value in values.items():
            check(made, name, value, values)


def check(made: dict[str, Any], path: str, value: Any, values: Any) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            check(made, f"{path}.{key}", inner, values)
    elif path == "encoder.preset":
        for field, expected in PRESETS[value].items():
            if f"encoder.{field}" not in values:
                assert made["encoder"][field] == expected
    else:
        found: Any = made
        for key in path.split("."):
            found = found[key]
        assert found == value
