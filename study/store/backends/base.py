"""The interface of a storage backend."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Usage:
    """How large a file or a complete folder is, and when it was last written."""

    size: int  # bytes
    modified: float


class Storage(Protocol):
    """Files by relative path (separator `/`), and folders that are either complete or absent.

    All methods raise OSError with a readable `strerror` if the storage cannot be reached, read or written. Times are in
    seconds by the storage's own clock, so they can be compared even if the clocks of its clients differ.
    """

    @property
    def address(self) -> str:
        """The storage's absolute path or URL, valid on every machine that shares it."""

    @property
    def local(self) -> Path:
        """A local folder: the storage itself, or a substitute for files that must be local."""

    def prepare(self) -> None:
        """Create the storage and check that it is writable."""

    def read(self, path: str) -> bytes:
        """A file's content. Raises FileNotFoundError."""

    def write(self, path: str, data: bytes) -> None:
        """Write a file atomically, replacing an existing one."""

    def create(self, path: str, data: bytes) -> bool:
        """Write a file if it does not exist. Of several concurrent writers, exactly one gets True."""

    def remove(self, path: str) -> None:
        """Remove a file if it exists."""

    def list_files(self, folder: str) -> dict[str, float]:
        """The files directly in a folder, with their modification times."""

    def modified(self, path: str) -> float | None:
        """A file's modification time, or None if it does not exist."""

    def list_folders(self, parent: str) -> list[str]:
        """The names of the complete folders in `parent`."""

    def usage(self, parent: str) -> dict[str, Usage]:
        """The files and complete folders in `parent`, by name."""

    def has_folder(self, folder: str) -> bool:
        """Whether a complete folder exists."""

    def read_folder(self, folder: str, names: Sequence[str]) -> dict[str, bytes] | None:
        """The content of the named files, as far as they exist; None if the folder does not exist."""

    def write_folder(self, folder: str, files: Mapping[str, bytes]) -> None:
        """Write a folder atomically. If two writers write the same folder, the first one is kept."""

    def remove_folder(self, folder: str) -> None:
        """Remove a folder if it exists."""

    def remove_tree(self, folder: str) -> None:
        """Remove all files below a folder, whoever wrote them. Not atomic; nothing happens if there is none."""

    def as_local(self, folder: str) -> AbstractContextManager[Path]:
        """A complete folder as a local one, valid inside the context. Raises FileNotFoundError."""

    def location(self, path: str) -> str:
        """The full path or URL of a file or folder, for messages."""

    def remove_partial(self, parent: str, active: Iterable[str], age: float, finished: Collection[str] = ()) -> int:
        """Remove partial writes in `parent` that are older than `age` seconds; return how many were removed.

        Names in `active` are skipped. Partial writes of names in `finished` are removed at any age where the backend
        can identify them.
        """
