"""Decodes the given splits into a whole data set: one size, one number of channels, three splits."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from study.utils.errors import StudyError
from study.utils.text import plural
from study.vit.data.arrays import SPLITS, Decoded, Labels, Part, rows_of, uniform
from study.vit.data.dataset import DatasetInfo
from study.vit.data.deep import white_values
from study.vit.data.examples import Example
from study.vit.data.images import DeepTile, Tile, read, stack
from study.vit.data.splits import fingerprints, split_by_content
from study.vit.data.unreadable import unreadable

MISSING_SHARES = {"validation": Fraction(1, 10), "test": Fraction(1, 5)}  # of train, for splits that are taken from it


def missing_shares(given: Collection[str], labelled: bool) -> dict[str, Fraction]:
    """The shares of train of the splits that are taken from it. Without labels no test split is needed."""
    return {
        split: share for split, share in MISSING_SHARES.items() if split not in given and (labelled or split != "test")
    }


@dataclass(frozen=True)
class _Rows:
    """One split with its images decoded."""

    tiles: Sequence[Tile | DeepTile]
    prints: list[bytes]
    labels: Labels | None

    def take(self, indices: Sequence[int]) -> "_Rows":
        labels = None if self.labels is None else self.labels[np.asarray(indices, np.intp)]
        return _Rows([self.tiles[i] for i in indices], [self.prints[i] for i in indices], labels)


def assemble(info: DatasetInfo, encoded: Mapping[str, Iterable[Example]], size: int) -> Decoded:
    """Decode the given splits, take missing ones from train, and bring all images to one shape.

    A missing validation split is a tenth of train. A missing test split, or one without labels if train has labels,
    is a fifth of train. Without labels there is nothing to test, so a missing test split stays empty. The returned
    description is `info`, corrected by what decoding found.

    Raises StudyError for images that cannot be decoded, all in one message, for values whose range is unknown (see
    `deep`), and for labels that are missing or out of range.
    """
    problems: list[str] = []
    found = {split: _decoded(part, info, split, size, problems) for split, part in encoded.items()}
    if problems:
        raise unreadable(f"data set {info.name!r}", problems)
    rows = _completed({split: part for split, part in found.items() if not _secret(split, part.labels)})
    white = white_values([tile.deep for part in rows.values() for tile in part.tiles if isinstance(tile, DeepTile)])
    plain = {split: [_plain(tile, white) for tile in part.tiles] for split, part in rows.items()}
    tiles = [tile for part in plain.values() for tile in part]
    own_sides = {tile.own_side for tile in tiles}
    side = min(own_sides) if len(own_sides) == 1 and min(own_sides) <= size else size
    channels = 3 if any(tile.pixels.ndim == 3 for tile in tiles) else 1
    parts = {
        split: Part(stack(plain[split], side, channels), part.labels, rows_of(part.prints))
        for split, part in rows.items()
    }
    known = replace(
        info,
        image_size=info.image_size if len(own_sides) == 1 else None,
        channels=channels,
        splits={split: len(part.tiles) for split, part in rows.items()},
        white=white,
        uniform_images=sum(uniform(part.images) for part in parts.values()),
        counts={split: _per_class(part.labels, len(part.tiles), info.classes) for split, part in rows.items()},
        in_train={split: _also_in(rows["train"], part) for split, part in rows.items() if split != "train"},
    )
    return Decoded(known, parts)


def _plain(tile: Tile | DeepTile, white: Mapping[str, float]) -> Tile:
    return tile if isinstance(tile, Tile) else tile.plain(white)


def _decoded(examples: Iterable[Example], info: DatasetInfo, split: str, size: int, problems: list[str]) -> _Rows:
    """`problems` receives a message for each image that cannot be decoded."""
    tiles: list[Tile | DeepTile] = []
    prints: list[bytes] = []
    labels: list[int | None] = []
    for one in examples:
        try:
            image = one.encoded()
            tiles.append(read(image, one.where, size))
        except StudyError as error:
            problems.append(str(error))
            continue
        prints.extend(fingerprints([image]))
        labels.append(one.label)
    if not tiles and not problems:
        raise StudyError(f"data set {info.name!r}: {split} contains no images")
    return _Rows(tiles, prints, _labels(info, split, labels))


def _labels(info: DatasetInfo, split: str, labels: Sequence[int | None]) -> Labels | None:
    if info.classes is None:
        return None
    where = f"data set {info.name!r}, {split}"
    if unlabelled := labels.count(None):
        raise StudyError(f"{where}: no label on {unlabelled} of {plural(len(labels), 'image')}; remove them")
    numbers = np.array(labels, np.int64)
    wrong = np.flatnonzero((numbers < 0) | (numbers >= info.classes))
    if len(wrong) and not _secret(split, numbers):
        raise StudyError(
            f"{where}: {len(wrong)} of {len(numbers)} labels are out of range, first in row {wrong[0]}: "
            f"{numbers[wrong[0]]}; labels go from 0 to {info.classes - 1}. Remove those rows, or the label column if "
            "the images are for pre-training only"
        )
    return numbers


def _secret(split: str, labels: Labels | None) -> bool:
    """Whether all labels are -1, which means on the Hub that they are not published: the split counts as missing."""
    return split != "train" and labels is not None and bool((labels == -1).all())


def _completed(rows: Mapping[str, _Rows]) -> dict[str, _Rows]:
    """All three splits; missing ones are taken from train."""
    train = rows["train"]
    unlabelled = train.labels is None
    shares = missing_shares(rows.keys(), not unlabelled)
    labels = None if train.labels is None else train.labels.tolist()
    chosen = split_by_content(train.prints, labels, shares)
    taken = {split: train.take(indices.tolist()) for split, indices in chosen.items()}
    return {split: {**rows, **taken}.get(split) or _Rows([], [], None) for split in SPLITS}


def _per_class(labels: Labels | None, images: int, classes: int | None) -> list[int]:
    if labels is None or classes is None:
        return [images]
    return [int(number) for number in np.bincount(labels, minlength=classes)]


def _also_in(train: _Rows, part: _Rows) -> int:
    """How many images of another split are also in train, byte for byte."""
    known = set(train.prints)
    return sum(image in known for image in part.prints)
