"""Label columns of every type: encoded as classes with names, the same in all splits, or refused by name."""

import decimal
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.data_samples import digits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from study.utils.errors import StudyError
from study.vit.data import describe, load
from study.vit.data.images import decode

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
