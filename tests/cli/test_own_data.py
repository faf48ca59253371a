"""Own data from the command line: two folders of one name in one store, added images, and images that are broken."""

import csv
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.data_samples import digits
from helpers.own_data import grid, save
from helpers.tiny_grid import ONE_REPLICATE

Command = Callable[..., tuple[int, str, str]]
TWO_CELLS = ONE_REPLICATE.split("factors:")[0] + "factors:\n  kv heads: {path: encoder.num_kv_heads, levels: [1, 2]}\n"


@pytest.fixture
def places(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders `one` and `two`, each with other images in `data`, and a grid that names them `imagefolder:data`."""
    monkeypatch.setenv("STUDY_CACHE", str(place / "cache"))
    for name, start in (("one", 0), ("two", 100)):
        save(place / name / "data", start, start + 100)
    text = TWO_CELLS.replace("train_images: 100", "train_images: 50") + "replicates: 1\n"
    grid(place / "grid.yaml", "imagefolder:data", text)
    return place


def study(verb: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run a verb in a folder, with the store and the reports beside it."""
    command = [sys.executable, "-m", "study", verb, "../grid.yaml", "--store", "../store"]
    command += ["--reports", "../reports"] if verb in ("run", "report") else []
    environment = {**os.environ, "COLUMNS": "400"}
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240, env=environment)


def statuses(place: Path) -> list[str]:
    with (place / "reports" / "tiny" / "results.csv").open(newline="", encoding="utf-8") as file:
        return [row["status"] for row in csv.DictReader(file)]


@pytest.mark.slow
def test_two_folders_of_one_name_are_two_data_sets(places: Path) -> None:
    one, two = places / "one", places / "two"
    first = study("run", one)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "0 done, 4 to run" in first.stdout
    second = study("run", two)
    assert second.returncode == 0, second.stdout + second.stderr
    notice, summary, *_ = second.stdout.splitlines()
    assert notice.startswith("notice: 4 stored stages were trained on other files of 'imagefolder:data'")
    assert "0 done, 4 to run" in summary
    assert statuses(places) == ["done", "done"], "the report has the results on the second folder only"
    keys = {path.name for path in (places / "store" / "finetune").iterdir()}
    assert len(keys) == 4
    again = study("plan", one)
    assert "4 done, 0 to run" in again.stdout
    (two / "data" / "3" / "new.png").write_bytes(digits(300)[0][250])
    grown = study("plan", two)
    assert "notice: 8 stored stages were trained on other files of 'imagefolder:data'" in grown.stdout
    assert "0 done, 4 to run" in grown.stdout
    shutil.move(one / "data", places / "elsewhere")
    moved = (places / "grid.yaml").read_text().replace("imagefolder:data", f"imagefolder:{places / 'elsewhere'}")
    (places / "grid.yaml").write_text(moved)
    assert "4 done, 0 to run" in study("plan", two).stdout


def test_unreadable_images_are_listed_before_anything_is_written(places: Path, command: Command) -> None:
    folder = places / "one"
    os.chdir(folder)
    for name in ("0/0000.png", "3/0003.png"):
        (folder / "data" / name).write_bytes(b"no image")
    code, shown, message = command("run", "../grid.yaml", "--store", "../store", "--reports", "../reports")
    assert code == 2
    assert "data set 'imagefolder:data': 2 images cannot be read; replace or remove them:" in message
    assert "0/0000.png is not an image" in message
    assert "3/0003.png is not an image" in message
    assert not (places / "store").exists()
    assert not (places / "reports").exists()
    code, shown, _ = command("plan", "../grid.yaml")
    assert code == 0, "a plan decodes nothing"
    assert "4 to run" in shown


@pytest.mark.parametrize(
    ("label", "problem"),
    [(2**40, "label column 'label' has 1099511627776"), (255, "train: labels are 0 to 9, and 255"), (-1, "(-1)")],
)
def test_labels_that_are_no_class_are_one_message_with_file_and_row(
    label: int, problem: str, place: Path, command: Command
) -> None:
    images, _ = digits(60)
    (place / "data").mkdir()
    labels = [*range(10)] * 6
    labels[41] = label
    pq.write_table(pa.table({"image": images, "label": labels}), place / "data" / "train.parquet")
    grid(place / "grid.yaml", "parquet:data")
    for verb in ("plan", "run"):
        code, _, message = command(verb, "grid.yaml")
        assert code == 2
        lines = message.splitlines()
        assert [line.startswith("error: ") for line in lines] == [True, False]  # of pre-training and fine-tuning
        assert all(problem in line and line.endswith("train.parquet, row 41") for line in lines)
    assert sorted(path.name for path in place.iterdir()) == ["data", "grid.yaml"]
