"""Data sets: `describe` them at no cost, `load` them as tensors on a device, check that they are `available`.

Importing this package, describing and checking never import torch, datasets or scikit-learn.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from study.utils.errors import StudyError
from study.vit.data.catalogue import OWN, find, names
from study.vit.data.dataset import Dataset, DatasetInfo, Split

__all__ = ["Dataset", "DatasetInfo", "Split", "available", "describe", "digest", "is_own", "load", "names"]


def describe(name: str) -> DatasetInfo:
    """What is known of a data set without decoding it: a named one, or parquet:PATH or imagefolder:PATH.

    Raises StudyError for an unknown name or a path where no data set lies.
    """
    with _told(name):
        return find(name).describe()


def available(name: str) -> None:
    """Raise StudyError, within seconds and with the ways out, if `load` could not get at the data set."""
    from study.vit.data import cache

    with _told(name):
        source = find(name)
        if not cache.holds(source):
            source.available()


def load(name: str, size: int, device: str = "cpu") -> Dataset:
    """A data set as uint8 tensors on `device`; the same tensors for each call within a process: do not write to them.

    Images keep their own size where all are squares of one size that is no larger than `size`; where they are larger
    or vary, the middle square of each is resized to `size` x `size`. So images are at most `size` pixels high and
    wide, and scaling up to `size` is left to be done in batches on the device. Channels are the data set's own.

    Raises StudyError if the data set is unknown, not to be had, or its files are not what they should be.
    """
    from study.vit.data.tensors import load as load_tensors

    with _told(name):
        return load_tensors(find(name), size, device)


def is_own(name: str) -> bool:
    """Whether a data set is the user's own, named by its path: its content may change under that name."""
    return name.partition(":")[0] in OWN


def digest(name: str, size: int) -> str:
    """SHA-256 over the images and labels that `load` gives now; they are decoded if they have not been yet.

    Raises StudyError as `load` does.
    """
    from study.vit.data import cache

    with _told(name):
        found = cache.remember(find(name), size)
        said = cache.info_of(found) if isinstance(found, Path) else {"digest": cache.digest(found)}
    if said is None:
        raise StudyError(f"data set {name!r}: its decoded images have just gone from {cache.folder()}")
    return said["digest"]


@contextmanager
def _told(name: str) -> Iterator[None]:
    """Files that may not be read, vanish while they are read, or lie on a disk that fails."""
    try:
        yield
    except OSError as error:
        raise StudyError(f"data set {name!r} cannot be read: {error}") from error
