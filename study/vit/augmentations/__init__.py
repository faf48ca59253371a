"""Augmentations: random changes to training images, one file each.

base        what the file of an augmentation defines
flip, shift, zoom, rotate, brightness, contrast, erase, mixup

Importing this package never imports torch: the settings are built from it.
"""

import pkgutil
from collections.abc import Iterator
from typing import Any

from pydantic import Field

from study.vit.augmentations.base import Augmentation, Geometry, ImageAugmentation, Mixing

__all__ = ["SHARED_STREAM", "TABLE", "Augmentation", "Geometry", "ImageAugmentation", "Mixing", "fields", "items"]

TABLE: dict[str, str] = {  # name of the setting: file and class, in the order in which they are applied
    "flip": "study.vit.augmentations.flip:Flip",
    "shift": "study.vit.augmentations.shift:Shift",
    "zoom": "study.vit.augmentations.zoom:Zoom",
    "rotate": "study.vit.augmentations.rotate:Rotate",
    "brightness": "study.vit.augmentations.brightness:Brightness",
    "contrast": "study.vit.augmentations.contrast:Contrast",
    "erase": "study.vit.augmentations.erase:Erase",
    "mixup": "study.vit.augmentations.mixup:Mixup",
}

SHARED_STREAM = ("flip", "shift", "zoom", "rotate", "brightness", "contrast", "erase")
"""These draw from one random stream. Never extend this list: that would change the draws of stored results.

Every other augmentation has a stream of its own.
"""


def items() -> Iterator[tuple[str, Augmentation]]:
    """Name and augmentation of each entry of the table."""
    return ((name, pkgutil.resolve_name(place)()) for name, place in TABLE.items())


def fields() -> dict[str, Any]:
    """Type and default of each augmentation's setting, as `pydantic.create_model` takes them."""
    return {
        name: (augmentation.setting, Field(augmentation.neutral, description=augmentation.description))
        for name, augmentation in items()
    }
