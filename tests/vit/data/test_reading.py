"""How a data set is read, in one line; and what was read is what was described."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from helpers.data_samples import digits, encode, save_images, save_table
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from study.utils.errors import StudyError
from study.vit.data import checked, describe, load
from study.vit.data.arrays import Decoded, Part
from study.vit.data.catalogue import NAMED, find
from study.vit.data.encoded import MISSING_SHARES
from study.vit.data.reading import how_read, split_sizes
from study.vit.data.source import Source
from study.vit.data.splits import expected_sizes, split_by_content

IMAGES, LABELS = digits(60)


def line(name: str, size: int = 8) -> str:
    return how_read(describe(name), size)


def test_of_built_in_data() -> None:
    assert line("digits") == (
        "digits: 10 classes (0, 1, 2, 3, 4, 5, 6, 7, 8, 9); images: 1,077 train, 269 validation (15 %, by content), "
        "451 test (25 %, by content); 8 x 8 px, grey"
    )
    assert line("photos", 16) == (
        "photos: no labels, for pre-training only; images: 4,965 train, 454 validation (the bottom of each "
        "photograph); 32 x 32 px, shrunk to 16 px, colour"
    )


@pytest.mark.parametrize("name", NAMED)
def test_the_origin_of_every_split_that_is_not_all_of_the_rest(name: str) -> None:
    info = describe(name)
    assert info.origins is not None
    assert {split for split, count in (info.splits or {}).items() if count} - info.origins.keys() <= {"train"}


def test_of_folders_before_and_after_reading(tmp_path: Path) -> None:
    """Each class has 15 images: 2 for validation. Two images of test are also in train."""
    save_images(tmp_path / "train", IMAGES, [("a", "b", "c", "x" * 30)[i % 4] for i in range(60)])
    save_images(tmp_path / "test", [*IMAGES[:2], *digits(70)[0][60:]], ["a", "b", *"aaaaabbbbb"])
    (tmp_path / "train" / "a" / "notes.txt").touch()
    name = f"imagefolder:{tmp_path}"
    classes = f"{name}: 4 classes (a, b, c, {'x' * 23}…); images: "
    absent = f"2 classes without images for test (c, {'x' * 23}…)"
    assert line(name, 12) == (
        f"{classes}about 52 train (folder train), about 8 validation (10 % of train, by content), about 12 test "
        f"(folder test); 8 x 8 px, enlarged to 12 px, grey in the first images; {absent}; left out: 1 .txt file"
    )
    assert how_read(load(name, 12).info, 12) == (
        f"{classes}52 train (folder train), 8 validation (10 % of train, by content), 12 test (folder test); 8 x 8 px, "
        f"enlarged to 12 px, grey; {absent}; 2 of 12 test images are also in train; left out: 1 .txt file"
    )


def test_the_colour_of_images_is_that_of_the_first_ones_before_reading(tmp_path: Path) -> None:
    """Sixteen grey images with 12 bits are looked at, the colour images after them are not."""
    for name, value in (("a", np.full((8, 8), 4095, np.uint16)), ("b", np.full((8, 8, 3), 9, np.uint8))):
        (tmp_path / name).mkdir()
        for i in range(20):
            different = value.copy()
            different[0, 0] = i
            Image.fromarray(different).save(tmp_path / name / f"{i}.png")
    name = f"imagefolder:{tmp_path}"
    assert line(name).endswith("8 x 8 px, grey in the first images")
    read = how_read(load(name, 8).info, 8)
    assert read.endswith("8 x 8 px, colour, grey images with more than 8 bits: 0 to 4095 scaled to 0 to 255")


def test_of_tables(tmp_path: Path) -> None:
    images = [encode(np.full((4 + i % 5, 9, 3), i)) for i in range(60)]
    for shard in (0, 1):
        save_table(tmp_path / f"train-{shard}-of-2.parquet", images[shard::2], [0, 1] * 15, classes=2)
    save_table(tmp_path / "test.parquet", images[:6], [-1] * 6, classes=2)
    save_table(tmp_path / "extra.parquet", images[:6], [0] * 6, classes=2)
    assert line(f"parquet:{tmp_path}") == (
        f"parquet:{tmp_path}: 2 classes (class 0, class 1); images: about 42 train (train-0-of-2.parquet and 1 more "
        "shard), about 6 validation (10 % of train, by content), about 12 test (20 % of train, by content); sizes "
        "vary: centre square of each, resized to 8 px, colour; left out: extra.parquet (not the name of a split), "
        "test.parquet (its labels are not published)"
    )


def test_names_are_shown_on_one_line(tmp_path: Path) -> None:
    save_images(tmp_path, IMAGES, ["a\nb" if i % 2 else "c" for i in range(60)])
    assert "2 classes (a b, c)" in line(f"imagefolder:{tmp_path}")


@given(st.lists(st.integers(1, 40), min_size=1, max_size=5), st.sampled_from(["validation", "both"]))
def test_expected_sizes_are_those_of_images_that_differ(counts: list[int], missing: str) -> None:
    shares: Mapping[str, Fraction] = {s: MISSING_SHARES[s] for s in MISSING_SHARES if missing == "both" or s == missing}
    labels = [label for label, count in enumerate(counts) for _ in range(count)]
    chosen = split_by_content([str(i).encode() for i in range(len(labels))], labels, shares)
    expected: Counter[str] = Counter()
    for count in counts:
        expected.update(expected_sizes(count, shares))
    assert {split: len(found) for split, found in chosen.items()} == dict(expected)


def test_sizes_by_hand() -> None:
    """Of 3 images, 0.6 are rounded to 1 for test, and 0.3 to none for validation; of 5, 0.5 are rounded up."""
    assert expected_sizes(3, MISSING_SHARES) == {"train": 2, "validation": 0, "test": 1}
    assert expected_sizes(5, MISSING_SHARES) == {"train": 3, "validation": 1, "test": 1}
    assert expected_sizes(0, MISSING_SHARES) == {"train": 0, "validation": 0, "test": 0}


def test_sizes_of_small_own_data(tmp_path: Path) -> None:
    save_images(tmp_path, IMAGES[:9], [i % 3 for i in range(9)])
    assert split_sizes(describe(f"imagefolder:{tmp_path}")) == {"train": 6, "validation": 0, "test": 3}


class Changed(Source):
    """A source that reads other than it describes."""

    def __init__(self, inner: Source, change: Callable[[Decoded], Decoded]) -> None:
        super().__init__(inner.name)
        self.inner, self.change = inner, change

    def describe(self):
        return self.inner.describe()

    def fingerprint(self) -> str:
        return "changed"

    def read(self, size: int) -> Decoded:
        return self.change(self.inner.read(size))


def one_less(split: str) -> Callable[[Decoded], Decoded]:
    def change(decoded: Decoded) -> Decoded:
        part = decoded.parts[split]
        labels = None if part.labels is None else part.labels[1:]
        return Decoded(decoded.info, {**decoded.parts, split: Part(part.images[1:], labels)})

    return change


def labels_shifted(decoded: Decoded) -> Decoded:
    """As if one of the first classes had been dropped."""
    parts = {s: Part(part.images, np.maximum(part.labels - 1, 0)) for s, part in decoded.parts.items()}
    return Decoded(decoded.info, parts)


def another_class(decoded: Decoded) -> Decoded:
    return Decoded(replace(decoded.info, classes=9), decoded.parts)


def differs(source: Source, change: Callable[[Decoded], Decoded], message: str) -> None:
    with pytest.raises(StudyError, match=message):
        checked.read(Changed(source, change), 8)


@pytest.mark.parametrize("name", ["digits", "photos"])
def test_other_images_than_described_in_built_in_data(name: str) -> None:
    differs(find(name), one_less("validation"), f"data set '{name}': images per split are .* were described")
    assert checked.read(find(name), 8).info.name == name


def test_other_images_than_counted_in_own_data(tmp_path: Path) -> None:
    save_images(tmp_path / "folders" / "train", IMAGES, LABELS)
    save_images(tmp_path / "folders" / "test", IMAGES, LABELS)
    save_table(tmp_path / "train.parquet", IMAGES, LABELS)
    for name in (f"imagefolder:{tmp_path}/folders", f"parquet:{tmp_path}"):
        source = find(name)
        checked.read(source, 8)
        differs(source, one_less("train"), r"\d+ train images of class '.*' were read, and \d+ counted")
        differs(source, one_less("validation"), r"\d+ train images of class '.*' were read, and \d+ counted")
        differs(source, labels_shifted, r"(train|test) images of class '(class )?0' were read")
        differs(source, another_class, "the number of classes read is 9, and 10 were described")
    differs(find(f"imagefolder:{tmp_path}/folders"), one_less("test"), "test images of class")


def test_unlabelled_images_that_were_not_read(tmp_path: Path) -> None:
    save_images(tmp_path, IMAGES, ["."] * 60)
    differs(find(f"imagefolder:{tmp_path}"), one_less("train"), "59 train images were read, and 60 counted")
