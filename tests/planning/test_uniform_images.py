"""A data set of blank images is noticed, once it has been decoded."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from helpers.data_samples import digits, encode, save_images
from helpers.tiny_grid import TINY

from study.design.study import Study
from study.design.study import load as load_study
from study.planning.notices import notices
from study.planning.state import StudyState
from study.store.results import Store
from study.vit.data import load


def study_on(folder: Path, name: str) -> Study:
    grid = yaml.safe_load(TINY)
    grid["baseline"]["finetune"]["dataset"] = name
    (folder / "grid.yaml").write_text(yaml.safe_dump(grid))
    return load_study(folder / "grid.yaml")


@pytest.mark.parametrize(("blank", "noticed"), [(100, True), (90, False)])
def test_images_of_nearly_one_colour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blank: int, noticed: bool
) -> None:
    """At least half of 200 images."""
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "cache"))
    images, labels = digits()
    save_images(tmp_path / "data", [encode(np.zeros((8, 8)))] * blank + images[blank:], labels)
    name = f"imagefolder:{tmp_path / 'data'}"
    state = StudyState.look(study_on(tmp_path, name), Store(tmp_path / "store"))
    assert notices(state) == [], "not decoded yet"
    load(name, 8)
    shown = notices(state)
    assert [sentence.partition(" of data set")[0] for sentence in shown] == ["100 of 200 images"] * noticed
    assert all(name in sentence for sentence in shown)
