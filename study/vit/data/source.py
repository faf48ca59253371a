"""The base class of data sets: what the file of a data set, or of a family of them, defines."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING

from study.vit.data.dataset import DatasetInfo

if TYPE_CHECKING:
    from study.vit.data.arrays import Decoded


class Source(ABC):
    """The origin of one data set; `name` is its name in the grid.

    Importing the file, creating the source and describing it must not import torch, datasets or scikit-learn, because
    `study plan` does so. All methods raise StudyError for invalid data.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    @abstractmethod
    def describe(self) -> DatasetInfo:
        """The description, without decoding images."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Text that changes whenever the result of `read` would change; quick to compute."""

    def content(self) -> str | None:
        """SHA-256 of the files of own data, whatever their path; None for data sets that their name identifies."""
        return None

    def shares(self) -> Mapping[str, Fraction]:
        """The splits that are taken from train by content, and their shares of it; without one that the data give.

        `resample` draws these splits anew. Their images need fingerprints.
        """
        return {}

    @abstractmethod
    def read(self, size: int) -> Decoded:
        """All splits at `size`, see `study.vit.data.load`."""

    def available(self) -> None:
        """Raise StudyError if `read` could not read its files."""
        self.describe()
