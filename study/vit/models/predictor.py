"""A trained model for inference: raw images in, logits or features out.

Shapes: B batch, C channels or classes, H height, W width, D embedding width.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from study.utils.errors import StudyError
from study.vit import settings
from study.vit.models.heads import Classifier
from study.vit.models.vit import build_encoder

ROUNDING = 1e-2  # half precision and resizing may exceed full brightness by this much


class Predictor(nn.Module):
    """Logits (B, C) of images, or, for an encoder without a head, its pooled features (B, D)."""

    def __init__(
        self, encoder: settings.Encoder, num_classes: int | None, normalization: Mapping[str, Sequence[float]]
    ) -> None:
        super().__init__()
        built = build_encoder(encoder)
        self.encoder_config, self.num_classes = encoder, num_classes
        self.model = built if num_classes is None else Classifier(built, num_classes)
        self.mean_C11: Tensor
        self.std_C11: Tensor
        self.register_buffer("mean_C11", torch.tensor(normalization["mean"]).view(-1, 1, 1), persistent=False)
        self.register_buffer("std_C11", torch.tensor(normalization["std"]).view(-1, 1, 1), persistent=False)

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """images_BCHW: uint8, or floats from 0 to 1, of the encoder's image size and channels.

        Raises StudyError for another size or number of channels, and for floats above 1.
        """
        self._check(images_BCHW)
        shares = images_BCHW if images_BCHW.is_floating_point() else images_BCHW / 255
        normalized = (shares - self.mean_C11) / self.std_C11
        if isinstance(self.model, Classifier):
            logits_BC: Tensor = self.model(normalized).logits_BC
            return logits_BC
        return self.model.pool(self.model(normalized).tokens_BND)

    def _check(self, images_BCHW: Tensor) -> None:
        size, channels = self.encoder_config.image_size, self.encoder_config.channels
        if images_BCHW.ndim != 4 or tuple(images_BCHW.shape[1:]) != (channels, size, size):
            raise StudyError(
                f"invalid image shape {tuple(images_BCHW.shape)}: must be (batch, {channels}, {size}, {size}); "
                "resize the images first"
            )
        if torch.compiler.is_compiling() or not images_BCHW.is_floating_point():
            return  # a traced graph cannot depend on pixels
        if (brightest := float(images_BCHW.max())) > 1 + ROUNDING:
            raise StudyError(
                f"invalid pixel value {brightest:g}: floats must be from 0 to 1; divide by 255, or pass uint8"
            )
