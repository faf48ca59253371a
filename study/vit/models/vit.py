"""The mLiT encoder (Tan 2407.17783): patches, a linear projection, learnable positions, pre-norm blocks.

Shapes: B batch, C channels, H height, W width, N tokens, K tokens kept, D embedding width, P numbers of one patch.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from study.vit import settings as config
from study.vit.models.attention import GroupedQueryAttention
from study.vit.models.balance import Balance, Routing, balance
from study.vit.models.moe import ExpertMixture


@dataclass(frozen=True)
class Encoded:
    """The encoder's output for a batch.

    tokens_BND: the tokens after the last norm; the class token is the first if the encoder pools by class token.
    balance_loss: scalar, importance and load losses summed over the layers, already weighted; 0 in evaluation.
    expert_load: for each block (E,), the share of the kept (token, expert) pairs that each expert received.
    """

    tokens_BND: Tensor
    balance_loss: Tensor
    expert_load: list[Tensor]


class VisionTransformer(nn.Module):
    """Images to tokens; `config.Encoder` describes every part."""

    def __init__(self, config: config.Encoder) -> None:
        super().__init__()
        self.config = config
        self.patch_embedding = nn.Linear(config.channels * config.patch_size**2, config.width, config.bias)
        self.class_token = nn.Parameter(torch.empty(1, config.width)) if config.pooling == "class_token" else None
        self.positions = nn.Parameter(torch.empty(self.num_prefix + config.num_patches, config.width))
        self.blocks = Blocks(
            [
                Block(
                    config,
                    width=config.width,
                    num_heads=config.num_heads,
                    num_kv_heads=config.num_kv_heads,
                    ffn_width=ffn_width,
                    num_experts=num_experts,
                    top_k=config.top_k,
                )
                for ffn_width, num_experts in zip(config.ffn_widths, config.num_experts, strict=True)
            ],
            config,
        )
        self.norm = nn.LayerNorm(config.width)
        initialize(self)

    @property
    def num_prefix(self) -> int:
        """Tokens before the patches: the class token, or none."""
        return 0 if self.class_token is None else 1

    def forward(self, images_BCHW: Tensor, visible_BK: Tensor | None = None) -> Encoded:
        """Encode all patches, or only those with the indices `visible_BK` (int64, the same number for each image).

        images_BCHW: normalized floats of `config.channels` channels and `config.image_size` pixels.
        """
        x_BND = self.embed(patchify(images_BCHW, self.config.patch_size), visible_BK)
        x_BND, balance = self.blocks(x_BND)
        return Encoded(self.norm(x_BND), balance.loss, balance.load)

    def pool(self, tokens_BND: Tensor) -> Tensor:
        """(B, D): the class token or the mean of the patches, depending on `config.pooling`."""
        return tokens_BND[:, 0] if self.config.pooling == "class_token" else tokens_BND.mean(1)

    def embed(self, patches_BNP: Tensor, visible_BK: Tensor | None) -> Tensor:
        prefix_ND, positions_ND = self.positions[: self.num_prefix], self.positions[self.num_prefix :]
        if visible_BK is not None:
            patches_BNP = take(patches_BNP, visible_BK)
            positions_ND = positions_ND[visible_BK]
        x_BND: Tensor = self.patch_embedding(patches_BNP) + positions_ND
        if self.class_token is None:
            return x_BND
        return torch.cat(((self.class_token + prefix_ND).expand(x_BND.shape[0], -1, -1), x_BND), dim=1)


class Block(nn.Module):
    """x + attention(norm(x)), then x + experts(norm(x)); used by encoder and decoder."""

    def __init__(
        self,
        config: config.Encoder,
        *,
        width: int,
        num_heads: int,
        num_kv_heads: int,
        ffn_width: int,
        num_experts: int,
        top_k: int,
    ) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = GroupedQueryAttention(width, num_heads, num_kv_heads, config.bias)
        self.experts_norm = nn.LayerNorm(width)
        self.experts = ExpertMixture(
            width,
            ffn_width,
            num_experts,
            top_k=top_k,
            noise=config.router_noise,
            shared=config.shared_projections,
            bias=config.bias,
        )

    def forward(self, x_BND: Tensor) -> tuple[Tensor, Routing | None]:
        x_BND = x_BND + self.attention(self.attention_norm(x_BND))
        y_TD, routing = self.experts(self.experts_norm(x_BND).flatten(0, 1))
        return x_BND + y_TD.view_as(x_BND), routing


class Blocks(nn.ModuleList):
    """A sequence of blocks, and the balance of their experts (no loss in evaluation)."""

    def __init__(self, blocks: Iterable[Block], config: config.Encoder) -> None:
        super().__init__(blocks)
        self.importance_weight, self.load_weight = config.importance_weight, config.load_weight

    def forward(self, x_BND: Tensor) -> tuple[Tensor, Balance]:
        routings = []
        for block in self:
            x_BND, routing = block(x_BND)
            routings.append(routing)
        weights = (self.importance_weight, self.load_weight) if self.training else (0.0, 0.0)
        return x_BND, balance(routings, *weights, x_BND.device)


def build_encoder(config: config.Encoder) -> VisionTransformer:
    """The encoder described by `config`; its weights are drawn from torch's global generator."""
    return VisionTransformer(config)


def patchify(images_BCHW: Tensor, patch_size: int) -> Tensor:
    """(B, C, H, W) to (B, N, P): patches in reading order, each flattened as channels, rows, columns."""
    batch, channels, height, width = images_BCHW.shape
    rows, columns = height // patch_size, width // patch_size
    grid = images_BCHW.reshape(batch, channels, rows, patch_size, columns, patch_size)
    return grid.permute(0, 2, 4, 1, 3, 5).reshape(batch, rows * columns, channels * patch_size**2)


def take(x_BND: Tensor, index_BK: Tensor) -> Tensor:
    """(B, K, D): for each image the tokens with the indices in its row of `index_BK`."""
    return x_BND.gather(1, index_BK.unsqueeze(-1).expand(-1, -1, x_BND.shape[-1]))


def initialize(model: nn.Module) -> None:
    """Linear maps, positions and free tokens: truncated normal of standard deviation 0.02; biases: zero."""
    for module in model.modules():
        if not isinstance(module, nn.LayerNorm):
            for name, parameter in module.named_parameters(recurse=False):
                if name.endswith("bias"):
                    nn.init.zeros_(parameter)
                else:
                    nn.init.trunc_normal_(parameter, std=0.02)
