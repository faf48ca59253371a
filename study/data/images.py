"""From encoded images to arrays of one size.

Legend: N images, C channels, H height, W width.
"""

import numpy as np
from PIL import Image

from study.data.arrays import Pixels


def fit(images_NCHW: Pixels, size: int) -> Pixels:
    """Square images no larger than `size`: larger ones are averaged down, others returned as they are."""
    count, channels, height, _ = images_NCHW.shape
    if height <= size:
        return np.ascontiguousarray(images_NCHW)
    planes = images_NCHW.reshape(count * channels, height, height)
    small = [Image.fromarray(plane).resize((size, size), Image.Resampling.BOX) for plane in planes]
    stacked = np.stack([np.asarray(plane) for plane in small]) if small else np.empty((0, size, size), np.uint8)
    return stacked.reshape(count, channels, size, size)
