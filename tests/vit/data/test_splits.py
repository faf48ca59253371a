"""Splits depend on content only, are stratified by class, and keep copies together."""

from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.vit.data.splits import fingerprints, split_by_content

TENTH = Fraction(1, 10)


def test_a_split_by_hand() -> None:
    """Eight images of one class whose fingerprints sort as d b a c h g f e; a quarter of eight is two."""
    prints = [b"3", b"2", b"4", b"1", b"8", b"7", b"6", b"5"]
    chosen = split_by_content(prints, None, {"validation": Fraction(1, 4), "test": Fraction(1, 4)})
    assert {split: indices.tolist() for split, indices in chosen.items()} == {
        "train": [4, 5, 6, 7],
        "validation": [1, 3],
        "test": [0, 2],
    }


def test_each_class_has_its_share() -> None:
    prints = fingerprints(str(number).encode() for number in range(300))
    labels = [0] * 200 + [1] * 95 + [2] * 5
    chosen = split_by_content(prints, labels, {"validation": TENTH})
    classes = {split: Counter(labels[i] for i in indices) for split, indices in chosen.items()}
    assert classes["validation"] == {0: 20, 1: 10, 2: 1}, "9.5 and 0.5 are rounded up"
    assert classes["train"] == {0: 180, 1: 85, 2: 4}


def test_copies_stay_together_even_under_another_label() -> None:
    """One of ten images of class 0 is for validation; the first in order has a copy with label 1."""
    prints = [bytes([number]) for number in range(10)] + [bytes([0])]
    chosen = split_by_content(prints, [0] * 10 + [1], {"validation": TENTH})
    assert chosen["validation"].tolist() == [1], "two copies exceed a share of one image"
    chosen = split_by_content(prints, [0] * 10 + [1], {"validation": Fraction(2, 10)})
    assert chosen["validation"].tolist() == [0, 10]


def test_a_class_of_one_image_goes_to_train() -> None:
    chosen = split_by_content([b"a"], [7], {"validation": Fraction(9, 10)})
    assert chosen["train"].tolist() == [0]


@given(
    images=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 3)), min_size=1, max_size=80),
    shares=st.fixed_dictionaries(
        {"validation": st.sampled_from([TENTH, Fraction(15, 100)]), "test": st.sampled_from([TENTH, Fraction(1, 4)])}
    ),
    order=st.randoms(),
)
def test_a_partition_that_does_not_depend_on_the_order(
    images: list[tuple[int, int]], shares: dict[str, Fraction], order: st.DataObject
) -> None:
    images = list({image: (image, label) for image, label in images}.values())  # one label per content
    prints, labels = fingerprints(str(image).encode() for image, _ in images), [label for _, label in images]
    chosen = split_by_content(prints, labels, shares)
    assert sorted(i for indices in chosen.values() for i in indices) == list(range(len(images)))
    assert {labels[i] for i in chosen["train"]} == set(labels), "train has every class"
    for split, share in shares.items():
        for label, total in Counter(labels).items():
            taken = sum(labels[i] == label for i in chosen[split])
            assert taken <= total * share + Fraction(1, 2)
    shuffled = list(range(len(images)))
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    again = split_by_content([prints[i] for i in shuffled], [labels[i] for i in shuffled], shares)
    for split, indices in chosen.items():
        assert sorted(shuffled[i] for i in again[split]) == indices.tolist()


@given(contents=st.lists(st.integers(0, 8), min_size=1, max_size=60))
def test_no_content_in_two_splits(contents: list[int]) -> None:
    chosen = split_by_content(fingerprints(bytes([c]) for c in contents), None, {"validation": TENTH, "test": TENTH})
    found = [{contents[i] for i in indices} for indices in chosen.values()]
    assert sum(map(len, found)) == len(set.union(*found))


def test_a_known_fingerprint() -> None:
    """SHA-256 of the empty string, as in the examples of FIPS 180-4."""
    assert fingerprints([b""])[0].hex().startswith("e3b0c44298fc1c149afbf4c8996fb924")


@pytest.mark.parametrize("share", [Fraction(0), Fraction(1, 1000)])
def test_shares_too_small_take_nothing(share: Fraction) -> None:
    chosen = split_by_content(fingerprints(bytes([n]) for n in range(100)), None, {"test": share})
    assert len(chosen["test"]) == 0
