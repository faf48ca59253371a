"""Settings and data for training tests, small enough to take a second on one core."""

from typing import Any

import torch

from study.vit import settings as config
from study.vit.data import Dataset, DatasetInfo, Split

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


def pretraining(**changes: Any) -> config.Pretrain:
    settings = {"dataset": "digits", "epochs": 2, "train_images": 128, "mask_ratio": 0.5, "decoder": DECODER}
    return config.Pretrain.model_validate(settings | changes)


def finetuning(**changes: Any) -> config.Finetune:
    return config.Finetune.model_validate({"dataset": "digits", "epochs": 2, "train_images": 128} | changes)


def numbers(record: dict[str, float]) -> dict[str, float]:
    """What must repeat: everything but timings."""
    return {name: value for name, value in record.items() if name not in TIMINGS}


TIMINGS = {"seconds", "train_seconds", "images_per_second"}


def dataset(train: Split, validation: Split, test: Split, classes: int | None) -> Dataset:
    info = DatasetInfo("made", None, train.images.shape[1], classes, None, "made for a test", "here", "none")
    return Dataset(info, train, validation, test, "0")


def random_split(images: int, classes: int | None = 2, channels: int = 1, size: int = 8) -> Split:
    """Noise, with labels in turn."""
    draws = torch.Generator().manual_seed(images)
    pixels = torch.randint(0, 256, (images, channels, size, size), generator=draws, dtype=torch.uint8)
    return Split(pixels, None if classes is None else torch.arange(images) % classes)
