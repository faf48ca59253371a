"""Grouped query attention (Ainslie et al. 2305.13245): several query heads share one key/value head.

Shapes: B batch, N tokens, D embedding width, H query heads, K key/value heads, G = H / K query heads per
key/value head, C channels of one head.
"""

import torch.nn.functional as F
from torch import Tensor, nn


class GroupedQueryAttention(nn.Module):
    """Softmax attention in which query head h reads key/value head h // G; queries, keys and values are one map."""

    def __init__(self, width: int, num_heads: int, num_kv_heads: int, bias: bool) -> None:
        super().__init__()
        self.num_heads, self.num_kv_heads, self.head_width = num_heads, num_kv_heads, width // num_heads
        self.qkv = nn.Linear(width, width + 2 * num_kv_heads * self.head_width, bias)
        self.out = nn.Linear(width, width, bias)

    def forward(self, x_BND: Tensor) -> Tensor:
        batch, tokens, width = x_BND.shape
        group = self.num_heads // self.num_kv_heads
        shared = self.num_kv_heads * self.head_width
        q, k, v = self.qkv(x_BND).split((width, shared, shared), dim=-1)
        q_BKGNC = q.view(batch, tokens, self.num_kv_heads, group, self.head_width).permute(0, 2, 3, 1, 4)
        k_BKNC = k.view(batch, tokens, self.num_kv_heads, self.head_width).transpose(1, 2)
        v_BKNC = v.view(batch, tokens, self.num_kv_heads, self.head_width).transpose(1, 2)
        # The queries of a group stand one after the other as if they were more tokens of one head: nothing is expanded.
        q_BKQC = q_BKGNC.reshape(batch, self.num_kv_heads, group * tokens, self.head_width)
        y_BKQC = F.scaled_dot_product_attention(q_BKQC, k_BKNC, v_BKNC)
        y_BNKGC = y_BKQC.view(batch, self.num_kv_heads, group, tokens, self.head_width).permute(0, 3, 1, 2, 4)
        y_BND: Tensor = self.out(y_BNKGC.reshape(batch, tokens, width))
        return y_BND
