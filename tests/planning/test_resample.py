"""The plan states what is drawn anew for each replicate, and refuses splits that cannot be drawn."""

from pathlib import Path

import pytest
from helpers.looks import make_plan
from helpers.tiny_grid import TINY

from study.cli.plan import as_json
from study.design.study import Study, load
from study.planning.plan import how_data_are_read
from study.store.results import Store
from study.utils.errors import StudyError


def study(folder: Path, more: str, text: str = TINY) -> Study:
    (folder / "grid.yaml").write_text(f"{text}{more}\n")
    return load(folder / "grid.yaml")


@pytest.mark.parametrize(
    ("more", "endings"),
    [
        ("", ["8 x 8 px, grey"]),
        ("resample: [split]", ["; train, validation and test are drawn anew for each replicate"]),
        ("resample: [train_images]", ["px, grey", "the subsets of train_images are drawn anew for each replicate"]),
    ],
)
def test_what_is_drawn_is_stated(more: str, endings: list[str], tmp_path: Path) -> None:
    made = study(tmp_path, more)
    lines = how_data_are_read(made)
    assert [line[-len(end) :] for line, end in zip(lines, endings, strict=True)] == endings
    written = as_json(make_plan(made, Store(tmp_path / "store")))
    assert written["data"] == lines
    assert written["resample"] == list(made.grid.resample)
    assert len({stage["key"] for stage in written["stages"]}) == len(written["stages"])


def test_given_splits_are_named_as_they_are_and_drawn_ones_as_drawn(tmp_path: Path) -> None:
    """Pre-training on photos keeps its split; fine-tuning on digits has another one for each replicate."""
    text = TINY.replace("dataset: digits", "dataset: photos", 1)
    photos, digits = how_data_are_read(study(tmp_path, "resample: [split]", text))
    assert photos.startswith("photos")
    assert "drawn" not in photos
    assert digits.endswith("train, validation and test are drawn anew for each replicate")


def test_a_study_whose_data_give_all_splits_is_refused(tmp_path: Path) -> None:
    text = TINY.replace("dataset: digits", "dataset: flowers102")
    with pytest.raises(
        StudyError, match=r"grid\.yaml:\d+: resample: 'split' has no effect: flowers102 gives all splits"
    ):
        make_plan(study(tmp_path, "resample: [split]", text), Store(tmp_path / "store"))
