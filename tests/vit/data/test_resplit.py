"""Splits that are drawn anew: a partition, stratified, of the same sizes, with copies together, and without leaks."""

from collections import Counter
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from helpers.data_samples import digits, save_images, save_table
from hypothesis import given
from hypothesis import strategies as st

from study.vit.data import Dataset, DatasetInfo, Split, drawn_splits, load
from study.vit.data.arrays import rows_of
from study.vit.data.resplit import resplit
from study.vit.data.splits import fingerprints, split_by_content

SHARES = {"validation": Fraction(15, 100), "test": Fraction(1, 4)}
GIVEN_TEST = {"validation": Fraction(1, 10)}


def parts(data: Dataset) -> dict[str, Split]:
    return {"train": data.train, "validation": data.validation, "test": data.test}


def images(split: Split) -> list[bytes]:
    return [image.numpy().tobytes() for image in split.images.cpu()]


def made(contents: list[tuple[int, int]], shares: Mapping[str, Fraction]) -> Dataset:
    """Images of one pixel with a class each, in the fixed split of these shares; the rest of the test is given."""
    prints = fingerprints(bytes([content]) for content, _ in contents)
    chosen = split_by_content(prints, [label for _, label in contents], shares)
    split = {}
    for name in ("train", "validation", "test"):
        rows = [contents[i] for i in chosen.get(name, [])] if name in chosen else [(200 + n, n % 3) for n in range(9)]
        pixels = torch.tensor([content for content, _ in rows], dtype=torch.uint8).reshape(-1, 1, 1, 1)
        found = torch.from_numpy(rows_of(fingerprints(bytes([content]) for content, _ in rows)))
        split[name] = Split(pixels, torch.tensor([label for _, label in rows], dtype=torch.int64), found)
    info = DatasetInfo("made", 1, 1, 3, None, "made for a test", "here", "none")
    return Dataset(info, **split, digest="0")


contents = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 2)), min_size=3, max_size=80).map(
    lambda found: list({content: (content, label) for content, label in found}.values())  # one class per content
)


@given(found=contents, shares=st.sampled_from([SHARES, GIVEN_TEST]), seed=st.integers(0, 2**32 - 1))
def test_a_stratified_partition_of_the_same_sizes(
    found: list[tuple[int, int]], shares: Mapping[str, Fraction], seed: int
) -> None:
    fixed = made(found, shares)
    drawn = resplit(fixed, shares, seed)
    before, after = parts(fixed), parts(drawn)
    assert Counter(i for split in before.values() for i in images(split)) == Counter(
        i for split in after.values() for i in images(split)
    )
    for name, split in after.items():
        assert Counter(split.labels.tolist()) == Counter(before[name].labels.tolist())  # type: ignore[union-attr]
        assert drawn.info.splits is not None
        assert drawn.info.splits[name] == len(split)
        if name != "train" and name not in shares:
            assert images(split) == images(before[name]), "a given split stays as it is"
    assert drawn.digest == fixed.digest, "the images and labels are the same"


@given(found=st.lists(st.tuples(st.integers(0, 8), st.integers(0, 2)), min_size=2, max_size=60), seed=st.integers(0))
def test_copies_are_in_one_split_even_under_another_label(found: list[tuple[int, int]], seed: int) -> None:
    drawn = parts(resplit(made(found, SHARES), SHARES, seed))
    contents = [set(images(split)) for split in drawn.values()]
    assert sum(map(len, contents)) == len(set.union(*contents))
    assert sum(map(len, drawn.values())) == len(found)


@pytest.mark.parametrize("size", [8, 4])
def test_digits_have_another_split_for_each_seed(size: int) -> None:
    fixed, first, again, second = (load("digits", size, "cpu", seed) for seed in (None, 1, 1, 2))
    assert first is again
    sets = [[set(images(split)) for split in parts(data).values()] for data in (fixed, first, second)]
    if size == 8:  # smaller images may be equal though their originals are not
        for train, validation, test in sets:
            assert not train & validation
            assert not test & (train | validation)
    tests = [images(data.test) for data in (fixed, first, second)]
    assert len({tuple(sorted(test)) for test in tests}) == 3
    assert [data.info.splits for data in (first, second)] == [fixed.info.splits] * 2
    assert {data.digest for data in (fixed, first, second)} == {fixed.digest}


def test_the_split_does_not_depend_on_the_size_to_which_images_are_decoded() -> None:
    """So cells with another image size are tested on the same images."""
    small, large = load("digits", 4, "cpu", 3), load("digits", 8, "cpu", 3)
    for name, split in parts(small).items():
        assert torch.equal(split.prints, parts(large)[name].prints)  # type: ignore[arg-type]


def test_given_splits_stay(tmp_path: Path, forget: Callable[[], None]) -> None:
    """Of own data with a test file only train and validation are drawn; with all three files, nothing is."""
    found, labels = digits()
    save_table(tmp_path / "two" / "train.parquet", found[:140], labels[:140])
    two = f"parquet:{save_table(tmp_path / 'two' / 'test.parquet', found[140:], labels[140:])}"
    assert drawn_splits(two) == {"train": 0.9, "validation": 0.1}
    for load_again in range(2):  # the second time from the cache
        if load_again:
            forget()
        fixed, drawn = load(two, 8), load(two, 8, "cpu", 5)
        assert images(fixed.test) == images(drawn.test)
        assert set(images(fixed.validation)) != set(images(drawn.validation))
        assert not set(images(drawn.validation)) & set(images(drawn.train))
        assert drawn.info.counts is not None
        assert [sum(drawn.info.counts[split]) for split in ("train", "validation", "test")] == [
            len(drawn.train),
            len(drawn.validation),
            60,
        ]
        assert drawn.info.in_train == {"validation": 0, "test": 0}
    save_table(tmp_path / "two" / "validation.parquet", found[:20], labels[:20])
    assert drawn_splits(two) == {}
    assert load(two, 8, "cpu", 5) is load(two, 8)


def test_images_of_a_given_test_split_that_are_in_train_are_counted_in_the_new_train(tmp_path: Path) -> None:
    found, labels = digits()
    save_table(tmp_path / "train.parquet", found, labels)
    name = f"parquet:{save_table(tmp_path / 'test.parquet', found, labels)}"
    drawn = load(name, 8, "cpu", 1)
    assert drawn.info.in_train == {"validation": 0, "test": len(drawn.train)}


def test_which_splits_are_drawn(tmp_path: Path) -> None:
    found, labels = digits()
    folder = f"imagefolder:{save_images(tmp_path / 'mine', found, labels)}"
    assert drawn_splits("digits") == {"train": 0.6, "validation": 0.15, "test": 0.25}
    assert drawn_splits(folder) == {"train": 0.7, "validation": 0.1, "test": 0.2}
    assert drawn_splits("cifar10") == {"train": 0.9, "validation": 0.1}
    assert drawn_splits("photos") == drawn_splits("flowers102") == {}
    assert load("photos", 32, "cpu", 1) is load("photos", 32)
