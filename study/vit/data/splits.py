"""Splitting by content: the split of an image depends on its bytes and class only.

It depends neither on the order of the files nor on a random generator, so splits are the same on every machine and with
every version of a library, and copies of an image are always in the same split.
"""

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray


def fingerprints(images: Iterable[bytes]) -> list[bytes]:
    """SHA-256 of each image's bytes."""
    return [hashlib.sha256(image).digest() for image in images]


def reordered(prints: Iterable[bytes], seed: int) -> list[bytes]:
    """Fingerprints in another random order for each seed; those of copies stay equal."""
    return [hashlib.sha256(f"split={seed}\0".encode() + image).digest() for image in prints]


def split_by_content(
    prints: Sequence[bytes], labels: Sequence[int] | None, shares: Mapping[str, Fraction]
) -> dict[str, NDArray[np.intp]]:
    """Indices of the images of each split, ascending, stratified by class.

    `shares` are the fractions of each class for the named splits, rounded to the nearest image, halves up. The rest is
    "train", which has at least one image of each class. Within a class, images are assigned in the order of their
    fingerprints and copies of an image together; copies that exceed a split's share go to train. A copy has the split
    of the first one even if its label differs.
    """
    groups = _copies(prints)
    by_class: dict[int, list[bytes]] = defaultdict(list)
    for key in sorted(groups):
        by_class[0 if labels is None else labels[groups[key][0]]].append(key)
    chosen: dict[str, list[int]] = {"train": [], **{split: [] for split in shares}}
    for keys in by_class.values():
        for key, split in zip(keys, _assign([len(groups[key]) for key in keys], shares), strict=True):
            chosen[split].extend(groups[key])
    return {split: np.array(sorted(indices), np.intp) for split, indices in chosen.items()}


def percent(share: Fraction) -> str:
    """As in `10 %`."""
    return f"{float(100 * share):g} %"


def expected_sizes(count: int, shares: Mapping[str, Fraction]) -> dict[str, int]:
    """How many of `count` images of a class go to each split, if no two of them are alike."""
    left, sizes = max(count - 1, 0), {}
    for split, share in shares.items():
        sizes[split] = min(left, _rounded(count * share))
        left -= sizes[split]
    return {"train": count - sum(sizes.values()), **sizes}


def _rounded(number: Fraction) -> int:
    return math.floor(number + Fraction(1, 2))


def _copies(prints: Sequence[bytes]) -> dict[bytes, list[int]]:
    groups: dict[bytes, list[int]] = defaultdict(list)
    for index, key in enumerate(prints):
        groups[key].append(index)
    return groups


def _assign(sizes: Sequence[int], shares: Mapping[str, Fraction]) -> list[str]:
    """The split of each group of copies of one class: splits are filled in turn, and the last group goes to train."""
    total = sum(sizes)
    room = {split: _rounded(total * share) for split, share in shares.items()}
    result = []
    for size in sizes[:-1]:
        split = next((name for name in room if room[name] >= size), "train")
        if split != "train":
            room[split] -= size
        result.append(split)
    return [*result, "train"]
