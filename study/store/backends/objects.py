"""Object storage through fsspec: s3://, gs:// and whatever else it opens.

Objects are whole or absent, but there is no renaming, so a folder is written in two steps:

    NAME.UUID/FILE ...   the files, under a name that no other writer uses
    NAME                 one small object that says which of these folders counts, written last and only if absent

Readers begin with NAME, so that a folder is theirs whole or not at all, and of two writers the first one's stays.
Whether "only if absent" is one step is the service's to say: S3, Google's storage and present MinIO do it. Where the
request is not known, a look before and a look after leave a gap of milliseconds between two writers.
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
from study.utils.redact import masked

_FOLDER = re.compile(r"[^/]+\.[0-9a-f]{32}")


class Objects:
    """Storage below one prefix of a bucket. Credentials are the environment's, found in the service's usual order."""

    def __init__(self, address: str) -> None:
        addresses.check(address)
        self.address = address.rstrip("/")
        scheme = address.partition(":")[0]
        import fsspec  # type: ignore[import-untyped]  # it ships no types

        for name in ("gcsfs", "google.auth"):  # they log what they raise as well, with tracebacks
            logging.getLogger(name).setLevel(logging.CRITICAL)
        try:
            # others write here too; and the environment may have changed since the last one was opened
            options = {"use_listings_cache": False, "skip_instance_cache": True}
            self._fs, root = fsspec.core.url_to_fs(self.address, **options)
        except (ImportError, ValueError):
            raise addresses.no_package(scheme) from None
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
        with self._spoken():
            return bytes(self._fs.cat_file(self._at(path)))

    def write(self, path: str, data: bytes) -> None:
        with self._spoken(), self._in_a_bucket():
            self._fs.pipe_file(self._at(path), data)

    def create(self, path: str, data: bytes) -> bool:
        place = self._at(path)
        with self._spoken(), self._in_a_bucket():
            if self._fs.exists(place):
                return False
            try:
                self._fs.pipe_file(place, data, mode="create")
            except FileExistsError:
                return False
            except NotImplementedError:  # a service that does not know the request
                self._fs.pipe_file(place, data)
            return bytes(self._fs.cat_file(place)) == data

    def remove(self, path: str) -> None:
        with self._spoken(), contextlib.suppress(FileNotFoundError):
            self._fs.rm_file(self._at(path))

    def listed(self, folder: str) -> dict[str, float]:
        return {_name(entry): _written(entry) for entry in self._entries(folder) if entry["type"] == "file"}

    def written(self, path: str) -> float | None:
        try:
            with self._spoken():
                return _written(self._fs.info(self._at(path), refresh=True))
        except FileNotFoundError:
            return None

    def folders(self, parent: str) -> list[str]:
        return list(self.listed(parent))

    def has_folder(self, folder: str) -> bool:
        with self._spoken():
            return bool(self._fs.exists(self._at(folder)))

    def read_folder(self, folder: str, names: Sequence[str]) -> dict[str, bytes] | None:
        try:
            found = self._whole(folder)
        except FileNotFoundError:
            return None
        if found is None:
            return {}
        places = {self._at(f"{found}/{name}"): name for name in names}
        with self._spoken():
            answers = self._fs.cat(list(places), on_error="return")
            for answer in answers.values():
                if isinstance(answer, Exception) and not isinstance(answer, FileNotFoundError):
                    raise answer  # a service that does not answer does not make a file missing
        return {places[place]: bytes(answer) for place, answer in answers.items() if isinstance(answer, bytes)}

    def write_folder(self, folder: str, files: Mapping[str, bytes]) -> None:
        if self.has_folder(folder):
            return
        name = f"{folder}.{uuid.uuid4().hex}"
        kept = False
        try:
            with self._spoken(), self._in_a_bucket():
                self._fs.pipe({self._at(f"{name}/{file}"): data for file, data in files.items()})
            kept = self.create(folder, json.dumps({"folder": name.rpartition("/")[2]}).encode())
        finally:
            if not kept:
                with contextlib.suppress(OSError):
                    self._remove_below(name)

    def remove_folder(self, folder: str) -> None:
        try:
            whole = self._whole(folder)
        except FileNotFoundError:
            return
        self.remove(folder)  # first, so that nobody takes the rest for whole
        if whole is not None:
            self._remove_below(whole)

    @contextlib.contextmanager
    def as_local(self, folder: str) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="study-") as place:
            whole = self._whole(folder)
            for name in self.listed(whole) if whole is not None else ():
                (Path(place) / Path(name).name).write_bytes(self.read(f"{whole}/{name}"))
            yield Path(place)

    def place_of(self, folder: str) -> str:
        return f"{self.address}/{folder}"

    def sweep(self, parent: str, keep: Iterable[str], age: float, ended: Collection[str] = ()) -> int:
        entries = self._entries(parent)
        begun = [_name(entry) for entry in entries if entry["type"] == "directory" and _FOLDER.fullmatch(_name(entry))]
        whole = {_name(entry) for entry in entries if entry["type"] == "file"} | set(keep)
        swept = 0
        for name in begun:
            key = name.rpartition(".")[0]
            if key not in whole and self._now() - max(self.listed(f"{parent}/{name}").values(), default=0.0) > age:
                self._remove_below(f"{parent}/{name}")
                swept += 1
        return swept

    def _whole(self, folder: str) -> str | None:
        """The path of the folder that counts; None where the object that says so is damaged."""
        try:
            name = json.loads(self.read(folder))["folder"]
        except (ValueError, KeyError, TypeError):
            return None
        parent, _, key = folder.rpartition("/")
        # what is stored is data: it names a folder beside it, and nothing else
        return (
            f"{parent}/{name}".lstrip("/")
            if isinstance(name, str) and re.fullmatch(rf"{key}\.[0-9a-f]{{32}}", name)
            else None
        )

    def _now(self) -> float:
        """The storage's own time: that of an object just written."""
        name = f"now-{uuid.uuid4().hex}"
        self.write(f"probes/{name}", b"")
        try:
            return self.listed("probes")[name]
        finally:
            self.remove(f"probes/{name}")

    def _entries(self, folder: str) -> list[dict[str, Any]]:
        """One listing, paged by fsspec."""
        try:
            with self._spoken():
                found: list[dict[str, Any]] = self._fs.ls(self._at(folder), detail=True, refresh=True)
        except FileNotFoundError:
            self._check_bucket()
            return []
        return [entry for entry in found if entry["name"].rstrip("/") != self._at(folder)]

    def _check_bucket(self) -> None:
        """An empty listing may be that of a bucket that is not there."""
        if not self.address.startswith("memory:"):  # its buckets come into being by being written to
            with self._spoken(), self._in_a_bucket():
                self._fs.ls(self._bucket, refresh=True)

    @property
    def _bucket(self) -> str:
        return str(self._root).strip("/").partition("/")[0]

    @contextlib.contextmanager
    def _in_a_bucket(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise OSError(errno.ENXIO, f"there is no bucket {self._bucket!r}, or it may not be seen") from None

    def _remove_below(self, folder: str) -> None:
        with self._spoken(), contextlib.suppress(FileNotFoundError):
            self._fs.rm(self._at(folder), recursive=True)

    def _at(self, path: str) -> str:
        return f"{self._root}/{path}"

    @contextlib.contextmanager
    def _spoken(self) -> Iterator[None]:
        """Whatever the service's client raises, as an OSError with one line for people."""
        try:
            yield
        except (FileNotFoundError, FileExistsError):
            raise
        except Exception as error:
            said = " ".join(str(error).split()) or type(error).__name__
            number = error.errno if isinstance(error, OSError) and error.errno else errno.EIO
            raise OSError(
                number, masked(error.strerror if isinstance(error, OSError) and error.strerror else said)[:300]
            ) from None


def _name(entry: Mapping[str, Any]) -> str:
    return str(entry["name"]).rstrip("/").rpartition("/")[2]


def _written(entry: Mapping[str, Any]) -> float:
    """When an object was written; services call it by different names."""
    for name in ("LastModified", "mtime", "updated", "created"):
        value = entry.get(name)
        if isinstance(value, datetime):
            return value.timestamp()
        if isinstance(value, str):
            return datetime.fromisoformat(value).timestamp()
        if isinstance(value, int | float):
            return float(value)
    return 0.0
