"""A data set: its description, available without reading it, and its images and labels as tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class DatasetInfo:
    """The description of a data set, available without decoding its images."""

    name: str  # as written in a grid
    image_size: int | None  # height = width in pixels of every image; None where images vary or are not square
    channels: int  # 1 grey, 3 colour
    classes: int | None  # None: no labels, for pre-training only
    splits: dict[str, int] | None  # images in train, validation and test; None if unknown before reading
    description: str
    source: str  # where it comes from and what to cite
    licence: str
    class_names: tuple[str, ...] | None = None  # in the order of the labels; None: no labels, or names not recorded
    white: Mapping[str, float] | None = None  # the value of white of deep images, see `deep`; None: not read yet
    uniform_images: int | None = None  # images of nearly one colour, see `arrays.uniform`; None: not counted
    counts: Mapping[str, Sequence[int]] | None = None  # images per class, or of all without labels; see below
    origins: Mapping[str, str] | None = None  # where each split comes from
    left_out: tuple[str, ...] = ()  # files that are not read, and why
    in_train: Mapping[str, int] | None = None  # images of other splits that are also in train; None: not compared

    # `counts` has the splits that are given. After reading it also has those that were taken from train.

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> DatasetInfo:
        """The description from its fields as JSON, which has lists for tuples."""
        fields: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in record.items()}
        return cls(**fields)


@dataclass(frozen=True)
class Split:
    """Images and labels of one part of a data set. Shared within the process: never write to them."""

    images: torch.Tensor  # (N, C, H, W) uint8
    labels: torch.Tensor | None  # (N,) int64 from 0 to classes - 1; None if the data set has no labels
    prints: torch.Tensor | None = None  # (N, 32) uint8 fingerprints on the CPU; None if no split is by content

    def __len__(self) -> int:
        return len(self.images)

    def take(self, rows: torch.Tensor) -> Split:
        """The images at these rows, in this order."""
        near = rows.to(self.images.device)
        labels = None if self.labels is None else self.labels[near]
        return Split(self.images[near], labels, None if self.prints is None else self.prints[rows.cpu()])


@dataclass(frozen=True)
class Dataset:
    """A data set on a device. Splits are the same for every trial, unless they are drawn anew by replicate.

    A split that was taken from train has no file in common with it. Given splits may: `info.in_train` has the number,
    which `plan`, `run` and the report show. Models are selected on validation data and reported on test data. Without
    labels the test split is empty.
    """

    info: DatasetInfo
    train: Split
    validation: Split
    test: Split
    digest: str  # SHA-256 of all images and labels as loaded, in hexadecimal, before splits are drawn anew

    def facts(self) -> dict[str, Any]:
        """What using a trained model needs to know, as plain JSON: names of the classes, and how images were loaded."""
        return {
            "class_names": None if self.info.class_names is None else list(self.info.class_names),
            "images": {
                "side": self.train.images.shape[-1],
                "channels": self.info.channels,
                "white": dict(self.info.white or {}),
            },
        }
