"""A local folder, or one on a file system shared by several machines. Writes are atomic through renaming.

Anything but a folder or a regular file in its place counts as a damaged folder or a missing file. A link counts as what
it leads to, and is removed itself, not its target.
"""

import contextlib
import errno
import math
import os
import re
import shutil
import stat
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from study.store.backends.base import Usage
from study.utils import regular_files

_PARTIAL = re.compile(r"\.(.+)-[0-9a-f]{32}")
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EINVAL}


class Folder:
    """Storage backend for a folder."""

    def __init__(self, root: Path) -> None:
        self.local = root

    @property
    def address(self) -> str:
        return str(self.local.resolve())

    def prepare(self) -> None:
        self.local.mkdir(parents=True, exist_ok=True)
        self.write("probe", b"\0" * 4096)
        self.remove("probe")

    def read(self, path: str) -> bytes:
        return regular_files.read(self.local / path)

    def write(self, path: str, data: bytes) -> None:
        with self._temporary_file(self.local / path, data) as temporary:
            if _is_folder(self.local / path):  # what is not written here is replaced; a folder must be removed first
                _remove(self.local / path)
            os.replace(temporary, self.local / path)

    def create(self, path: str, data: bytes) -> bool:
        target = self.local / path
        with self._temporary_file(target, data) as temporary:
            try:
                os.link(temporary, target)  # unlike rename, link fails if the target exists; also on NFS
            except FileExistsError:
                return False
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                return _create_exclusively(target, data)
        return True

    def remove(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            _remove(self.local / path)

    def list_files(self, folder: str) -> dict[str, float]:
        found = {}
        for entry in _scan(self.local / folder):
            with contextlib.suppress(FileNotFoundError):  # removed by another process
                if entry.is_file() and not entry.name.startswith("."):
                    found[entry.name] = entry.stat().st_mtime
        return found

    def modified(self, path: str) -> float | None:
        try:
            return (self.local / path).stat().st_mtime
        except FileNotFoundError:
            return None

    def list_folders(self, parent: str) -> list[str]:
        # no is_dir(): it may cost a system call per entry, and only folders are written here
        return [entry.name for entry in _scan(self.local / parent) if not entry.name.startswith(".")]

    def usage(self, parent: str) -> dict[str, Usage]:
        found = {}
        for entry in _scan(self.local / parent):
            with contextlib.suppress(FileNotFoundError):  # removed by another process
                if not entry.name.startswith("."):
                    found[entry.name] = _usage(Path(entry.path))
        return found

    def has_folder(self, folder: str) -> bool:
        # anything at its place, also a file or a broken link: it is listed, and it is in the way of a new folder
        return os.path.lexists(self.local / folder)

    def read_folder(self, folder: str, names: Sequence[str]) -> dict[str, bytes] | None:
        if not self.has_folder(folder):
            return None
        found = {}
        for name in names if (self.local / folder).is_dir() else ():
            with contextlib.suppress(FileNotFoundError):
                found[name] = regular_files.read(self.local / folder / name)
        return found

    def write_folder(self, folder: str, files: Mapping[str, bytes]) -> None:
        target = self.local / folder
        if target.is_dir():
            return
        temporary = _temporary_path(target)
        try:
            temporary.mkdir(parents=True)
            for name, data in files.items():
                (temporary / name).write_bytes(data)
            os.rename(temporary, target)
        except OSError:
            if not target.is_dir():  # otherwise another writer was first, and its folder is kept
                raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)  # also after Ctrl-C

    def remove_folder(self, folder: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            temporary = _temporary_path(self.local / folder)
            os.rename(self.local / folder, temporary)  # atomic: the folder is never half removed
            with contextlib.suppress(OSError):
                _remove(temporary)

    def remove_tree(self, folder: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            _remove(self.local / folder)

    @contextlib.contextmanager
    def as_local(self, folder: str) -> Iterator[Path]:
        if not (self.local / folder).is_dir():
            raise FileNotFoundError(errno.ENOENT, "no such folder", str(self.local / folder))
        yield self.local / folder

    def location(self, path: str) -> str:
        return str(self.local / path)

    def remove_partial(self, parent: str, active: Iterable[str], age: float, finished: Collection[str] = ()) -> int:
        skipped, candidates = set(active), []
        for entry in _scan(self.local / parent):
            match = _PARTIAL.fullmatch(entry.name)
            if match and match[1] not in skipped:
                candidates.append((entry, -math.inf if match[1] in finished else age))
        if not candidates:
            return 0
        now, removed = self._now(parent), 0
        for entry, limit in candidates:
            with contextlib.suppress(OSError):
                if now - entry.stat(follow_symlinks=False).st_mtime > limit:
                    _remove(Path(entry.path))
                    removed += 1
        return removed

    def _now(self, parent: str) -> float:
        """The file system's current time: that of a file just written."""
        probe = self.local / parent / f".now-{uuid.uuid4().hex}"
        probe.touch()
        try:
            return probe.stat().st_mtime
        finally:
            probe.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _temporary_file(self, path: Path, data: bytes) -> Iterator[Path]:
        temporary = _temporary_path(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(data)
            yield temporary
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink()


def _temporary_path(path: Path) -> Path:
    """A unique hidden name, in the same folder so that renaming is atomic. Listings skip hidden names."""
    return path.with_name(f".{path.name}-{uuid.uuid4().hex}")


def _create_exclusively(path: Path, data: bytes) -> bool:
    """For file systems without hard links. A reader may see the file before its content is complete."""
    try:
        with path.open("xb") as file:
            file.write(data)
    except FileExistsError:
        return False
    return True


def _scan(folder: Path) -> list["os.DirEntry[str]"]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except FileNotFoundError:
        return []


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _usage(path: Path) -> Usage:
    """Of a file, or of all files in a folder. Links are not followed."""
    own = path.lstat()
    if not stat.S_ISDIR(own.st_mode):
        return Usage(own.st_size, own.st_mtime)
    files = [entry.stat(follow_symlinks=False) for entry in _scan(path)]
    return Usage(sum(one.st_size for one in files), max((one.st_mtime for one in files), default=own.st_mtime))


def _remove(path: Path) -> None:
    if _is_folder(path):
        shutil.rmtree(path)
    else:
        path.unlink()
