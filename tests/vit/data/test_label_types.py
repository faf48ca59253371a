"""Label columns of every type: encoded as classes with names, the same in all splits, or refused by name."""

import decimal
import re
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.data_samples import digits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from study.utils.errors import StudyError
from study.vit.data import describe, load
from study.vit.data.conversion import convert
from study.vit.data.images import decode
from study.vit.data.label_values import LARGEST, check_classes, check_column, encoding

IMAGES, _ = digits(60)
SEEN = {decode(image, "x", 8).pixels.tobytes(): row for row, image in enumerate(IMAGES)}


def write(file: Path, labels: Any, column: str = "label", rows: int = 60) -> str:
    labels = labels if isinstance(labels, pa.Array | pa.ChunkedArray) else pa.array(labels)
    pq.write_table(pa.table({"image": IMAGES[:rows], column: labels}), file, row_group_size=17)
    return f"parquet:{file.parent}"


def check(name: str, labels: Sequence[Any], names: Sequence[str]) -> None:
    """Every image has the class with the name of its label, in all splits."""
    data = load(name, 8)
    assert describe(name).class_names == data.info.class_names == tuple(names)
    for part in (data.train, data.validation, data.test):
        for image, number in zip(part.images.numpy(), part.labels.tolist(), strict=True):
            assert names[number] == labels[SEEN[image.tobytes()]]


@pytest.mark.parametrize(
    ("column", "names"),
    [
        (pa.array(["dog", "cat", "ant"] * 20), ["ant", "cat", "dog"]),
        (pa.array(["dog", "cat", "ant"] * 20, pa.large_string()), ["ant", "cat", "dog"]),
        (pa.array(["dog", "cat", "ant"] * 20).dictionary_encode(), ["ant", "cat", "dog"]),
        (pa.array([True, False, True] * 20), ["False", "True"]),
        (pa.array([2.0, 0.0, 10.0] * 20), ["0", "2", "10"]),
        (pa.array([2.0, 0.0, 10.0] * 20, pa.float32()), ["0", "2", "10"]),
        (pa.array([decimal.Decimal(n) for n in (3, 1, 2)] * 20), ["1", "2", "3"]),
        (pa.array([5, 7, 6] * 20, pa.uint8()).dictionary_encode(), ["5", "6", "7"]),
    ],
    ids=["text", "large text", "categories", "bool", "double", "float", "decimal", "categories of integers"],
)
def test_labels_become_classes_with_names(column: pa.Array, names: list[str], tmp_path: Path) -> None:
    written = [str(int(v)) if isinstance(v, float | decimal.Decimal) else str(v) for v in column.to_pylist()]
    check(write(tmp_path / "train.parquet", column), written, names)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    words=st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=2, max_size=5, unique=True)
)
def test_any_text_names_a_class(words: list[str], tmp_path: Path) -> None:
    labels = [words[row % len(words)] for row in range(60)]
    check(write(tmp_path / "train.parquet", labels), labels, sorted(words))


def test_names_are_the_same_in_all_splits(tmp_path: Path) -> None:
    """The test split begins with another class, and its categories are numbered differently."""
    write(tmp_path / "train.parquet", pa.array(["b", "a", "c"] * 20).dictionary_encode())
    name = write(tmp_path / "test.parquet", pa.array(["c", "c", "a"] * 20).dictionary_encode())
    data = load(name, 8)
    assert data.info.class_names == ("a", "b", "c")
    assert data.test.labels.tolist() == [2, 2, 0] * 20


def test_integers_are_preferred_to_text(tmp_path: Path) -> None:
    table = {"image": IMAGES, "fine_label": [3, 4] * 30, "label": ["x", "y"] * 30}
    pq.write_table(pa.table(table), tmp_path / "train.parquet")
    assert describe(f"parquet:{tmp_path}").class_names == ("3", "4")


@pytest.mark.parametrize(
    ("labels", "pattern"),
    [
        ([0.5, 1.0] * 30, "label column 'label' has float values such as 0.5: labels must name classes"),
        ([float("nan"), 1.0] * 30, "label column 'label' has float values such as nan"),
        (["a", ""] * 30, "label column 'label' has empty text"),
        (["a", None] * 30, "train: no label on 30 of 60 images"),
        ([[1], [2]] * 30, "label column 'label' has the type list"),
    ],
)
def test_ambiguous_labels_are_refused_by_name(labels: list[Any], pattern: str, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=re.escape(pattern)):
        describe(write(tmp_path / "train.parquet", labels))


