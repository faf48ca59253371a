"""A folder of this machine, or of a file system that machines share. What is renamed into place is whole."""

import contextlib
import errno
import math
import os
import re
import shutil
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

_UNFINISHED = re.compile(r"\.(.+)-[0-9a-f]{32}")
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EINVAL}


class Folder:
    """Storage in a folder."""

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
        return (self.local / path).read_bytes()

    def write(self, path: str, data: bytes) -> None:
        with self._written_beside(self.local / path, data) as temporary:
            os.replace(temporary, self.local / path)

    def create(self, path: str, data: bytes) -> bool:
        target = self.local / path
        with self._written_beside(target, data) as temporary:
            try:
                os.link(temporary, target)  # unlike a rename it fails where the name is taken; holds on NFS too
            except FileExistsError:
                return False
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                return _create_exclusively(target, data)
        return True

    def remove(self, path: str) -> None:
        (self.local / path).unlink(missing_ok=True)

    def listed(self, folder: str) -> dict[str, float]:
        found = {}
        for entry in _scan(self.local / folder):
            with contextlib.suppress(FileNotFoundError):  # gone since
                if entry.is_file() and not entry.name.startswith("."):
                    found[entry.name] = entry.stat().st_mtime
        return found

    def written(self, path: str) -> float | None:
        try:
            return (self.local / path).stat().st_mtime
        except FileNotFoundError:
            return None

    def folders(self, parent: str) -> list[str]:
        # asking each for its kind would take a call per entry, and nothing but folders is written here
        return [entry.name for entry in _scan(self.local / parent) if not entry.name.startswith(".")]

    def has_folder(self, folder: str) -> bool:
        return (self.local / folder).is_dir()

    def read_folder(self, folder: str, names: Sequence[str]) -> dict[str, bytes] | None:
        if not self.has_folder(folder):
            return None
        found = {}
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                found[name] = (self.local / folder / name).read_bytes()
        return found

    def write_folder(self, folder: str, files: Mapping[str, bytes]) -> None:
        target = self.local / folder
        if target.is_dir():
            return
        temporary = _beside(target)
        try:
            temporary.mkdir(parents=True)
            for name, data in files.items():
                (temporary / name).write_bytes(data)
            os.rename(temporary, target)
        except OSError:
            if not target.is_dir():  # a lost race leaves the winner's folder; anything else is a real failure
                raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)  # also where Ctrl-C ends the writing

    def remove_folder(self, folder: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            aside = _beside(self.local / folder)
            os.rename(self.local / folder, aside)  # gone at once, never half there
            shutil.rmtree(aside, ignore_errors=True)

    @contextlib.contextmanager
    def as_local(self, folder: str) -> Iterator[Path]:
        if not self.has_folder(folder):
            raise FileNotFoundError(errno.ENOENT, "no such folder", str(self.local / folder))
        yield self.local / folder

    def place_of(self, folder: str) -> str:
        return str(self.local / folder)

    def sweep(self, parent: str, keep: Iterable[str], age: float, ended: Collection[str] = ()) -> int:
        probe = f"{parent}/.now-{uuid.uuid4().hex}"
        kept, old = set(keep), []
        for entry in _scan(self.local / parent):
            match = _UNFINISHED.fullmatch(entry.name)
            if match and match[1] not in kept:
                old.append((entry, -math.inf if match[1] in ended else age))
        if not old:
            return 0
        (self.local / probe).touch()
        now = (self.local / probe).stat().st_mtime
        (self.local / probe).unlink(missing_ok=True)
        swept = 0
        for entry, allowed in old:
            with contextlib.suppress(OSError):
                if now - entry.stat(follow_symlinks=False).st_mtime > allowed:
                    _remove(Path(entry.path))
                    swept += 1
        return swept

    @contextlib.contextmanager
    def _written_beside(self, path: Path, data: bytes) -> Iterator[Path]:
        temporary = _beside(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(data)
            yield temporary
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink()


def _beside(path: Path) -> Path:
    """A name nobody else uses, in the same folder so that renaming is atomic; listings skip it."""
    return path.with_name(f".{path.name}-{uuid.uuid4().hex}")


def _create_exclusively(path: Path, data: bytes) -> bool:
    """For file systems without hard links; a reader may see the file before its content."""
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


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
