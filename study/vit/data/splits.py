"""Splitting by content: which split an image falls into depends on its bytes and class alone.

Neither the order of the files nor a library's random generator has a say, so a split is the same on every machine and
stays the same when libraries change; and copies of one image always fall into the same split.
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


def split_by_content(
    prints: Sequence[bytes], labels: Sequence[int] | None, shares: Mapping[str, Fraction]
) -> dict[str, NDArray[np.intp]]:
    """Indices of the images of each split, ascending, stratified by class.

    `shares` gives the part of each class that goes to each named split, rounded to the nearest image, halves up; the
    rest is "train", which has at least one image of each class. Within a class images are taken in the order of their
    fingerprints, copies of one image together: too many copies to fit in train. A copy follows the first of its kind
    even where its label differs.
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


def _copies(prints: Sequence[bytes]) -> dict[bytes, list[int]]:
    groups: dict[bytes, list[int]] = defaultdict(list)
    for index, key in enumerate(prints):
        groups[key].append(index)
    return groups


def _assign(sizes: Sequence[int], shares: Mapping[str, Fraction]) -> list[str]:
    """The split of each group of copies of one class: the shares are filled in turn, and the last group trains."""
    total = sum(sizes)
    room = {split: math.floor(total * share + Fraction(1, 2)) for split, share in shares.items()}
    result = []
    for size in sizes[:-1]:
        split = next((name for name in room if room[name] >= size), "train")
        if split != "train":
            room[split] -= size
        result.append(split)
    return [*result, "train"]
