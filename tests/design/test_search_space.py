"""Search spaces: every error names the key and a fix."""

import pytest
from helpers.tuning_samples import Writer

from study.design.overrides import value_at
from study.design.study import load
from study.utils.errors import StudyError

RATE = "finetune.learning_rate: {low: 1e-4, high: 1e-2, log: true}"
"""The parameter that the tests replace."""

BAD = {
    "finetune.learning_rat: {low: 1, high: 2}": "unknown field finetune.learning_rat; did you mean 'learning_rate'",
    "finetune.dataset: {choices: [digits, photos]}": "data sets cannot be tuned; make it a factor",
    "encoder.num_kv_heads: {choices: [1, 2]}": "is also set by factor 'kv heads'",
    "finetune.learning_rate: {low: 1e-2, high: 1e-4}": "high: invalid value 0.0001: must be above low (0.01)",
    "finetune.learning_rate: {low: 0, high: 1e-2, log: true}": "low: invalid value 0: must be above 0 with log: true",
    "finetune.learning_rate: {low: -1, high: 1}": "invalid value -1.0 in cell 'baseline': finetune.learning_rate",
    "finetune.learning_rate: {low: 1e-4}": "requires 'low' and 'high'",
    "finetune.learning_rate: {low: 1e-4, high: 1e-2, step: 1}": "step: supported for integers only",
    "finetune.learning_rate: {low: 1e-4, choices: [1e-3, 1e-2]}": "'low' belongs to a range",
    "finetune.learning_rate: {choices: [1e-3, 1e-3]}": "choices[1]: duplicate choice 0.001",
    "finetune.learning_rate: {choices: [1e-3]}": "choices: invalid value [0.001]: must be of length 2 or more",
    "finetune.learning_rate: {low: .nan, high: 1}": "low",
    "finetune.learning_rate: {low: true, high: 2}": "low",
    "finetune.mode: {low: 1, high: 2}": "requires 'choices: [...]'",
    "finetune.mode: {choices: [finetune, probing]}": 'invalid value "probing" in cell',
    "finetune.epochs: {low: 1.5, high: 3}": "low: invalid value 1.5: must be an integer",
    "finetune.epochs: {low: 1, high: 4, step: 2}": "step: invalid value 2: must divide high - low (4 - 1); use high: 3",
    "finetune.epochs: {low: 1, high: 4, step: 2, log: true}": "step: not supported with log",
    "finetune.warmup_epochs: {low: 0.0, high: 2.0}": "invalid value 2.0 in cell 'baseline'",
    "finetune.augment.flip: {choices: [true, false]}": "overlaps with",
}


@pytest.mark.parametrize(("written", "message"), BAD.items())
def test_invalid_parameters(grid: Writer, written: str, message: str) -> None:
    with pytest.raises(StudyError) as error:
        load(grid((RATE, written)))
    assert message in str(error.value)
    assert "tuned.yaml:2" in str(error.value)
    assert "tune.parameters" in str(error.value)


def test_early_stopping_of_a_tuning_is_rejected_with_the_reason(grid: Writer) -> None:
    with pytest.raises(StudyError, match=r"early_stopping: .* biases the effects of factors; leave it out"):
        load(grid(("budget: 4", "budget: 4\n  early_stopping: asha")))


def test_a_factor_may_remove_the_section_that_is_tuned(grid: Writer) -> None:
    """A cell without pre-training has no mask ratio; its other parameters are tuned with the same budget."""
    path = grid(
        ("{path: encoder.num_kv_heads, levels: [1, 2]}", "{path: pretrain, levels: [null], baseline: digits}"),
        ("finetune.batch_size: {low: 10, high: 50, step: 20}", "pretrain.mask_ratio: {low: 0.5, high: 0.8}"),
    )
    study = load(path)
    assert study.space is not None
    names = [[p.name for p in study.space.of(cell.settings)] for cell in study.included if cell.settings]
    assert [len(own) for own in names] == [3, 2]
    assert "pretrain.mask_ratio" not in names[1]


def test_a_cell_without_parameters_is_rejected(grid: Writer) -> None:
    path = grid(
        ("{path: encoder.num_kv_heads, levels: [1, 2]}", "{path: pretrain, levels: [null], baseline: digits}"),
        ("    finetune.batch_size: {low: 10, high: 50, step: 20}\n", ""),
        ("    finetune.augment: {choices: [{}, {flip: true}]}\n", ""),
        (RATE, "pretrain.mask_ratio: {low: 0.5, high: 0.8}"),
    )
    with pytest.raises(StudyError, match="cell 'kv heads=none' has none of the parameters, as it has no pre-training"):
        load(path)


def test_a_level_may_set_the_section_but_not_the_field(grid: Writer) -> None:
    level = "{label: photographs, set: {pretrain: {dataset: photos, epochs: 1}}}"
    path = grid(
        ("{path: encoder.num_kv_heads, levels: [1, 2]}", f"{{levels: [{level}]}}"),
        ("finetune.batch_size: {low: 10, high: 50, step: 20}", "pretrain.mask_ratio: {low: 0.5, high: 0.8}"),
    )
    study = load(path)
    assert value_at(study.cells[1].settings.model_dump(), "pretrain.dataset") == "photos"  # type: ignore[union-attr]
    changed = path.read_text().replace("dataset: photos,", "dataset: photos, mask_ratio: 0.6,")
    path.write_text(changed)
    with pytest.raises(StudyError, match="is also set by factor 'kv heads'"):
        load(path)
