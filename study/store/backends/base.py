"""What a store asks of the place where its files lie."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol


class Storage(Protocol):
    """Files by relative path with `/` in it, and folders that are whole or absent.

    Every method raises OSError, with a `strerror` for people, where the place cannot be reached, read or written. Times
    are seconds of the storage's own clock, so that they can be compared whatever the clocks of its users say.
    """

    @property
    def address(self) -> str:
        """What names this place on every machine that sees it: an absolute path, or scheme://BUCKET/NAME."""

    @property
    def local(self) -> Path:
        """A folder of this machine: the place itself, or what stands in where a file of its own is needed."""

    def prepare(self) -> None:
        """Make sure that files can be written."""

    def read(self, path: str) -> bytes:
        """A file's bytes. Raises FileNotFoundError."""

    def write(self, path: str, data: bytes) -> None:
        """Write a file, whole or not at all; one that is there is replaced."""

    def create(self, path: str, data: bytes) -> bool:
        """Write a file unless it is there; of several writers at the same moment one gets True."""

    def remove(self, path: str) -> None:
        """Remove a file, if it is there."""

    def listed(self, folder: str) -> dict[str, float]:
        """The files directly in a folder, and when each was written."""

    def written(self, path: str) -> float | None:
        """When a file was written; None where there is none."""

    def folders(self, parent: str) -> list[str]:
        """The names of the whole folders in `parent`."""

    def has_folder(self, folder: str) -> bool:
        """Whether a whole folder is there."""

    def read_folder(self, folder: str, names: Sequence[str]) -> dict[str, bytes] | None:
        """Those of the named files that a whole folder holds; None where there is no such folder."""

    def write_folder(self, folder: str, files: Mapping[str, bytes]) -> None:
        """Write a folder that is then whole. Of several writers of one folder the first one's stays."""

    def remove_folder(self, folder: str) -> None:
        """Remove a folder, if it is there."""

    def as_local(self, folder: str) -> AbstractContextManager[Path]:
        """A whole folder as one of this machine, for as long as the context lasts. Raises FileNotFoundError."""

    def place_of(self, folder: str) -> str:
        """The folder's path or address, for messages."""

    def sweep(self, parent: str, keep: Iterable[str], age: float, ended: Collection[str] = ()) -> int:
        """Remove what writers of folders in `parent` left unfinished more than `age` seconds ago, save of the folders
        named in `keep`; of those in `ended` nothing is being written any more, and where that can be told apart, it
        goes at any age. Returns how many were removed."""
