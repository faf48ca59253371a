"""Grey images with more than 8 bits per pixel: one rule per data set brings their values to 0 to 255.

The rule follows from the lowest and highest value in all images of a data set, of all splits. The value of white is

- for floats, 1 if all values are from 0 to 1, or 255 if all are from 0 to 255;
- for integers, the highest value of the fewest bits that hold all values: 8, 10, 12, 14 or 16. Cameras and scanners
  store 10, 12 or 14 bits in files of 16 bits, and neither PNG (without sBIT, which Pillow drops) nor TIFF records it.

Other values, such as negative ones, have no white, so such images are refused. Every image of a data set is scaled by
the same number, so that a dark image stays darker than a bright one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from study.utils.errors import StudyError
from study.vit.data.arrays import Pixels

Values = NDArray[np.float32]
WHITES: Mapping[str, Sequence[float]] = {
    "integer": [2**bits - 1 for bits in (8, 10, 12, 14, 16)],
    "float": [1, 255],
}


@dataclass(frozen=True)
class Deep:
    """The values of one image, and what its data set's rule depends on."""

    where: str  # for messages
    kind: str  # integer or float
    values: Values  # (S, S), 0 where the image is transparent
    clear: Values | None  # (S, S) transparency from 0 to 1; None: opaque
    low: float  # of the opaque pixels of the whole image
    high: float

    def pixels(self, white: Mapping[str, float]) -> Pixels:
        """0 to 255, rounded to the nearest, transparency on white; `white` has the value of white of each kind."""
        shares = self.values / white[self.kind]
        shares = shares if self.clear is None else shares + self.clear
        pixels: Pixels = np.rint(255 * np.clip(shares, 0, 1)).astype(np.uint8)
        return pixels


def white_values(images: Sequence[Deep]) -> dict[str, float]:
    """The value of white of each kind of deep image in a data set.

    Raises StudyError with an image and its values if there is none.
    """
    return {
        kind: _white(kind, found) for kind in WHITES if (found := [image for image in images if image.kind == kind])
    }


def _white(kind: str, images: Sequence[Deep]) -> float:
    lowest, highest = min(images, key=lambda image: image.low), max(images, key=lambda image: image.high)
    for image in images:
        if not isfinite(image.low + image.high):
            raise StudyError(f"{image.where}: the image has values that are NaN or infinite; replace them")
    for white in WHITES[kind]:
        if lowest.low >= 0 and highest.high <= white:
            return white
    wrong, value = (lowest, lowest.low) if lowest.low < 0 else (highest, highest.high)
    ranges = " or ".join(f"0 to {white:g}" for white in (WHITES[kind] if kind == "float" else [WHITES[kind][-1]]))
    raise StudyError(
        f"{wrong.where}: the image has a value of {value:g}; values of type {kind} must be {ranges}, "
        "so that black and white are known: scale the images of the data set to such a range"
    )
