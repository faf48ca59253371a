"""How the data sets of a study are read: shown by plan, run, doctor and report, and refused with empty splits."""

import io
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.data_samples import digits, encode, save_images
from helpers.looks import collect, make_plan
from helpers.report_samples import BASELINE, KV_HEADS, make_study, put
from rich.console import Console

from study.cli.plan import as_json, show
from study.cli.run import check_data
from study.design.study import expand, load
from study.launch import preflight
from study.planning.notices.shared_images import shared_images
from study.planning.state import StudyState
from study.report import analyse
from study.report.sections import Text, outline
from study.store.results import Store
from study.utils.errors import StudyError
from study.vit.data import load as load_data

DIGITS = (
    "digits: 10 classes (0, 1, 2, 3, 4, 5, 6, 7, 8, 9); images: 1,077 train, 269 validation (15 %, by content), "
    "451 test (25 %, by content); 8 x 8 px, grey"
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def own(tiny: Path, tmp_path: Path) -> Path:
    """A grid that is fine-tuned on own images, without pre-training."""
    text = tiny.read_text().replace("dataset: digits, epochs: 2, train_images: 100", f"dataset: {name(tmp_path)}")
    tiny.write_text(text.replace("levels: [null], baseline: digits", "levels: [null]"))
    return tiny


def name(folder: Path) -> str:
    return f"imagefolder:{folder / 'own'}"


def state(grid: Path, folder: Path) -> StudyState:
    return StudyState.look(load(grid), Store(folder / "store"))


def test_a_plan_has_a_line_per_data_set(tiny: Path, tmp_path: Path) -> None:
    plan = make_plan(load(tiny), Store(tmp_path / "store"))
    console = Console(file=io.StringIO(), width=300)
    show(plan, console)
    assert f"data: {DIGITS}\n" in console.file.getvalue()  # type: ignore[attr-defined]
    assert as_json(plan)["data"] == [DIGITS]


def test_doctor_has_the_line() -> None:
    assert preflight.dataset("digits", 8).message == "available: " + DIGITS.removeprefix("digits: ")


def test_a_report_has_the_line_that_its_results_recorded(tmp_path: Path) -> None:
    study, store = make_study(tmp_path, KV_HEADS, baseline={**BASELINE, "pretrain": None}), Store(tmp_path / "store")
    first, *others = expand(study)
    put(store, first, 0.9, reading="digits: as read *then*")
    for trial in others:
        put(store, trial, 0.9)  # as results of earlier versions
    results = collect(study, store)
    assert results.facts.data == ("digits: as read *then*", DIGITS)
    (design,) = [cell for cell in outline(analyse(results)) if isinstance(cell, Text) and cell.title == "Design"]
    assert "- digits: as read &#42;then&#42;\n- digits: 10 classes" in design.source


def test_a_data_set_without_validation_images_is_refused_with_its_counts(own: Path, tmp_path: Path) -> None:
    images, _ = digits(9)
    save_images(tmp_path / "own", images, [i % 3 for i in range(9)])
    with pytest.raises(StudyError, match="has no images for validation; its images are 6 train, 0 validation, 3 test"):
        make_plan(load(own), Store(tmp_path / "store"))


def test_a_data_set_without_test_images_is_refused(own: Path, tmp_path: Path) -> None:
    images, _ = digits(8)
    for split in ("train", "val"):
        save_images(tmp_path / "own" / split, images[:4], [i % 2 for i in range(4)])
    with pytest.raises(StudyError, match="has no images for test; its images are 4 train, 4 validation, 0 test"):
        make_plan(load(own), Store(tmp_path / "store"))


def test_a_data_set_of_one_class_is_refused(own: Path, tmp_path: Path) -> None:
    """Every model would have an accuracy of 100 %."""
    pq.write_table(pa.table({"image": digits(20)[0], "label": [7] * 20}), tmp_path / "train.parquet")
    own.write_text(own.read_text().replace(f"imagefolder:{tmp_path / 'own'}", f"parquet:{tmp_path / 'train.parquet'}"))
    with pytest.raises(StudyError, match=r"train\.parquet' has one class, so every model is right"):
        make_plan(load(own), Store(tmp_path / "store"))


def test_copies_that_empty_a_split_are_found_before_a_run(own: Path, tmp_path: Path) -> None:
    """Each class has 5 copies of one image, which are all in train; a plan does not read them."""
    images = [encode([[number * 40]]) for number in (1, 2) for _ in range(5)]
    save_images(tmp_path / "own", images, [1] * 5 + [2] * 5)
    make_plan(load(own), Store(tmp_path / "store"))
    with pytest.raises(StudyError, match="has no images for validation; its images are 10 train, 0 validation, 0 test"):
        check_data(state(own, tmp_path), Console(file=io.StringIO()))


def test_a_run_shows_exact_numbers_and_a_notice_names_test_images_that_are_in_train(own: Path, tmp_path: Path) -> None:
    """Two of the test images are also in validation, which was taken from train."""
    images, labels = digits(100)
    save_images(tmp_path / "own" / "train", images, labels)
    save_images(tmp_path / "own" / "test", images[:30], labels[:30])
    before = state(own, tmp_path)
    assert list(shared_images(before)) == []
    console = Console(file=io.StringIO(), width=400)
    check_data(before, console)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "30 test (folder test)" in shown
    assert "about" not in shown
    assert list(shared_images(before)) == [
        f"28 of 30 test images of data set {name(tmp_path)!r} are also in train (the same bytes), so test accuracies "
        "may be too high."
    ]


def test_a_cached_line_has_the_present_path(own: Path, tmp_path: Path) -> None:
    """Decoded images are found by content, whatever the path; the line names the present one."""
    save_images(tmp_path / "first", *digits(100))
    load_data(f"imagefolder:{tmp_path / 'first'}", 8)
    shutil.move(tmp_path / "first", tmp_path / "own")
    (tmp_path / "own" / "0" / "notes.txt").touch()
    (line,) = as_json(make_plan(load(own), Store(tmp_path / "store")))["data"][-1:]
    assert line.startswith(f"{name(tmp_path)}: 10 classes")
    assert line.endswith("left out: 1 .txt file")
