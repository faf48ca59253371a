"""What the file of a data set, or of a family of them, defines."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from study.vit.data.dataset import DatasetInfo

if TYPE_CHECKING:
    from study.vit.data.arrays import Decoded


class Source(ABC):
    """Where one data set comes from; `name` is what stands in the grid.

    Importing the file, making the source and describing it stay light (no torch, datasets or scikit-learn), because
    plans do so. Everything raises StudyError where the data are not what they should be.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    @abstractmethod
    def describe(self) -> DatasetInfo:
        """What is known without decoding images."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Text that changes whenever what `read` returns would change; found quickly."""

    @abstractmethod
    def read(self, size: int) -> Decoded:
        """All splits, as `study.vit.data.load` describes them for `size`."""

    def available(self) -> None:
        """Raise StudyError if `read` could not get at its files."""
        self.describe()
