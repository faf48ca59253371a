"""Images as training saw them: from files or Pillow images to tensors, by the code that decodes and resizes data sets.

Shapes: B batch, C channels, S height and width of the encoder's input.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from study.utils.errors import StudyError
from study.vit.data.images import Tile, decode, decode_opened, stack
from study.vit.training.images import fit_images

ImageLike = Image.Image | str | os.PathLike[str]
Images = list[Image.Image] | list[str] | list[Path] | list[ImageLike] | tuple[ImageLike, ...]


@dataclass(frozen=True)
class Preprocessing:
    """How the images of a data set were brought to the shape in which it was held, before the encoder's own."""

    side: int | None  # height and width of the data set's images as loaded; None: not recorded, that of the encoder
    channels: int | None  # of the data set; None: not recorded, those of the encoder
    white: Mapping[str, float]  # of images with more than 8 bits per pixel, see `study.vit.data.deep`

    def __call__(self, images: Sequence[ImageLike], size: int, channels: int) -> Tensor:
        """(B, channels, size, size) uint8. Raises StudyError for a file that is missing or no image."""
        parts = [fit_images(self._as_loaded(image, size, channels), size, channels) for image in images]
        return torch.cat(parts) if parts else torch.empty((0, channels, size, size), dtype=torch.uint8)

    def _as_loaded(self, image: ImageLike, size: int, channels: int) -> Tensor:
        tile, side = self._tile(image, size), self.side or size
        loaded = torch.from_numpy(stack([tile], side, 3 if tile.pixels.ndim == 3 else 1))
        return fit_images(loaded, side, self.channels or channels)

    def _tile(self, image: ImageLike, size: int) -> Tile:
        if isinstance(image, Image.Image):
            return decode_opened(image.copy(), "the image", size, self.white)
        if not isinstance(image, str | os.PathLike):
            raise StudyError(
                f"an image must be a path or a Pillow image, not {type(image).__name__}; of an array, make one with "
                "PIL.Image.fromarray"
            )
        try:
            path = Path(image).expanduser()
            return decode(path.read_bytes(), str(path), size, self.white)
        except OSError as error:
            raise StudyError(f"{image}: the image cannot be read ({error.strerror})") from error
        except (ValueError, RuntimeError) as error:  # a zero byte, an unknown user
            raise StudyError(f"{image!r} is no path of an image: {error}") from error
