"""What may be tuned: every mistake has its place and its way out."""

import pytest
from helpers.tuning_samples import Writer

from study.design import study as design
from study.design.overrides import value_at
from study.utils.errors import StudyError

RATE = "finetune.learning_rate: {low: 1e-4, high: 1e-2, log: true}"
"""The parameter that is bent; it stands on line 22."""

BAD = {
    "finetune.learning_rat: {low: 1, high: 2}": "there is no finetune.learning_rat; did you mean 'learning_rate'",
    "finetune.dataset: {choices: [digits, photos]}": "a question of its own; make it a factor",
    "encoder.num_kv_heads: {choices: [1, 2]}": "factor 'kv heads' sets it too",
    "finetune.learning_rate: {low: 1e-2, high: 1e-4}": "high: 0.0001 is not above low 0.01",
    "finetune.learning_rate: {low: 0, high: 1e-2, log: true}": "low: 0 has no logarithm",
    "finetune.learning_rate: {low: -1, high: 1}": "-1.0 is not possible in cell 'baseline': finetune.learning_rate",
    "finetune.learning_rate: {low: 1e-4}": "needs 'low' and 'high'",
    "finetune.learning_rate: {low: 1e-4, high: 1e-2, step: 1}": "step: belongs to whole numbers",
    "finetune.learning_rate: {low: 1e-4, choices: [1e-3, 1e-2]}": "'low' belongs to a range",
    "finetune.learning_rate: {choices: [1e-3, 1e-3]}": "choices[1]: 0.001 is written twice",
    "finetune.learning_rate: {choices: [1e-3]}": "choices: [0.001] is not possible",
    "finetune.learning_rate: {low: .nan, high: 1}": "low",
    "finetune.learning_rate: {low: true, high: 2}": "low",
    "finetune.mode: {low: 1, high: 2}": "needs 'choices: [...]'",
    "finetune.mode: {choices: [finetune, probing]}": '"probing" is not possible in cell',
    "finetune.epochs: {low: 1.5, high: 3}": "low: 1.5 is not possible; finetune.epochs is a whole number",
    "finetune.epochs: {low: 1, high: 4, step: 2}": "step: steps of 2 from 1 do not meet high 4; the last below it is 3",
    "finetune.epochs: {low: 1, high: 4, step: 2, log: true}": "step: does not go with log",
    "finetune.warmup_epochs: {low: 0.0, high: 2.0}": "2.0 is not possible in cell 'baseline'",
    "finetune.augment.flip: {choices: [true, false]}": "overlaps with",
}


@pytest.mark.parametrize(("written", "told"), BAD.items())
def test_a_mistake_is_told_with_its_place(grid: Writer, written: str, told: str) -> None:
    with pytest.raises(StudyError) as error:
        design.load(grid((RATE, written)))
    assert told in str(error.value)
    assert "tuned.yaml:2" in str(error.value)
    assert "tune.parameters" in str(error.value)


def test_early_stopping_is_refused_with_the_reason(grid: Writer) -> None:
    with pytest.raises(StudyError, match=r"early_stopping: .* biases the effects of factors; leave it out"):
        design.load(grid(("budget: 4", "budget: 4\n  early_stopping: asha")))


def test_a_factor_may_drop_the_section_that_is_tuned(grid: Writer) -> None:
    """A cell from scratch has no pre-training's learning rate: it is tuned without, by the same budget."""
    path = grid(
        ("{path: encoder.num_kv_heads, levels: [1, 2]}", "{path: pretrain, levels: [null], baseline: digits}"),
        ("finetune.batch_size: {low: 10, high: 50, step: 20}", "pretrain.mask_ratio: {low: 0.5, high: 0.8}"),
    )
    study = design.load(path)
    assert study.space is not None
    names = [[p.name for p in study.space.of(cell.settings)] for cell in study.included if cell.settings]
    assert [len(own) for own in names] == [3, 2]
    assert "pretrain.mask_ratio" not in names[1]


def test_a_cell_with_nothing_to_tune_is_a_mistake(grid: Writer) -> None:
    path = grid(
        ("{path: encoder.num_kv_heads, levels: [1, 2]}", "{path: pretrain, levels: [null], baseline: digits}"),
        ("    finetune.batch_size: {low: 10, high: 50, step: 20}\n", ""),
        ("    finetune.augment: {choices: [{}, {flip: true}]}\n", ""),
        (RATE, "pretrain.mask_ratio: {low: 0.5, high: 0.8}"),
    )
    with pytest.raises(StudyError, match="cell 'kv heads=none' has no pre-training, and nothing else is tuned"):
        design.load(path)


def test_a_level_that_sets_the_section_but_not_the_field_is_no_conflict(grid: Writer) -> None:
    level = "{label: photographs, set: {pretrain: {dataset: photos, epochs: 1}}}"
    path = grid(
        ("{path: encoder.num_kv_heads, levels: [1, 2]}", f"{{levels: [{level}]}}"),
        ("finetune.batch_size: {low: 10, high: 50, step: 20}", "pretrain.mask_ratio: {low: 0.5, high: 0.8}"),
    )
    study = design.load(path)
    assert value_at(study.cells[1].settings.model_dump(), "pretrain.dataset") == "photos"  # type: ignore[union-attr]
    changed = path.read_text().replace("dataset: photos,", "dataset: photos, mask_ratio: 0.6,")
    path.write_text(changed)
    with pytest.raises(StudyError, match="factor 'kv heads' sets it too"):
        design.load(path)
