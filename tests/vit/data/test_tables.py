"""Parquet files: which are read as which split, and how integer labels become class numbers."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.data_samples import digits, save_table
from hypothesis import given
from hypothesis import strategies as st

from study.utils.errors import StudyError
from study.vit.data import describe, load
from study.vit.data.images import decode
from study.vit.data.label_values import encoding

IMAGES, LABELS = digits(60)
PICTURES = {decode(image, "x", 8).pixels.tobytes(): label for image, label in zip(IMAGES, LABELS, strict=True)}


def write(file: Path, labels: list[int], **more: list[object]) -> None:
    """A table of another program, with the first images."""
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"image": IMAGES[: len(labels)], "label": labels, **more}), file)


def refused(name: str, message: str) -> None:
    with pytest.raises(StudyError, match=message):
        describe(name)


@pytest.mark.parametrize("values", [tuple(range(1, 11)), (0, 3, 1000, 4, 5, 6, 7, 8, 9, 10), tuple(range(10))])
def test_integer_labels_are_numbered_in_ascending_order(values: tuple[int, ...], tmp_path: Path) -> None:
    """There are as many classes as values, whatever the largest is, and each is trained."""
    write(tmp_path / "train.parquet", [values[label] for label in LABELS])
    data = load(f"parquet:{tmp_path}", 8)
    names = tuple(map(str, sorted(values)))
    assert (data.info.classes, data.info.class_names) == (10, names)
    for part in (data.train, data.validation, data.test):
        for image, number in zip(part.images.numpy(), part.labels.tolist(), strict=True):
            assert names[number] == str(values[PICTURES[image.tobytes()]])


@given(st.dictionaries(st.integers(0, 10**9), st.integers(1, 5), min_size=1))
def test_numbers_of_classes_have_no_gaps(found: dict[int, int]) -> None:
    made = encoding({"train": found}, None)
    assert list(made.values) == sorted(found)
    assert made.counts(found) == [found[value] for value in made.values]


def test_a_label_that_train_does_not_have(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", [1, 2, 3] * 10)
    write(tmp_path / "test.parquet", [1, 2, 4, 4])
    refused(
        f"parquet:{tmp_path}", r"test: 2 of 4 labels are out of range \(4\); labels of classes in train are 1, 2, 3"
    )


def test_a_class_without_training_images(tmp_path: Path) -> None:
    save_table(tmp_path / "train.parquet", IMAGES[:20], [0, 2] * 10, classes=4)
    refused(f"parquet:{tmp_path}", r"train: no image of 2 classes of 4 \(class 1, class 3\)")


def test_missing_shards(tmp_path: Path) -> None:
    write(tmp_path / "train-00000-of-00002.parquet", LABELS)
    refused(f"parquet:{tmp_path}", r"1 shard where their names state 2: train-00000-of-00002\.parquet")
    write(tmp_path / "train-00001-of-00002.parquet", LABELS)
    assert sum(load(f"parquet:{tmp_path}", 8).info.splits.values()) == 120
    write(tmp_path / "train-00002-of-00003.parquet", LABELS)
    refused(f"parquet:{tmp_path}", "more than one file for train")


@pytest.mark.parametrize("names", [("train-1-of-2", "train-2-of-2"), ("train_0", "train_1"), ("train-08", "train-09")])
def test_names_of_shards(names: tuple[str, str], tmp_path: Path) -> None:
    for name in names:
        write(tmp_path / f"{name}.parquet", LABELS)
    assert sum(load(f"parquet:{tmp_path}", 8).info.splits.values()) == 120


def test_several_tables_for_one_split(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", LABELS)
    write(tmp_path / "train_small.parquet", LABELS[:20])
    refused(f"parquet:{tmp_path}", r"more than one file for train: train\.parquet, train_small\.parquet; keep one")


@pytest.mark.parametrize("word", ["eval", "evaluation", "val", "valid", "dev", "validation"])
def test_names_of_the_validation_split(word: str, tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", LABELS)
    write(tmp_path / f"{word}.parquet", LABELS[:20])
    assert len(load(f"parquet:{tmp_path}", 8).validation) == 20


def test_a_column_that_names_other_splits(tmp_path: Path) -> None:
    write(tmp_path / "all.parquet", LABELS, split=["train"] * 50 + ["test"] * 10)
    refused(
        f"parquet:{tmp_path}", "all.parquet is read as train, but its column 'split' has test, train: write the rows"
    )


def test_a_column_that_names_the_split_of_its_file(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", LABELS, split=["Training"] * 60)
    write(tmp_path / "test.parquet", LABELS[:20], split=["test"] * 20)
    assert len(load(f"parquet:{tmp_path}", 8).test) == 20


def test_a_path_with_a_chain_separator(tmp_path: Path) -> None:
    """`datasets` reads `a::b` as two chained file systems."""
    write(tmp_path / "a::b" / "train.parquet", LABELS)
    assert sum(load(f"parquet:{tmp_path / 'a::b'}", 8).info.splits.values()) == 60


def test_an_empty_training_table(tmp_path: Path) -> None:
    image = pa.array([], pa.binary())
    pq.write_table(pa.table({"image": image, "label": pa.array([], pa.int64())}), tmp_path / "train.parquet")
    refused(f"parquet:{tmp_path}", "contains no images")
    write(tmp_path / "test.parquet", [0, 1])
    refused(f"parquet:{tmp_path}", "contains no images")


def test_columns_that_are_not_read_are_named(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", [0, 1] * 10, category=["a", "b"] * 10, target=["x"] * 20)
    assert describe(f"parquet:{tmp_path}").left_out == ("column 'category'", "column 'target'")


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary_view()])
def test_types_of_image_columns(kind: pa.DataType, tmp_path: Path) -> None:
    table = pa.table({"image": pa.array(IMAGES, kind), "label": LABELS})
    pq.write_table(table, tmp_path / "train.parquet")
    assert describe(f"parquet:{tmp_path}").classes == 10
    assert len(load(f"parquet:{tmp_path}", 8).train) > 20


def test_two_columns_of_one_name(tmp_path: Path) -> None:
    table = pa.table([pa.array(IMAGES), pa.array(LABELS), pa.array(LABELS)], names=["image", "label", "label"])
    pq.write_table(table, tmp_path / "train.parquet")
    refused(f"parquet:{tmp_path}", "has several columns 'label'")
