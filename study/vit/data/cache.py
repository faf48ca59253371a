"""Decoded data sets on disk, so that the processes of a sweep do not each decode the same images.

One safetensors file per data set, in $STUDY_CACHE, else in $XDG_CACHE_HOME/lightweight-vit-study or
~/.cache/lightweight-vit-study. The folder may be deleted at any time. Files are written atomically. While one process
decodes a data set, others that need it wait. If the folder is not writable, every process decodes for itself.

Files are found by the code of this package, too: after an edit, images are decoded again, and not those of the code
before are used.
"""

import hashlib
import json
import logging
import os
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from functools import cache
from pathlib import Path

from study.utils import json_text
from study.vit.data.arrays import SPLITS, Decoded, Labels, Pixels
from study.vit.data.checked import read
from study.vit.data.dataset import DatasetInfo
from study.vit.data.source import Source

CODE = Path(__file__).parent  # this package
log = logging.getLogger(__name__)


def folder() -> Path:
    """The folder of decoded data sets."""
    if own := os.environ.get("STUDY_CACHE"):
        return Path(own).expanduser() / "data"
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "lightweight-vit-study" / "data"


def remember(source: Source, size: int) -> Path | Decoded:
    """The file of a data set at `size`, written if it is missing; the data themselves if it cannot be written."""
    key = _key(source)
    found = _find(key, size)
    if found is not None:
        return found
    with alone(key):
        found = _find(key, size)  # another process may have written it while this one waited
        if found is not None:
            return found
        decoded = read(source, size)
        return _write(decoded, _place(key, None if _own_size(decoded) else size)) or decoded


def known(source: Source, size: int) -> DatasetInfo | None:
    """The description of a data set as it was decoded for `size`; None if it is not cached."""
    found = _find(_key(source), size)
    metadata = None if found is None else info_of(found)
    return None if metadata is None else DatasetInfo.from_record(json_text.parse(metadata["info"]))


def holds(source: Source) -> bool:
    """Whether the images are cached at their own size, so that their source is no longer needed."""
    return info_of(_place(_key(source), None)) is not None


def decoded(source: Source, size: int) -> dict[str, str] | None:
    """The metadata of the file of a data set at `size` (see `info_of`); None if it is not cached."""
    found = _find(_key(source), size)
    return info_of(found) if found else None


def digest(decoded: Decoded) -> str:
    """SHA-256 over shape, images and labels of all splits."""
    total = hashlib.sha256()
    for split in SPLITS:
        part = decoded.parts[split]
        total.update(f"{split} {part.images.shape} {part.labels is not None};".encode())
        total.update(part.images.data)
        if part.labels is not None:
            total.update(part.labels.astype("<i8").data)
    return total.hexdigest()


def info_of(file: Path) -> dict[str, str] | None:
    """A file's metadata: `info`, a DatasetInfo in JSON, and `digest`. None if the file is missing or damaged."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="numpy") as stored:
            metadata: dict[str, str] | None = stored.metadata()
            return metadata
    except (OSError, SafetensorError):
        return None


def _key(source: Source) -> str:
    return hashlib.sha256(f"{_code(CODE)}\0{source.name}\0{source.fingerprint()}".encode()).hexdigest()[:32]


@cache
def _code(folder: Path) -> str:
    """Digest of the modules that read, split and decode: read once, since modules are imported once."""
    total = hashlib.sha256()
    for file in sorted(folder.glob("[!.]*.py")):
        total.update(f"{file.name}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


def _place(key: str, size: int | None) -> Path:
    """Images at their own size are used for every `size` that is not smaller; others only for their own `size`."""
    return folder() / f"{key}-{'own' if size is None else size}.safetensors"


def _find(key: str, size: int) -> Path | None:
    own = info_of(_place(key, None))
    if own is not None and json_text.parse(own["info"])["image_size"] <= size:
        return _place(key, None)
    return _place(key, size) if info_of(_place(key, size)) is not None else None


def _own_size(decoded: Decoded) -> bool:
    own, now = decoded.info.image_size, int(decoded.parts["train"].images.shape[-1])
    return own == now


def _write(decoded: Decoded, place: Path) -> Path | None:
    from safetensors.numpy import save_file

    arrays: dict[str, Pixels | Labels] = {f"{split}.images": part.images for split, part in decoded.parts.items()}
    arrays |= {f"{split}.labels": part.labels for split, part in decoded.parts.items() if part.labels is not None}
    arrays |= {f"{split}.prints": part.prints for split, part in decoded.parts.items() if part.prints is not None}
    metadata = {"info": json.dumps(asdict(decoded.info)), "digest": digest(decoded)}
    try:
        with _temporary(place) as file:
            save_file(arrays, file, metadata)
    except OSError as error:
        log.warning("decoded images of %s are not cached in %s: %s", decoded.info.name, place.parent, error)
        return None
    return place


@contextmanager
def _temporary(place: Path) -> Iterator[Path]:
    """A temporary file in the folder of `place` that replaces it on success and is removed on failure."""
    part = place.with_name(f".{place.stem}-{uuid.uuid4().hex}.part")
    try:
        part.touch()
        mode = part.stat().st_mode
        yield part
        part.chmod(mode)  # as for any new file; safetensors makes it readable for the owner only
        with part.open("rb") as written:
            os.fsync(written.fileno())  # otherwise a power cut could leave an empty file
        part.replace(place)
    finally:
        part.unlink(missing_ok=True)  # missing after a successful replace


@contextmanager
def alone(key: str) -> Iterator[None]:
    """Hold the lock of a key; without a lock if the folder is not writable or its file system has none."""
    from filelock import FileLock

    with ExitStack() as held:
        try:
            folder().mkdir(parents=True, exist_ok=True)
            held.enter_context(FileLock(folder() / f"{key}.lock"))
        except (OSError, NotImplementedError) as error:
            log.info("decoding without a lock in %s: %s", folder(), error)
        yield
