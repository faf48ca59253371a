"""Small settings and data for training tests: a run takes at most a second on one core."""

import hashlib
from typing import Any

import torch

from study.vit import settings as config
from study.vit.data import Dataset, DatasetInfo, Split
from study.vit.models import Classifier, build_encoder
from study.vit.training import Trained, finetune, pretrain

SMALL = {
    "image_size": 8,
    "patch_size": 4,
    "channels": 1,
    "width": 32,
    "depth": 3,
    "num_heads": 2,
    "num_kv_heads": 1,
    "experts_by_depth": (1, 2, 3),
    "top_k": 1,
    "ffn_width_first": 32,
    "ffn_width_last": 16,
}
DECODER = {"width": 16, "depth": 1, "ffn_width": 16, "num_experts": 2, "num_heads": 2, "num_kv_heads": 1}


QUICK = {"train_images": 32, "batch_size": 16}
"""Four steps in two epochs."""


def pretraining(**changes: Any) -> config.Pretrain:
    settings = {"dataset": "digits", "epochs": 2, "train_images": 128, "mask_ratio": 0.5, "decoder": DECODER}
    return config.Pretrain.model_validate(settings | changes)


def finetuning(**changes: Any) -> config.Finetune:
    return config.Finetune.model_validate({"dataset": "digits", "epochs": 2, "train_images": 128} | changes)


def small_classifier() -> Classifier:
    """Three classes, two blocks; the same weights at each call."""
    torch.manual_seed(0)
    shape = config.Encoder(
        image_size=8, patch_size=4, channels=1, width=8, depth=2, num_heads=2, num_kv_heads=1, experts_by_depth=(2, 3)
    )
    return Classifier(build_encoder(shape), 3)


def trained_digest(trained: Trained) -> str:
    """SHA-256 over a run's weights and metrics, without timings."""
    total = hashlib.sha256(repr(numbers(trained.metrics)).encode())
    for name, weight in trained.weights.items():
        total.update(name.encode() + weight.numpy().tobytes())
    return total.hexdigest()


def run_digest(recipe: config.Pretrain | config.Finetune, encoder: config.Encoder | None = None) -> str:
    """Digest of a run that takes a tenth of a second with the `QUICK` recipes."""
    encoder = encoder or config.Encoder.model_validate(SMALL)
    if isinstance(recipe, config.Pretrain):
        return trained_digest(pretrain(encoder, recipe, 1, "cpu", lambda record: None))
    return trained_digest(finetune(encoder, recipe, None, 1, "cpu", lambda record: None))


def numbers(record: dict[str, float]) -> dict[str, float]:
    """A record without its timings: what a second run repeats exactly."""
    return {name: value for name, value in record.items() if name not in TIMINGS}


TIMINGS = {"seconds", "train_seconds", "images_per_second"}


def dataset(train: Split, validation: Split, test: Split, classes: int | None) -> Dataset:
    info = DatasetInfo("made", None, train.images.shape[1], classes, None, "made for a test", "here", "none")
    return Dataset(info, train, validation, test, "0")


def random_split(images: int, classes: int | None = 2, channels: int = 1, size: int = 8) -> Split:
    """Noise; labels 0, 1, 0, 1, ..."""
    draws = torch.Generator().manual_seed(images)
    pixels = torch.randint(0, 256, (images, channels, size, size), generator=draws, dtype=torch.uint8)
    return Split(pixels, None if classes is None else torch.arange(images) % classes)
