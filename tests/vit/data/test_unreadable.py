"""All images of own data that cannot be read are listed, in one message."""

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.data_samples import digits, save_images, save_table

from study.utils.errors import StudyError
from study.vit.data import describe, digest

IMAGES, LABELS = digits()


def message(name: str) -> str:
    with pytest.raises(StudyError) as caught:
        digest(name, 8)
    return str(caught.value)


def test_every_split_of_a_folder(tmp_path: Path) -> None:
    for split in ("train", "test"):
        save_images(tmp_path / split, IMAGES, LABELS)
    broken = [tmp_path / "train/0/0000.png", tmp_path / "train/3/0003.png", tmp_path / "test/4/0004.png"]
    for file in broken:
        file.write_bytes(file.read_bytes()[:60])
    name = f"imagefolder:{tmp_path}"
    assert describe(name).classes == 10, "a description decodes nothing"
    first, *lines = message(name).splitlines()
    assert first == f"data set {name!r}: 3 images cannot be read; replace or remove them:"
    assert sorted(Path(line.strip().split(" ")[0]) for line in lines) == sorted(broken)


def test_at_most_twenty_are_named(tmp_path: Path) -> None:
    save_images(tmp_path, [image if number % 8 else b"no image" for number, image in enumerate(IMAGES)], LABELS)
    lines = message(f"imagefolder:{tmp_path}").splitlines()
    assert "25 images cannot be read" in lines[0]
    assert len(lines) == 1 + 20 + 1
    assert lines[-1] == "  and 5 more"


def test_rows_of_a_table(tmp_path: Path) -> None:
    save_table(tmp_path / "train.parquet", [b"no", *IMAGES[1:150], b"no"], LABELS[:151])
    lines = message(f"parquet:{tmp_path}").splitlines()
    assert [re.search(r"row (\d+)", line)[1] for line in lines[1:]] == ["0", "150"]  # type: ignore[index]


def test_cells_without_images_are_listed_with_the_others(tmp_path: Path) -> None:
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    good = [{"bytes": image, "path": None} for image in IMAGES[:20]]
    bad = [None, {"bytes": None, "path": None}, {"bytes": None, "path": "a.png"}, {"bytes": b"", "path": None}]
    table = pa.table({"image": pa.array([*bad, *good, *bad], kind), "label": [0, 1] * 14})
    pq.write_table(table, tmp_path / "train.parquet")
    assert describe(f"parquet:{tmp_path}").classes == 2
    lines = message(f"parquet:{tmp_path}").splitlines()
    rows = [re.search(r"row (\d+)", line)[1] for line in lines[1:]]  # type: ignore[index]
    assert rows == ["0", "1", "2", "3", "24", "25", "26", "27"]
