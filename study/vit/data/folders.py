"""Own data in files and folders: find them and describe them."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path

from study.utils.errors import StudyError
from study.vit.data.arrays import SPLITS
from study.vit.data.dataset import DatasetInfo
from study.vit.data.encoded import missing_shares
from study.vit.data.examples import Example
from study.vit.data.images import Header, header
from study.vit.data.label_values import check_classes
from study.vit.data.splits import percent

SPLIT_WORDS: Mapping[str, str] = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "eval": "validation",
    "evaluation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
PEEK = 16  # a description is based on the size and colour of this many images


def existing(name: str) -> Path:
    """The path in `KIND:PATH`. Raises StudyError if it does not exist, with the closest existing path."""
    try:
        path = Path(name.partition(":")[2]).expanduser().absolute()
        if path.exists():
            return path
        raise StudyError(f"data set {name!r}: {path} not found{_nearest(path)}")
    except (OSError, ValueError, RuntimeError) as error:  # invalid path, unknown user, no permission
        raise StudyError(f"data set {name!r}: its path cannot be read: {error}") from error


def _nearest(path: Path) -> str:
    parent = next(folder for folder in path.parents if folder.is_dir())
    name = path.relative_to(parent).parts[0]
    close = difflib.get_close_matches(name, [child.name for child in parent.iterdir()], n=1)
    return f"; did you mean {str(parent / close[0])!r}?" if close else f"; {parent} exists, but contains no {name!r}"


def known(
    name: str,
    first: Sequence[Example],
    class_names: tuple[str, ...] | None,
    counts: Mapping[str, Sequence[int]],
    origins: Mapping[str, str],
    left_out: Sequence[str],
) -> DatasetInfo:
    """The description of own data, from its first images, its classes, and the given splits with their origins.

    Images that cannot be read are left to decoding, which lists all of them, unless none of the first ones can be read.
    """
    if not first:
        raise StudyError(f"data set {name!r} contains no images")
    if class_names is not None:
        try:
            check_classes(len(class_names), sum(counts["train"]))
        except StudyError as error:
            raise StudyError(f"data set {name!r}, train: {error}") from None
    headers = list(_headers(first))
    sides = {side for image in headers for side in (image.width, image.height)}
    shares = missing_shares(counts.keys(), class_names is not None)
    return DatasetInfo(
        name=name,
        image_size=sides.pop() if len(sides) == 1 else None,
        channels=max(image.channels for image in headers),
        classes=None if class_names is None else len(class_names),
        splits=None if shares else {split: sum(counts.get(split, ())) for split in SPLITS},
        description="own data" + (", no labels: for pre-training only" if class_names is None else ""),
        source=str(existing(name)),
        licence="unknown",
        class_names=class_names,
        counts=counts,
        origins={**origins, **{split: f"{percent(share)} of train, by content" for split, share in shares.items()}},
        left_out=tuple(left_out),
    )


def taken(described: DatasetInfo) -> dict[str, Fraction]:
    """The splits of own data that are taken from train, and their shares of it."""
    return missing_shares((described.counts or {}).keys(), described.classes is not None)


def _headers(images: Sequence[Example]) -> Iterator[Header]:
    problems = []
    for image in images:
        try:
            yield header(image.encoded(), image.where)
        except StudyError as error:
            problems.append(error)
    if len(problems) == len(images):
        raise problems[0]
