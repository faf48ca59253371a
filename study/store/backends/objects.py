"""Object storage through fsspec: s3://, gs:// and any other scheme fsspec supports.

Writing one object is atomic, but there is no rename, so a folder is written in two steps:

    NAME.UUID/FILE ...   the files, in a uniquely named folder
    NAME                 a small marker object with the name of that folder, created last and only if absent

Readers start at the marker, so they see a complete folder or none, and of two writers the first one is kept. Anything
else called NAME, such as objects below it that were copied from a local store, counts as a damaged folder. S3, Google
Cloud Storage and current MinIO support "create only if absent" as one atomic request. For services that do not, the
marker is checked before and after writing, which leaves a race of milliseconds between two writers.
"""

import contextlib
import errno
import hashlib
import json
import logging
import re
import tempfile
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from study.store.backends import address as addresses
from study.store.backends.base import Usage
from study.utils import json_text
from study.utils.redact import masked

_FOLDER = re.compile(r"[^/]+\.[0-9a-f]{32}")


class Objects:
    """Storage backend for a prefix of a bucket. Credentials come from the environment, in the service's usual order."""

    def __init__(self, address: str) -> None:
        addresses.check(address)
        self.address = address.rstrip("/")
        scheme = address.partition(":")[0]
        import fsspec  # type: ignore[import-untyped]  # fsspec has no type stubs

        for name in ("gcsfs", "google.auth"):  # they log every exception in addition to raising it
            logging.getLogger(name).setLevel(logging.CRITICAL)
        try:
            # no caches: other processes write here, and credentials in the environment may have changed
            options = {"use_listings_cache": False, "skip_instance_cache": True}
            self._fs, root = fsspec.core.url_to_fs(self.address, **options)
        except (ImportError, ValueError):
            raise addresses.unsupported(scheme) from None
        self._root = root.rstrip("/")

    @property
    def local(self) -> Path:
        name = re.sub(r"[^\w.-]+", "-", self.address.replace("://", "-"))
        return Path(".study") / f"{name[:80]}-{hashlib.sha256(self.address.encode()).hexdigest()[:8]}"

    def prepare(self) -> None:
        name = f"probe-{uuid.uuid4().hex}"
        self.write(name, b"\0")
        self.remove(name)

    def read(self, path: str) -> bytes:
        with self._service_errors():
            return bytes(self._fs.cat_file(self._at(path)))

    def write(self, path: str, data: bytes) -> None:
        with self._service_errors(), self._missing_bucket():
            self._fs.pipe_file(self._at(path), data)

    def create(self, path: str, data: bytes) -> bool:
        target = self._at(path)
        with self._service_errors(), self._missing_bucket():
            if self._fs.exists(target):
                return False
            try:
                self._fs.pipe_file(target, data, mode="create")
            except FileExistsError:
                return False
            except NotImplementedError:  # a service without conditional writes
                self._fs.pipe_file(target, data)
            return bytes(self._fs.cat_file(target)) == data

    def remove(self, path: str) -> None:
        with self._service_errors(), contextlib.suppress(FileNotFoundError):
            self._fs.rm_file(self._at(path))

    def list_files(self, folder: str) -> dict[str, float]:
        return {_name(entry): _modification_time(entry) for entry in self._entries(folder) if entry["type"] == "file"}

    def modified(self, path: str) -> float | None:
        try:
            with self._service_errors():
                return _modification_time(self._fs.info(self._at(path), refresh=True))
        except FileNotFoundError:
            return None

    def list_folders(self, parent: str) -> list[str]:
        names = dict.fromkeys(_name(entry) for entry in self._entries(parent))
        return [name for name in names if not _FOLDER.fullmatch(name)]

    def usage(self, parent: str) -> dict[str, Usage]:
        """From one listing. The size of a folder includes that of its marker."""
        with self._service_errors():
            entries = self._fs.find(self._at(parent), detail=True).values()
        if not entries:
            self._check_bucket()
        start, found = f"{self._at(parent)}/", dict[str, Usage]()
        for entry in sorted(entries, key=lambda entry: "/" in entry["name"].removeprefix(start)):  # markers first
            name, _, inside = entry["name"].removeprefix(start).partition("/")
            if inside and _FOLDER.fullmatch(name):
                name = name.rpartition(".")[0]
                if name not in found:
                    continue  # a partial write, which has no marker
            before = found.get(name, Usage(0, 0.0))
            found[name] = Usage(before.size + int(entry["size"] or 0), max(before.modified, _modification_time(entry)))
        return found

    def has_folder(self, folder: str) -> bool:
        with self._service_errors():
            return bool(self._fs.exists(self._at(folder)))

    def read_folder(self, folder: str, names: Sequence[str]) -> dict[str, bytes] | None:
        try:
            found = self._marked_folder(folder)
        except FileNotFoundError:
            return {} if self.has_folder(folder) else None
        if found is None:
            return {}
        name_of = {self._at(f"{found}/{name}"): name for name in names}
        with self._service_errors():
            answers = self._fs.cat(list(name_of), on_error="return")
            for answer in answers.values():
                if isinstance(answer, Exception) and not isinstance(answer, FileNotFoundError):
                    raise answer  # a service error does not mean that the file is missing
        return {name_of[target]: bytes(answer) for target, answer in answers.items() if isinstance(answer, bytes)}

    def write_folder(self, folder: str, files: Mapping[str, bytes]) -> None:
        if self.has_folder(folder):
            return
        name = f"{folder}.{uuid.uuid4().hex}"
        created = False
        try:
            with self._service_errors(), self._missing_bucket():
                self._fs.pipe({self._at(f"{name}/{file}"): data for file, data in files.items()})
            created = self.create(folder, json.dumps({"folder": name.rpartition("/")[2]}).encode())
        finally:
            if not created:
                with contextlib.suppress(OSError):
                    self.remove_tree(name)

    def remove_folder(self, folder: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            found = self._marked_folder(folder)
            self.remove(folder)  # the marker first: without it the folder is absent
            if found is not None:
                self.remove_tree(found)
        self.remove_tree(folder)  # anything else of this name

    def remove_tree(self, folder: str) -> None:
        with self._service_errors(), contextlib.suppress(FileNotFoundError):
            self._fs.rm(self._at(folder), recursive=True)

    @contextlib.contextmanager
    def as_local(self, folder: str) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="study-") as temporary:
            found = self._marked_folder(folder)
            for name in self.list_files(found) if found is not None else ():
                (Path(temporary) / Path(name).name).write_bytes(self.read(f"{found}/{name}"))
            yield Path(temporary)

    def location(self, path: str) -> str:
        return f"{self.address}/{path}"

    def remove_partial(self, parent: str, active: Iterable[str], age: float, finished: Collection[str] = ()) -> int:
        entries = self._entries(parent)
        folders = [_name(entry) for entry in entries if entry["type"] == "directory"]
        skipped = {_name(entry) for entry in entries if entry["type"] == "file"} | set(active)
        removed = 0
        for name in filter(_FOLDER.fullmatch, folders):
            key = name.rpartition(".")[0]
            written = self.list_files(f"{parent}/{name}").values() if key not in skipped else ()
            if key not in skipped and self._now() - max(written, default=0.0) > age:
                self.remove_tree(f"{parent}/{name}")
                removed += 1
        return removed

    def _marked_folder(self, folder: str) -> str | None:
        """The path of the folder that the marker names; None if the marker is damaged. Raises FileNotFoundError."""
        try:
            name = json_text.parse(self.read(folder))["folder"]
        except (ValueError, KeyError, TypeError):
            return None
        parent, _, key = folder.rpartition("/")
        if not isinstance(name, str) or not re.fullmatch(rf"{key}\.[0-9a-f]{{32}}", name):
            return None  # untrusted content: accept nothing but a folder beside the marker
        return f"{parent}/{name}".lstrip("/")

    def _now(self) -> float:
        """The service's current time: that of an object just written."""
        name = f"now-{uuid.uuid4().hex}"
        self.write(f"probes/{name}", b"")
        try:
            return self.list_files("probes")[name]
        finally:
            self.remove(f"probes/{name}")

    def _entries(self, folder: str) -> list[dict[str, Any]]:
        """The files and folders directly in a folder; fsspec handles paging."""
        try:
            with self._service_errors():
                found: list[dict[str, Any]] = self._fs.ls(self._at(folder), detail=True, refresh=True)
        except FileNotFoundError:
            self._check_bucket()
            return []
        return [entry for entry in found if entry["name"].rstrip("/") != self._at(folder)]

    def _check_bucket(self) -> None:
        """Raise OSError if the bucket does not exist: its listing is empty, too."""
        if not self.address.startswith("memory:"):  # where the first write creates the bucket
            with self._service_errors(), self._missing_bucket():
                self._fs.ls(self._bucket, refresh=True)

    @property
    def _bucket(self) -> str:
        return str(self._root).strip("/").partition("/")[0]

    @contextlib.contextmanager
    def _missing_bucket(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise OSError(errno.ENXIO, f"bucket {self._bucket!r} not found, or access denied") from None

    def _at(self, path: str) -> str:
        return f"{self._root}/{path}"

    @contextlib.contextmanager
    def _service_errors(self) -> Iterator[None]:
        """Convert exceptions of the service's client to OSError with a one-line message."""
        try:
            yield
        except (FileNotFoundError, FileExistsError):
            raise
        except Exception as error:
            number = error.errno if isinstance(error, OSError) and error.errno else errno.EIO
            message = error.strerror if isinstance(error, OSError) and error.strerror else " ".join(str(error).split())
            raise OSError(number, masked(message or type(error).__name__)[:300]) from None


def _name(entry: Mapping[str, Any]) -> str:
    return str(entry["name"]).rstrip("/").rpartition("/")[2]


def _modification_time(entry: Mapping[str, Any]) -> float:
    """When an object was written. The name of this field depends on the service."""
    for name in ("LastModified", "mtime", "updated", "created"):
        value = entry.get(name)
        if isinstance(value, datetime):
            return value.timestamp()
        if isinstance(value, str):
            return datetime.fromisoformat(value).timestamp()
        if isinstance(value, int | float):
            return float(value)
    return 0.0
