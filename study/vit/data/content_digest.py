"""The content of own data: one digest of all their files, by which results are found.

The digest covers what each file is in the data set (split, class, name) and its bytes, but no path: the same files in
another folder have the same digest. It is kept in the cache folder, one record per data set, with the path, size and
modification time of every file: while those stay the same, nothing is read again.
"""

import hashlib
import json
import os
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, TypeVar

from study.utils import json_text
from study.vit.data.cache import alone, folder
from study.vit.data.unchanged import RECENT
from study.vit.data.unreadable import unreadable

T = TypeVar("T")
Mapped = Callable[[Callable[[Path], list[T]], list[Path]], Iterable[list[T]]]

THREADS = 8  # reading and hashing release the GIL

_known: dict[str, str] = {}  # stamp -> digest


class Member(NamedTuple):
    """One file of a data set."""

    role: str  # split, class and name, separated by a zero byte
    path: Path


def digest(root: Path, members: Sequence[Member]) -> str:
    """SHA-256 over the roles and bytes of the files of the data set at `root`, in their order.

    Raises StudyError with all files that cannot be read.
    """
    stamp, recent = _stamp(root, members)
    if stamp in _known:
        return _known[stamp]
    with alone(f"content-{_place(root).stem}"):
        found = _recorded(root, stamp)
        if found is None:
            found = _hashed(root, members)
            if not recent:
                _record(root, stamp, found)
    if not recent:
        _known[stamp] = found
    return found


def _stamp(root: Path, members: Sequence[Member]) -> tuple[str, bool]:
    """Hash of role, path, size and modification time of the files, and whether one of them was just written."""
    total, newest, now = hashlib.sha256(), 0, time.time_ns()
    for (role, path), status in zip(members, _each(root, members, Path.stat, map), strict=True):
        total.update(f"{role}\0{path}\0{status.st_size}\0{status.st_mtime_ns}\n".encode(errors="surrogateescape"))
        if status.st_mtime_ns <= now + RECENT:  # a later time was set on purpose
            newest = max(newest, status.st_mtime_ns)
    return total.hexdigest(), newest > now - RECENT


def _hashed(root: Path, members: Sequence[Member]) -> str:
    total = hashlib.sha256()
    with ThreadPoolExecutor(THREADS) as pool:
        for member, found in zip(members, _each(root, members, _file_hash, pool.map), strict=True):
            total.update(f"{member.role}\0{found}\n".encode(errors="surrogateescape"))
    return total.hexdigest()


def _each(root: Path, members: Sequence[Member], read: Callable[[Path], T], mapped: Mapped[T]) -> list[T]:
    """What `read` returns for each file. Raises StudyError with all files for which it raises OSError."""
    problems: list[str] = []

    def attempt(path: Path) -> list[T]:
        try:
            return [read(path)]
        except OSError as error:
            problems.append(f"{path}: {error.strerror or error}")
            return []

    found = [one for result in mapped(attempt, [member.path for member in members]) for one in result]
    if problems:
        raise unreadable(f"data set in {root}", sorted(problems))
    return found


def _file_hash(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _place(root: Path) -> Path:
    return folder().with_name("content") / f"{hashlib.sha256(os.fsencode(root)).hexdigest()[:32]}.json"


def _recorded(root: Path, stamp: str) -> str | None:
    try:
        record = json_text.parse(_place(root).read_bytes())
        return str(record["digest"]) if record["stamp"] == stamp else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _record(root: Path, stamp: str, found: str) -> None:
    """Without a writable cache folder, every process reads the files once."""
    place = _place(root)
    part = place.with_name(f".{place.stem}-{uuid.uuid4().hex}.part")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps({"root": str(root), "stamp": stamp, "digest": found}), encoding="utf-8")
        part.replace(place)
    except OSError:
        with suppress(OSError):
            part.unlink(missing_ok=True)
