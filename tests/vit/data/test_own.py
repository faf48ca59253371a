"""Own data: the supported layouts, and the errors for all others."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.data_samples import digits, encode, save_images, save_table

from study.utils.errors import StudyError
from study.vit.data import describe, load

IMAGES, LABELS = digits()
GREY, COLOUR = encode(np.full((8, 8), 7)), encode(np.full((8, 8, 3), (1, 2, 3)))


READ_WITHOUT_NETWORK = """
import sys
sys.addaudithook(lambda event, _: sys.exit(event) if event in ("socket.connect", "socket.getaddrinfo") else None)
from study.vit.data.catalogue import find
assert len(find({name!r}).read(8).parts["test"].images) == 50
"""


def pixels(data: bytes) -> np.ndarray:
    from study.vit.data.images import decode

    return decode(data, "x.png", 99).pixels


def tables(folder: Path) -> str:
    """Train and test tables, without validation."""
    save_table(folder / "train.parquet", IMAGES[:150], LABELS[:150])
    save_table(folder / "test.parquet", IMAGES[150:], LABELS[150:])
    return f"parquet:{folder}"


def folders(folder: Path) -> str:
    """Train and test folders, without validation."""
    save_images(folder / "train", IMAGES[:150], LABELS[:150])
    save_images(folder / "test", IMAGES[150:], LABELS[150:])
    return f"imagefolder:{folder}"


@pytest.mark.parametrize("make", [tables, folders])
def test_a_given_test_split_is_used_unchanged(make: Callable[[Path], str], tmp_path: Path) -> None:
    data = load(make(tmp_path), 8)
    found = zip((image.tobytes() for image in data.test.images.numpy()), data.test.labels.tolist(), strict=True)
    expected = zip((pixels(image).tobytes() for image in IMAGES[150:]), LABELS[150:], strict=True)
    assert sorted(found) == sorted(expected)
    assert (len(data.train), len(data.validation)) == (130, 20), "a tenth of 15 or so of each class, rounded: 2"


@pytest.mark.parametrize("make", [tables, folders])
def test_described_without_decoding(make: Callable[[Path], str], tmp_path: Path) -> None:
    info = describe(make(tmp_path))
    assert (info.image_size, info.channels, info.classes) == (8, 1, 10)
    assert info.splits is None, "the size of the validation split is unknown before reading"


@pytest.mark.parametrize("make", [tables, folders])
def test_changed_files_are_read_again(make: Callable[[Path], str], tmp_path: Path) -> None:
    name = make(tmp_path)
    before = load(name, 8)
    assert load(name, 8) is before
    if name.startswith("parquet"):
        save_table(tmp_path / "test.parquet", IMAGES[150:180], LABELS[150:180])
    else:
        next(tmp_path.glob("test/3/*")).unlink()
    after = load(name, 8)
    assert len(after.test) < len(before.test)
    assert after.digest != before.digest


@pytest.mark.parametrize("make", [tables, folders])
def test_paths_with_glob_characters(make: Callable[[Path], str], tmp_path: Path) -> None:
    make(tmp_path / "a?[b]*{c} #1")
    make(tmp_path / "axb{c} #1")
    data = load(make(tmp_path / "a?[b]*{c} #1"), 8)
    assert (len(data.train), len(data.validation), len(data.test)) == (130, 20, 50)


@pytest.mark.parametrize("make", [tables, folders])
def test_reading_needs_no_network_and_leaves_no_copy(make: Callable[[Path], str], tmp_path: Path) -> None:
    """Not even to count downloads; also if the caches of Hugging Face are not writable."""
    (tmp_path / "file").touch()
    environment = {**os.environ, "HF_HOME": str(tmp_path / "file" / "none"), "USE_TORCH": "0"}
    code = READ_WITHOUT_NETWORK.format(name=make(tmp_path / "mine"))
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_one_file(tmp_path: Path) -> None:
    save_table(tmp_path / "mine.parquet", IMAGES, LABELS)
    for path in (tmp_path, tmp_path / "mine.parquet"):
        data = load(f"parquet:{path}", 8)
        assert (len(data.train), len(data.validation), len(data.test)) == (140, 20, 40), "7, 1 and 2 tenths"


def test_folders_of_classes(tmp_path: Path) -> None:
    save_images(tmp_path, IMAGES, [f"class {label}" for label in LABELS])
    data = load(f"imagefolder:{tmp_path}", 8)
    assert sum(len(part) for part in (data.train, data.validation, data.test)) == 200
    assert data.info.classes == 10


def test_alternative_names_of_splits(tmp_path: Path) -> None:
    for word, start, end in (("training", 0, 100), ("val", 100, 150), ("testing", 150, 200)):
        save_images(tmp_path / "folders" / word, IMAGES[start:end], LABELS[start:end])
    for word, start, end in (
        ("train-0-of-2", 0, 60),
        ("train-1-of-2", 60, 100),
        ("valid", 100, 150),
        ("test", 150, 200),
    ):
        save_table(tmp_path / "tables" / "data" / f"{word}.parquet", IMAGES[start:end], LABELS[start:end])
    for name in (f"imagefolder:{tmp_path / 'folders'}", f"parquet:{tmp_path / 'tables'}"):
        assert describe(name).splits == {"train": 100, "validation": 50, "test": 50}
        assert load(name, 8).info.splits == {"train": 100, "validation": 50, "test": 50}


def test_without_labels_there_is_no_test_split(tmp_path: Path) -> None:
    save_table(tmp_path / "tables" / "train.parquet", IMAGES, None)
    save_images(tmp_path / "loose", IMAGES, ["."] * 200)
    save_images(tmp_path / "one", IMAGES, ["all"] * 200)
    for name in (f"parquet:{tmp_path}/tables", f"imagefolder:{tmp_path}/loose", f"imagefolder:{tmp_path}/one"):
        assert describe(name).classes is None
        data = load(name, 8)
        assert (len(data.train), len(data.validation), len(data.test)) == (180, 20, 0)
        assert data.train.labels is None
        assert data.test.labels is None


def test_a_test_split_with_unpublished_labels_is_not_used(tmp_path: Path) -> None:
    save_table(tmp_path / "train.parquet", IMAGES[:150], LABELS[:150])
    save_table(tmp_path / "test.parquet", IMAGES[150:], [-1] * 50)
    data = load(f"parquet:{tmp_path}", 8)
    assert (len(data.train), len(data.validation), len(data.test)) == (100, 20, 30), "2 and 3 of 15 or so of each class"


def test_tables_of_other_programs(tmp_path: Path) -> None:
    """Without metadata of `datasets`: bytes and integers, identified by type and name."""
    pq.write_table(pa.table({"id": range(200), "image": IMAGES, "label": LABELS}), tmp_path / "train.parquet")
    info = describe(f"parquet:{tmp_path}")
    assert (info.classes, info.channels, info.image_size) == (10, 1, 8)
    assert len(load(f"parquet:{tmp_path}", 8).train) == 140


def test_fine_labels_are_preferred(tmp_path: Path) -> None:
    columns = {"img": IMAGES, "fine_label": LABELS, "coarse_label": [label // 5 for label in LABELS]}
    pq.write_table(pa.table(columns), tmp_path / "train.parquet")
    assert describe(f"parquet:{tmp_path}").classes == 10


def test_images_of_several_sizes_are_resized(tmp_path: Path) -> None:
    images = [encode(np.full((4 + i % 5, 9, 3), i)) for i in range(60)]
    save_table(tmp_path / "train.parquet", images, [i % 3 for i in range(60)], classes=3)
    name = f"parquet:{tmp_path}"
    assert describe(name).image_size is None
    for size in (5, 8, 12):
        data = load(name, size)
        assert data.info.image_size is None
        assert data.train.images.shape[1:] == (3, size, size)
        assert load(name, 5).test.labels.tolist() == data.test.labels.tolist(), "splits do not depend on the size"


def test_grey_among_colour_becomes_colour(tmp_path: Path) -> None:
    save_table(tmp_path / "train.parquet", [GREY] * 30 + [COLOUR] * 30, [0, 1] * 30, classes=2)
    data = load(f"parquet:{tmp_path}", 8)
    assert data.info.channels == 3
    assert sorted(set(map(tuple, data.train.images[:, :, 0, 0].tolist()))) == [(1, 2, 3), (7, 7, 7)]


def invalid(name: str, *patterns: str) -> None:
    """Loading raises a StudyError with all these patterns in its message."""
    with pytest.raises(StudyError) as caught:
        load(name, 8)
    for pattern in patterns:
        assert re.search(pattern, str(caught.value)), f"{pattern!r} is not in {caught.value}"


def test_no_such_path(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    for kind in ("parquet", "imagefolder"):
        invalid(f"{kind}:{tmp_path}/picture", "picture not found; did you mean .*pictures'")
        invalid(f"{kind}:{tmp_path}/pictures/a/b", "a/b not found", "contains no 'a'")
        invalid(f"{kind}:", "has no path", f"{kind}:PATH")
        invalid(f"{kind}:{tmp_path}/{'x' * 300}", "cannot be read|not found")


def test_no_images(tmp_path: Path) -> None:
    invalid(f"imagefolder:{tmp_path}", "contains no images")
    invalid(f"parquet:{tmp_path}", "contains no Parquet files", "train.parquet")
    save_table(tmp_path / "train.parquet", [], [])
    invalid(f"parquet:{tmp_path}", "contains no images")
    (tmp_path / "a.txt").write_text("a")
    invalid(f"imagefolder:{tmp_path}/a.txt", "is a file", "folder")


def test_no_train_split(tmp_path: Path) -> None:
    save_table(tmp_path / "test.parquet", IMAGES, LABELS)
    save_images(tmp_path / "test", IMAGES, LABELS)
    invalid(f"parquet:{tmp_path}", "no train", "test.parquet")
    invalid(f"imagefolder:{tmp_path}", "no train", "test")
    save_images(tmp_path / "train", IMAGES, LABELS)
    save_images(tmp_path / "testing", IMAGES, LABELS)
    invalid(f"imagefolder:{tmp_path}", "both test and testing")


def test_files_that_are_not_tables(tmp_path: Path) -> None:
    (tmp_path / "train.parquet").write_bytes(b"PAR1 but not really")
    invalid(f"parquet:{tmp_path}", r"train\.parquet cannot be read")
    pq.write_table(pa.table({"text": ["a"], "label": [0]}), tmp_path / "train.parquet")
    invalid(f"parquet:{tmp_path}", "no column of encoded images", "text, label")
    (tmp_path / "train.parquet").unlink()
    (tmp_path / "train.parquet").mkdir()
    invalid(f"parquet:{tmp_path}", r"train\.parquet cannot be read")


def test_a_table_damaged_inside(tmp_path: Path) -> None:
    file = save_table(tmp_path / "train.parquet", IMAGES, LABELS) / "train.parquet"
    content = bytearray(file.read_bytes())
    content[len(content) // 4 : len(content) // 2] = bytes(len(content) // 2 - len(content) // 4)
    file.write_bytes(content)
    invalid(f"parquet:{tmp_path}", "cannot be read|is not an image|cannot be decoded")


def test_several_columns_to_choose_from(tmp_path: Path) -> None:
    pq.write_table(pa.table({"left": IMAGES, "right": IMAGES}), tmp_path / "train.parquet")
    invalid(f"parquet:{tmp_path}", "more than one image column: left, right")
    pq.write_table(pa.table({"image": IMAGES, "right": IMAGES}), tmp_path / "train.parquet")
    assert describe(f"parquet:{tmp_path}").classes is None


def test_labels_out_of_range(tmp_path: Path) -> None:
    name = f"parquet:{save_table(tmp_path / 'train.parquet', IMAGES, [-1, *LABELS[1:]])}"
    invalid(name, r"train: 1 of 200 labels are out of range \(-1\)", "0 to 9")
    pq.write_table(pa.table({"image": IMAGES, "label": [*LABELS[1:], None]}), tmp_path / "train.parquet")
    invalid(name, "train: no label on 1 of 200 images")


def test_classes_that_differ_between_splits(tmp_path: Path) -> None:
    save_table(tmp_path / "train.parquet", IMAGES, LABELS)
    save_table(tmp_path / "test.parquet", IMAGES, LABELS, classes=11)
    invalid(f"parquet:{tmp_path}", "test.parquet|train.parquet", "other classes")
    save_images(tmp_path / "train", IMAGES, LABELS)
    save_images(tmp_path / "test", IMAGES[:1], ["eleven"])
    invalid(f"imagefolder:{tmp_path}", "'eleven'", "not a class of train")


def test_images_with_and_without_a_class(tmp_path: Path) -> None:
    save_images(tmp_path, [*IMAGES, GREY], [*LABELS, "."])
    invalid(f"imagefolder:{tmp_path}", "both directly", "folder of its class")


def test_folders_below_those_of_the_classes(tmp_path: Path) -> None:
    save_images(tmp_path, [*IMAGES, GREY], [*LABELS, "3/more"])
    invalid(f"imagefolder:{tmp_path}", r"3/more/0200\.png is nested too deep", "CLASS")


def test_images_that_are_not_in_the_table(tmp_path: Path) -> None:
    images = [{"bytes": data, "path": "0.png"} for data in IMAGES] + [{"bytes": None, "path": "1.png"}]
    pq.write_table(pa.table({"image": images}), tmp_path / "train.parquet")
    invalid(f"parquet:{tmp_path}", "row 200, column 'image'", "contains no image", "embeds")


def test_damaged_images(tmp_path: Path) -> None:
    save_table(tmp_path / "train.parquet", [*IMAGES, IMAGES[0][:50]], [*LABELS, 0])
    invalid(f"parquet:{tmp_path}", "row 200")
    save_images(tmp_path / "folders", [*IMAGES, b"\x89PNG"], [*LABELS, 3])
    invalid(f"imagefolder:{tmp_path}/folders", r"3.0200\.png")


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read everything")
def test_folders_without_read_permission(tmp_path: Path) -> None:
    folder = save_images(tmp_path, IMAGES, LABELS) / "3"
    folder.chmod(0)
    invalid(f"imagefolder:{tmp_path}", "cannot be read", "[Pp]ermission")
    folder.chmod(0o700)


@pytest.mark.parametrize("path", ["a\0b", "~nobody-of-this-name/a", "\udcff", "/dev/null/a"])
def test_invalid_paths(path: str) -> None:
    for kind in ("parquet", "imagefolder"):
        invalid(f"{kind}:{path}", "cannot be read|not found")


def test_hidden_and_other_files_are_ignored(tmp_path: Path) -> None:
    save_images(tmp_path, IMAGES, LABELS)
    (tmp_path / "0" / "._0001.png").write_bytes(b"a Mac was here")
    (tmp_path / "0" / "Thumbs.db").write_bytes(b"and Windows")
    (tmp_path / ".git").mkdir()
    assert len(load(f"imagefolder:{tmp_path}", 8).train) == 140
