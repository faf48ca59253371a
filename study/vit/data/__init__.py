"""Data sets: describe them without decoding, check that they are available, load them as tensors on a device.

catalogue              the table of data sets
source, dataset        what the file of a data set defines, and what loading it returns
digits, photos, hub    named data sets: from scikit-learn, from the Hugging Face Hub
hub_classes            class names of the latter
parquet, imagefolder   the user's own data sets
columns, folders       image and label columns of a table; files and folders of own data
class_folders, shards  the images of an image folder by split and class; Parquet files by split
label_values           class numbers of the values in a label column
content_digest         the digest of all files of own data
unreadable             the files that cannot be read, in one message
unchanged              what is known of folders until they change
examples, encoded      encoded images and labels; from them to a whole data set
images, deep, arrays   decoding and resizing; images with more than 8 bits; decoded images in memory
splits, resplit        train, validation and test by content; drawn anew
conversion, converters data sets of other formats to Parquet files
reading, checked       how a data set is read, in one line; whether what was read is what was described
cache, tensors         decoded data on disk; tensors on a device

Importing this package, describing and checking never import torch, datasets or scikit-learn.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from study.utils.errors import StudyError
from study.vit.data.arrays import SPLITS
from study.vit.data.catalogue import OWN, find, names
from study.vit.data.dataset import Dataset, DatasetInfo, Split
from study.vit.data.reading import combined, how_read, split_sizes

__all__ = [
    "Dataset",
    "DatasetInfo",
    "Split",
    "available",
    "combined",
    "content",
    "convert",
    "decoded_digest",
    "describe",
    "described_after_decoding",
    "digest",
    "drawn_splits",
    "how_read",
    "is_own",
    "load",
    "names",
    "split_sizes",
]


def describe(name: str) -> DatasetInfo:
    """Size, classes and origin of a data set, without decoding it: a name, or parquet:PATH or imagefolder:PATH.

    Raises StudyError for an unknown name or a path without a data set.
    """
    with _naming(name):
        return find(name).describe()


def drawn_splits(name: str) -> dict[str, float]:
    """The splits that `split_seed` draws anew, train included, and their shares of the images of these; empty if all
    splits are given. Raises StudyError."""
    with _naming(name):
        shares = find(name).shares()
    drawn = {"train": 1 - sum(shares.values()), **shares}
    return {split: float(drawn[split]) for split in SPLITS if split in drawn} if shares else {}


def available(name: str) -> None:
    """Raise StudyError, within seconds and with suggestions, if `load` could not read the data set."""
    from study.vit.data import cache

    with _naming(name):
        source = find(name)
        if not cache.holds(source):
            source.available()


def load(name: str, size: int, device: str = "cpu", split_seed: int | None = None) -> Dataset:
    """A data set as uint8 tensors on `device`. Calls within a process share the tensors: never write to them.

    Images keep their own size if all are squares of one size of at most `size` pixels. Otherwise the centre square of
    each image is resized to `size` x `size`. Images are therefore never larger than `size`; upscaling is left to
    training, which does it in batches on the device. The number of channels is that of the data set.

    With `split_seed`, the splits of `drawn_splits` are drawn anew, see `resplit`.

    Raises StudyError if the data set is unknown or unavailable, or if its files are invalid.
    """
    from study.vit.data.tensors import load as load_tensors

    with _naming(name):
        return load_tensors(find(name), size, device, split_seed)


def described_after_decoding(name: str, size: int) -> DatasetInfo | None:
    """The description corrected by what decoding for `size` found; None if it is not in the cache of this machine.

    Raises StudyError as `describe` does.
    """
    from study.vit.data import cache

    with _naming(name):
        return cache.known(find(name), size)


def convert(source: Path, output: Path, overwrite: bool = False) -> dict[str, int]:
    """Convert a data set of another format to Parquet files, see `study.vit.data.conversion`; images per split."""
    from study.vit.data import conversion

    return conversion.convert(source, output, overwrite)


def is_own(name: str) -> bool:
    """Whether a data set is the user's own, named by its path, so that its content may change under that name."""
    return name.partition(":")[0] in OWN


def content(name: str) -> str | None:
    """SHA-256 of the files of own data, whatever their path; None for data sets that their name identifies.

    Quick if the files have the size and time of an earlier call. Raises StudyError for a path without a data set.
    """
    with _naming(name):
        return find(name).content()


def decoded_digest(name: str, size: int) -> str | None:
    """What `digest` returns if the images have been decoded on this machine, else None. Raises StudyError."""
    from study.vit.data import cache

    with _naming(name):
        found = cache.decoded(find(name), size)
        return found["digest"] if found else None


def digest(name: str, size: int) -> str:
    """SHA-256 of the images and labels that `load` returns now; decodes them if that has not been done yet.

    Raises StudyError as `load` does.
    """
    from study.vit.data import cache

    with _naming(name):
        found = cache.remember(find(name), size)
        metadata = cache.info_of(found) if isinstance(found, Path) else {"digest": cache.digest(found)}
    if metadata is None:
        raise StudyError(f"data set {name!r}: its decoded images were removed from {cache.folder()} while being read")
    return metadata["digest"]


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """Turns an OSError (no permission, file removed, disk failure) into a StudyError that names the data set."""
    try:
        yield
    except OSError as error:
        raise StudyError(f"data set {name!r} cannot be read: {error}") from error
