"""One file and one line in the table are all that a new augmentation takes."""

import pytest
from helpers.training_samples import QUICK, finetuning, run_digest

from study.vit import augmentations, settings


def test_a_new_augmentation_becomes_a_setting_and_changes_training(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, recipe_key = run_digest(finetuning(**QUICK)), finetuning().changed()
    monkeypatch.setitem(augmentations.TABLE, "invert", "helpers.throwaway:Invert")
    model = settings.augment_model()
    assert model().changed() == {}
    assert finetuning().changed() == recipe_key
    assert model.model_json_schema()["properties"]["invert"]["default"] == 0.0
    for strength, same in ((0.0, True), (0.5, False)):
        recipe = finetuning(**QUICK).model_copy(update={"augment": model(invert=strength)})
        assert (run_digest(recipe) == plain) == same
