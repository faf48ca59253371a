"""Training and evaluation batches, computed on the device from whole uint8 splits.

Shapes: N or B images, C channels, H height, W width, K classes.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from study.utils.errors import StudyError
from study.vit import settings
from study.vit.data import Dataset, Split, load
from study.vit.resampling import FIXED, Resampling
from study.vit.training.augment import Draws, augment
from study.vit.training.images import Normalization, fit_images, shares
from study.vit.training.seeds import generator

VALUES_AT_ONCE = 2**20  # pixel values augmented at a time: many small batches share a pass, a large one has its own
EVALUATED_AT_ONCE = 256  # images; take half a GiB with size S at 36 px


@dataclass(frozen=True)
class Prepared:
    """A data set with the image size and channels of an encoder."""

    dataset: Dataset
    train: Split
    validation: Split
    normalization: Normalization  # of the training images; also used for validation and test images
    size: int
    channels: int

    def fitted(self, split: Split) -> Split:
        """A split with the image size and channels of the encoder."""
        return _fitted(split, self.size, self.channels)


def prepare(
    recipe: settings.Recipe, encoder: settings.Encoder, device: torch.device, resampling: Resampling = FIXED
) -> Prepared:
    """Load a recipe's data set with the encoder's image size and channels.

    Raises StudyError for an unknown data set, one without validation images, or one with fewer training images than
    `train_images`.
    """
    dataset = load(recipe.dataset, encoder.image_size, str(device), resampling.split)
    if not len(dataset.validation):
        raise StudyError(f"data set {recipe.dataset!r} has no validation images; training requires some")
    train = _fitted(_subset(dataset, recipe, resampling.train_images or 0), encoder.image_size, encoder.channels)
    validation = _fitted(dataset.validation, encoder.image_size, encoder.channels)
    normalization = Normalization.of(train.images)
    return Prepared(dataset, train, validation, normalization, encoder.image_size, encoder.channels)


def _fitted(split: Split, size: int, channels: int) -> Split:
    return Split(fit_images(split.images, size, channels), split.labels)


def _subset(dataset: Dataset, recipe: settings.Recipe, seed: int) -> Split:
    if recipe.train_images is None:
        return dataset.train
    return draw(dataset.train, recipe.train_images, recipe.dataset, seed)


def draw(split: Split, count: int, name: str, seed: int = 0) -> Split:
    """A stratified subset of `count` images: the same in every trial with this seed, and contained in every larger one.

    Raises StudyError if the split is smaller; `name` is the name of the data set, for the message.
    """
    if count > len(split):
        raise StudyError(f"train_images {count} exceeds the {len(split)} training images of data set {name!r}")
    order_N = torch.randperm(len(split), generator=generator(torch.device("cpu"), seed, "train images"))
    if split.labels is not None:
        order_N = _by_class(order_N, split.labels.cpu())
    return split.take(order_N[:count].sort().values)


def _by_class(order_N: Tensor, labels_N: Tensor) -> Tensor:
    """The order rearranged so that each prefix contains the classes in proportion."""
    place_N = torch.empty(len(order_N), dtype=torch.float64)
    for label in range(int(labels_N.max()) + 1):
        members = order_N[labels_N[order_N] == label]
        place_N[members] = (torch.arange(len(members), dtype=torch.float64) + 0.5) / len(members)
    return order_N[place_N[order_N].argsort(stable=True)]


def equal_batches(count: int, largest: int) -> tuple[int, int]:
    """(steps, images per step) of an epoch: the fewest equal batches of at most `largest` images.

    Equal, so that every image has the same weight and only one shape is compiled. The remainder (less than one image
    per step) is left out of this epoch; every epoch is shuffled anew, so other images are left out of the next.
    """
    steps = -(-count // largest)
    return steps, count // steps


@dataclass(frozen=True)
class TrainingBatches:
    """A training split in shuffled, augmented, normalized batches. Randomness derives from (seed, epoch)."""

    images_NCHW: Tensor  # uint8
    normalization: Normalization
    augment: settings.Augment
    largest: int  # images per step, at most
    seed: int

    @property
    def steps(self) -> int:
        return equal_batches(len(self.images_NCHW), self.largest)[0]

    @property
    def size(self) -> int:
        return equal_batches(len(self.images_NCHW), self.largest)[1]

    def order(self, epoch: int) -> Tensor:
        """(steps * size,) rows of the split, shuffled."""
        device = self.images_NCHW.device
        draws = generator(device, self.seed, "order", epoch)
        return torch.randperm(len(self.images_NCHW), generator=draws, device=device)[: self.steps * self.size]

    def epoch(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """(B, C, H, W) float32 images of each step, and the (B,) rows of the split they come from."""
        draws = Draws(self.images_NCHW.device, self.seed, epoch)
        batches_at_once = max(1, VALUES_AT_ONCE // (self.size * self.images_NCHW[0].numel()))
        for rows in torch.split(self.order(epoch), self.size * batches_at_once):
            values = shares(self.images_NCHW.index_select(0, rows))
            images = self.normalization(augment(values, self.augment, draws.next(len(rows))))
            yield from zip(torch.split(images, self.size), torch.split(rows, self.size), strict=True)


def in_parts(split: Split, normalization: Normalization) -> Iterator[tuple[Tensor, slice]]:
    """All images of a split in order, normalized, in large parts, and the position of each part in the split."""
    for start in range(0, len(split), EVALUATED_AT_ONCE):
        part = slice(start, min(start + EVALUATED_AT_ONCE, len(split)))
        yield normalization(shares(split.images[part])), part
