"""How a data set is read, in one line, for everybody who shows it; and the sizes of splits that are not yet read."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from study.utils import escape
from study.utils.text import plural
from study.vit.data.arrays import SPLITS
from study.vit.data.dataset import DatasetInfo
from study.vit.data.encoded import missing_shares
from study.vit.data.splits import expected_sizes

MOST = 10  # names of classes, or files that are not read, in a line
LONGEST = 24  # characters of a name
DEEP = {"integer": "with more than 8 bits", "float": "of floats"}  # the kinds of `deep.WHITES`


def how_read(info: DatasetInfo, size: int) -> str:
    """Classes, images per split and their origin, resizing to `size`, and what is left out, as plain text.

    Numbers of images are exact, unless they begin with `about`: splits that are taken from train are not made before
    all images are read, because copies of an image stay together.
    """
    parts = [f"{info.name}: {_classes(info)}", _splits(info), _pixels(info, size), *_remarks(info)]
    return escape.line("; ".join(parts))


def combined(described: DatasetInfo, decoded: DatasetInfo) -> DatasetInfo:
    """What decoding found, which may be cached, with the present name, origins, and files that are left out."""
    return replace(decoded, name=described.name, origins=described.origins, left_out=described.left_out)


def split_sizes(info: DatasetInfo) -> dict[str, int] | None:
    """Images per split: as read, else as expected if no two images are alike; None if nothing is known."""
    if info.splits is not None:
        return info.splits
    counts = _counts(info)
    return None if counts is None else {split: sum(counts[split]) for split in SPLITS}


def _counts(info: DatasetInfo) -> Mapping[str, Sequence[int]] | None:
    """Images of each class in each split, as read or as expected."""
    if info.counts is None:
        return None
    shares = missing_shares(info.counts.keys(), info.classes is not None)
    parts = [expected_sizes(count, shares) for count in info.counts["train"]]
    taken = {split: [part[split] for part in parts] for split in ("train", *shares)}
    return {"test": [0], **info.counts, **taken}


def _classes(info: DatasetInfo) -> str:
    if info.classes is None:
        return "no labels, for pre-training only"
    names = f" ({_listed(info.class_names)})" if info.class_names else ""
    return f"{plural(info.classes, 'class')}{names}"


def _splits(info: DatasetInfo) -> str:
    sizes, origins = split_sizes(info), info.origins or {}
    if sizes is None:
        return "number of images not known before reading"
    about = "" if info.splits is not None else "about "
    shown = [
        f"{about}{sizes[split]:,} {split}" + (f" ({origins[split]})" if split in origins else "")
        for split in SPLITS
        if sizes[split] or info.classes is not None
    ]
    return f"images: {', '.join(shown)}"


def _pixels(info: DatasetInfo, size: int) -> str:
    colour = "colour" if info.channels == 3 else "grey"
    if colour == "grey" and info.counts is not None and info.white is None:
        colour += " in the first images"  # the others have not been decoded yet
    for kind, white in (info.white or {}).items():
        colour += f", grey images {DEEP[kind]}: 0 to {white:g} scaled to 0 to 255"
    if info.image_size is None:
        return f"sizes vary: centre square of each, resized to {size} px, {colour}"
    if info.image_size == size:
        return f"{size} x {size} px, {colour}"
    change = "shrunk" if info.image_size > size else "enlarged"
    return f"{info.image_size} x {info.image_size} px, {change} to {size} px, {colour}"


def _remarks(info: DatasetInfo) -> Iterator[str]:
    counts = _counts(info) if info.classes is not None else None
    for split, found in (counts or {}).items():
        absent = [number for number, count in enumerate(found) if not count]
        if absent and info.class_names:
            names = _listed([info.class_names[number] for number in absent])
            yield f"{plural(len(absent), 'class')} without images for {split} ({names})"
    yield from shared_images(info)
    if info.left_out:
        yield f"left out: {_listed(info.left_out, longest=None)}"


def shared_images(info: DatasetInfo) -> Iterator[str]:
    """Half a sentence for each split of which images are also in train."""
    for split, count in (info.in_train or {}).items():
        if count and info.splits is not None:
            verb = "is" if count == 1 else "are"
            yield f"{count:,} of {plural(info.splits[split], f'{split} image')} {verb} also in train"


def _listed(names: Sequence[str], longest: int | None = LONGEST) -> str:
    """The first names and the last one."""
    cut = [name if longest is None or len(name) <= longest else f"{name[: longest - 1]}…" for name in names]
    return ", ".join(cut if len(cut) <= MOST else [*cut[: MOST - 1], "…", cut[-1]])
