"""Grouped query attention (Ainslie et al. 2305.13245): several query heads share one key/value head.

Shapes: B batch, N tokens, D embedding width, H query heads, K key/value heads, G = H / K query heads per
key/value head, Q = G x N, C channels of one head, X = (H + 2K) x C.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from study.vit.models import cpu, cpu_attention


class GroupedQueryAttention(nn.Module):
    """Softmax attention in which query head h uses key/value head h // G."""

    def __init__(self, width: int, num_heads: int, num_kv_heads: int, bias: bool) -> None:
        super().__init__()
        self.num_heads, self.num_kv_heads = num_heads, num_kv_heads
        # Rows: query heads, key heads, value heads. One linear map, because all have the same input.
        self.qkv = nn.Linear(width, width + 2 * num_kv_heads * (width // num_heads), bias)
        self.out = nn.Linear(width, width, bias)

    def forward(self, x_BND: Tensor) -> Tensor:
        y_BND: Tensor = self.out(attend(self.qkv(x_BND), self.num_heads, self.num_kv_heads))
        return y_BND


def attend(qkv_BNX: Tensor, num_heads: int, num_kv_heads: int) -> Tensor:
    """softmax(q k^T / sqrt(C)) v of each head, heads concatenated: (B, N, D)."""
    if cpu.supports(qkv_BNX) and cpu_attention.is_faster(qkv_BNX, num_heads):
        return cpu_attention.attend(qkv_BNX, num_heads, num_kv_heads)
    batch, tokens, columns = qkv_BNX.shape
    group, channels = num_heads // num_kv_heads, columns // (num_heads + 2 * num_kv_heads)
    heads_BNHC = qkv_BNX.view(batch, tokens, -1, channels)
    q, k, v = torch.split(heads_BNHC, [num_heads, num_kv_heads, num_kv_heads], dim=2)
    q_BKGNC = q.view(batch, tokens, num_kv_heads, group, channels).permute(0, 2, 3, 1, 4)
    # The queries of a group are treated as more tokens of one head, so that no key or value is copied.
    q_BKQC = q_BKGNC.reshape(batch, num_kv_heads, group * tokens, channels)
    y_BKQC = F.scaled_dot_product_attention(q_BKQC, k.transpose(1, 2), v.transpose(1, 2))
    y_BNKGC = y_BKQC.view(batch, num_kv_heads, group, tokens, channels).permute(0, 3, 1, 2, 4)
    return y_BNKGC.reshape(batch, tokens, num_heads * channels)
