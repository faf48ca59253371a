"""Masked autoencoding (He et al. 2111.06377) as in the paper's predecessor (arXiv 2402.03752): the encoder receives
the visible patches only, and a light decoder reconstructs all patches.

Shapes: B batch, C channels, H height, W width, N patches, K visible patches, M masked patches, D width, P numbers of
one patch.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from study.vit import settings
from study.vit.models.vit import Block, Blocks, VisionTransformer, initialize, patchify, take


@dataclass(frozen=True)
class Reconstructed:
    """Losses and reconstruction of one batch.

    loss: masked_loss + visible_discount * visible_loss; each of the two is a mean squared error over its patches.
    balance_loss: scalar, of encoder and decoder together, already weighted; 0 in evaluation.
    expert_load: see `Encoded`; the encoder's blocks, then the decoder's.
    prediction_BNP: the reconstruction, patches in reading order (normalized within each patch if the targets are).
    """

    loss: Tensor
    masked_loss: Tensor
    visible_loss: Tensor
    balance_loss: Tensor
    expert_load: list[Tensor]
    shuffled_BNP: Tensor
    order_BN: Tensor

    @property
    def prediction_BNP(self) -> Tensor:  # noqa: N802 (shape-suffixed, as a field would be)
        return take(self.shuffled_BNP, self.order_BN.argsort(1))


class MaskedAutoencoder(nn.Module):
    """`encoder`, and a decoder of the same blocks that is discarded after pre-training."""

    def __init__(self, encoder: VisionTransformer, pretrain: settings.Pretrain) -> None:
        super().__init__()
        shape, decoder = encoder.config, pretrain.decoder
        self.encoder = encoder
        self.config = pretrain
        self.num_visible = shape.num_patches - pretrain.num_masked(shape.num_patches)
        self.embedding = nn.Linear(shape.width, decoder.width, shape.bias)
        self.mask_token = nn.Parameter(torch.empty(1, decoder.width))
        self.positions = nn.Parameter(torch.empty(encoder.num_prefix + shape.num_patches, decoder.width))
        self.blocks = Blocks(
            [
                Block(
                    shape,
                    width=decoder.width,
                    num_heads=decoder.num_heads,
                    num_kv_heads=decoder.num_kv_heads,
                    ffn_width=decoder.ffn_width,
                    num_experts=decoder.num_experts,
                    top_k=decoder.top_k,
                )
                for _ in range(decoder.depth)
            ],
            shape,
        )
        self.norm = nn.LayerNorm(decoder.width)
        self.pixels = nn.Linear(decoder.width, shape.channels * shape.patch_size**2, shape.bias)
        for part in (self.embedding, self.blocks, self.norm, self.pixels):
            initialize(part)
        nn.init.trunc_normal_(self.mask_token, std=0.02)
        nn.init.trunc_normal_(self.positions, std=0.02)

    def forward(self, images_BCHW: Tensor, order_BN: Tensor) -> Reconstructed:
        """Reconstruct images of which the last `num_masked` patches in `order_BN` are masked.

        order_BN: int64, for each image a random permutation of its patches.
        """
        visible_BK = order_BN[:, : self.num_visible]
        encoded = self.encoder(images_BCHW, visible_BK)
        x_BND, balance = self.blocks(self.embed(encoded.tokens_BND, order_BN))
        prediction_BNP = self.pixels(self.norm(x_BND)[:, self.encoder.num_prefix :])
        errors_BN = (prediction_BNP - take(self.targets(images_BCHW), order_BN)).square().mean(-1)
        visible_loss, masked_loss = errors_BN[:, : self.num_visible].mean(), errors_BN[:, self.num_visible :].mean()
        return Reconstructed(
            loss=masked_loss + self.config.visible_discount * visible_loss,
            masked_loss=masked_loss,
            visible_loss=visible_loss,
            balance_loss=encoded.balance_loss + balance.loss,
            expert_load=encoded.expert_load + balance.load,
            shuffled_BNP=prediction_BNP,
            order_BN=order_BN,
        )

    def embed(self, tokens_BND: Tensor, order_BN: Tensor) -> Tensor:
        """The decoder's tokens: class token (if any), visible patches, mask tokens, each with its position.

        They stay in the order of `order_BN`: blocks depend on the positions of tokens, not on their order.
        """
        batch, patches = order_BN.shape
        masks_BMD = self.mask_token.expand(batch, patches - self.num_visible, -1)
        x_BND = torch.cat((self.embedding(tokens_BND), masks_BMD), dim=1)
        prefix = self.encoder.num_prefix
        prefix_ND, positions_ND = self.positions[:prefix], self.positions[prefix:]
        return x_BND + torch.cat((prefix_ND.expand(batch, -1, -1), positions_ND[order_BN]), dim=1)

    def targets(self, images_BCHW: Tensor) -> Tensor:
        """(B, N, P): the patches; with `normalize_targets`, each with mean 0 and standard deviation 1."""
        patches_BNP = patchify(images_BCHW, self.encoder.config.patch_size)
        if not self.config.normalize_targets:
            return patches_BNP
        variance_BN1, mean_BN1 = torch.var_mean(patches_BNP, dim=-1, correction=0, keepdim=True)
        return (patches_BNP - mean_BN1) * (variance_BN1 + 1e-6).rsqrt()
