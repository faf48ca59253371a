"""A classifier on an encoder, and the layer and weight decay of its parameters.

Shapes: B batch, C classes (logits) or channels (images), H height, W width, N tokens, D embedding width.
"""

import re
from dataclasses import dataclass

from torch import Tensor, nn

from study.vit.models.vit import VisionTransformer, initialize


@dataclass(frozen=True)
class Classified:
    """logits_BC, and the encoder's balance loss and expert load (see `Encoded`)."""

    logits_BC: Tensor
    balance_loss: Tensor
    expert_load: list[Tensor]


class Classifier(nn.Module):
    """A linear head on the class token or on the mean of the patches, depending on the encoder's `pooling`."""

    def __init__(self, encoder: VisionTransformer, num_classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.config.width, num_classes, encoder.config.bias)
        initialize(self.head)

    def forward(self, images_BCHW: Tensor) -> Classified:
        encoded = self.encoder(images_BCHW)
        return Classified(self.head(self.pool(encoded.tokens_BND)), encoded.balance_loss, encoded.expert_load)

    def pool(self, tokens_BND: Tensor) -> Tensor:
        """(B, D): the input of the head, the class token or the mean of the patches."""
        return self.encoder.pool(tokens_BND)


def layer_of(name: str, depth: int) -> int:
    """The layer of a classifier's parameter, for layer-wise learning rates: 0 embedding, i + 1 block i, depth + 1 rest.

    >>> [layer_of(name, 9) for name in ("encoder.positions", "encoder.blocks.8.attention.qkv.weight", "head.bias")]
    [0, 9, 10]
    """
    block = re.match(r"encoder\.blocks\.(\d+)\.", name)
    if block:
        return int(block[1]) + 1
    return 0 if name.startswith(("encoder.patch_embedding.", "encoder.positions", "encoder.class_token")) else depth + 1


def no_decay(name: str, parameter: Tensor) -> bool:
    """Whether a parameter has no weight decay: biases, norms, positions, class and mask tokens."""
    return parameter.ndim < 2 or name.endswith(("bias", "positions", "class_token", "mask_token"))