def test_a_label_that_is_not_in_train(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", ["a", "b"] * 30)
    with pytest.raises(StudyError, match=r"test: 30 of 60 labels .*\(c\)"):
        describe(write(tmp_path / "test.parquet", ["a", "c"] * 30))


TEN = [*range(10)] * 6


@pytest.mark.parametrize(
    ("column", "pattern"),
    [
        (pa.array([*TEN[:-1], 2**40]), "label column 'label' has 1099511627776: numbers of classes must be from 0 to"),
        (pa.array([*TEN[:-1], 2**31]), "label column 'label' has 2147483648"),
        (pa.array([*TEN[:-1], 2**64 - 1], pa.uint64()), "label column 'label' has 18446744073709551615"),
        (pa.array([*map(float, TEN[:-1]), 1e30]), "label column 'label' has 1000000000000000019884624838656"),
        (pa.array([*map(float, TEN[:-1]), float("inf")]), "float values such as inf"),
        (pa.array([*map(float, TEN[:-1]), float("nan")]), "float values such as nan"),
        (pa.array([*TEN[:-1], None]), "train: no label on 1 of 60 images"),
        (pa.array([*TEN[:-1], -1]), "train: 1 of 60 labels are out of range (-1)"),
        (pa.array([*TEN[:-1], -(2**40)]), "train: 1 of 60 labels are out of range (-1099511627776)"),
        (pa.array([*TEN[:-1], 255]), "train: labels are 0 to 9, and 255, which often stands for missing labels"),
        (pa.array([*TEN[:-1], 9999]), "train: labels are 0 to 9, and 9999"),
        (pa.array([*(label + 1 for label in TEN[:-1]), 2**31 - 1]), "train: labels are 1 to 10, and 2147483647"),
        (pa.array([*map(float, TEN[:-1]), 999.0]), "train: labels are 0 to 9, and 999"),
    ],
    ids=str,
)
def test_numbers_that_are_no_class_are_refused_with_their_row(column: pa.Array, pattern: str, tmp_path: Path) -> None:
    file = tmp_path / "train.parquet"
    with pytest.raises(StudyError, match=re.escape(pattern)) as caught:
        describe(write(file, column))
    assert str(caught.value).endswith(f". The first is in {file}, row 59")


def test_the_row_is_that_of_its_own_shard(tmp_path: Path) -> None:
    write(tmp_path / "train-00000-of-00002.parquet", TEN)
    file = tmp_path / "train-00001-of-00002.parquet"
    with pytest.raises(StudyError, match=rf"The first is in {re.escape(str(file))}, row 19$"):
        describe(write(file, [*TEN[:19], 2**40, *TEN[20:]]))


def test_the_row_in_another_split(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", TEN)
    with pytest.raises(StudyError, match=r"test: 2 of 60 labels are out of range \(255\).*test\.parquet, row 58$"):
        describe(write(tmp_path / "test.parquet", [*TEN[:-2], 255, 255]))


@pytest.mark.parametrize(
    "labels",
    [
        [0, 255] * 30,  # black and white
        [3, 17, 255] * 20,
        [0, 1, 2, 9] * 15,  # a subset of classes
        [2, 3, 4, 999] * 15,
        [*range(30)] * 2,
        [2**31 - 2, 5] * 30,
    ],
    ids=str,
)
def test_numbers_with_gaps_are_classes(labels: list[int], tmp_path: Path) -> None:
    check(write(tmp_path / "train.parquet", labels), list(map(str, labels)), [str(n) for n in sorted(set(labels))])


@given(st.lists(st.integers(-(2**70), 2**70) | st.floats(), min_size=1))
def test_any_numbers_are_classes_within_limits_or_refused(values: list[float]) -> None:
    counts = Counter(values)
    try:
        check_column("train", "label", counts)
        made = encoding({"train": counts}, None)
    except StudyError:
        return
    assert all(0 <= value <= LARGEST and value == int(value) for value in made.values)
    assert len(made.values) == len(counts)


def test_labels_that_number_the_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="train: 60 classes: every training image has its own"):
        describe(write(tmp_path / "train.parquet", range(60)))
    with pytest.raises(StudyError, match="70,000 classes: at most 65,536 are valid"):
        check_classes(70_000, 1_000_000)
    began = time.perf_counter()
    assert len(encoding({"train": dict.fromkeys([*range(300_000), LARGEST - 1], 2)}, None).values) == 300_001
    assert time.perf_counter() - began < 10
    check_classes(49, 49)
    check_classes(65_536, 1_000_000)


# --- sources that are converted ---


def convert_arrays(labels: Sequence[int], folder: Path) -> None:
    images = np.zeros((len(labels), 4, 4), np.uint8)
    np.savez(folder / "own.npz", train_images=images, train_labels=np.array(labels))
    convert(folder / "own.npz", folder / "out")


def convert_csv(labels: Sequence[int], folder: Path) -> None:
    (folder / "a.png").write_bytes(IMAGES[0])
    rows = "".join(f"a.png,{label},{'test' if row == 0 else 'train'}\n" for row, label in enumerate([0, *labels]))
    (folder / "own.csv").write_text(f"path,label,split\n{rows}")
    convert(folder / "own.csv", folder / "out")


@pytest.mark.parametrize("label", [2**40, -1, 255, 9999])
def test_converters_refuse_them_too(label: int, tmp_path: Path) -> None:
    labels = [*TEN[:30], label, *TEN]
    with pytest.raises(StudyError, match=rf"{label}.* The first is in row 30 of train$"):
        convert_arrays(labels, tmp_path)
    with pytest.raises(StudyError, match=rf"{label}.* The first is in {re.escape(str(tmp_path))}/own\.csv, row 33$"):
        convert_csv(labels, tmp_path)
    assert not (tmp_path / "out").exists()
