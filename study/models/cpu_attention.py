"""Grouped query attention on CPUs, with gradients written by hand.

PyTorch's own CPU attention is made for long sequences. For those of a small image, matrix products over pieces that
stay in the cache are faster: at 17, 37 and 145 tokens, forward and backward pass take 0.4, 0.55 and 0.9 of the time on
two cores, and 0.6, 0.85 and all of it on one. The price is the memory of the attention weights, B x H x N x N, which
are kept for the backward pass.

Shapes: B batch, N tokens, D embedding width, H query heads, K key/value heads, G = H / K, C channels of a head,
X = (H + 2K) x C.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

CACHE_BYTES = 2**21  # attention weights worked on at a time; 1 to 4 MiB were equally fast on 1 and 2 cores
KEPT_BYTES = 2**26  # attention weights of a layer; with more, memory matters more than time


def has_room(qkv_BNX: Tensor, num_heads: int) -> bool:
    """Whether the attention weights of a layer may be kept."""
    batch, tokens, _ = qkv_BNX.shape
    return batch * num_heads * tokens**2 * qkv_BNX.element_size() <= KEPT_BYTES


def attend(qkv_BNX: Tensor, num_heads: int, num_kv_heads: int) -> Tensor:
    """As attention.attend: softmax(q k^T / sqrt(C)) v of each head, heads side by side, (B, N, D)."""
    y_BND: Tensor = Attention.apply(qkv_BNX, num_heads, num_kv_heads)  # type: ignore[no-untyped-call]
    return y_BND


class Attention(torch.autograd.Function):
    """softmax(q k^T / sqrt(C)) v; qkv_BNX holds H query heads, then K key heads, then K value heads."""

    @staticmethod
    def forward(ctx: Any, qkv_BNX: Tensor, num_heads: int, num_kv_heads: int) -> Tensor:
        batch, tokens, columns = qkv_BNX.shape
        channels = columns // (num_heads + 2 * num_kv_heads)
        ctx.shape = batch, tokens, num_kv_heads, num_heads // num_kv_heads, channels
        q_BKGNC, kv_2BKNC = _heads(qkv_BNX, ctx.shape)
        q = torch.mul(q_BKGNC, channels**-0.5, out=q_BKGNC.new_empty(q_BKGNC.shape)).flatten(2, 3).flatten(0, 1)
        kv = kv_2BKNC.flatten(1, 2)
        y, scores = torch.empty_like(q), _scratch(q, tokens)
        keep = qkv_BNX.requires_grad
        weights = q.new_empty(len(q), q.shape[1], tokens) if keep else torch.empty_like(scores)
        for part, piece in _pieces(q, scores):
            p = weights[part if keep else piece]
            torch.softmax(torch.bmm(q[part], kv[0, part].mT, out=scores[piece]), -1, out=p)
            torch.bmm(p, kv[1, part], out=y[part])
        if keep:
            ctx.save_for_backward(q, kv, weights)
        return y.view(q_BKGNC.shape).permute(0, 3, 1, 2, 4).reshape(batch, tokens, -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy_BND: Tensor) -> tuple[Tensor, None, None]:
        q, kv, weights = ctx.saved_tensors
        batch, tokens, num_kv_heads, group, channels = ctx.shape
        dy = dy_BND.view(batch, tokens, num_kv_heads, group, channels).permute(0, 2, 3, 1, 4).reshape(q.shape)
        dq, dkv = torch.empty_like(q), torch.empty_like(kv)
        dweights, dscores = _scratch(q, tokens), _scratch(q, tokens)
        for part, piece in _pieces(q, dscores):
            p, dp, ds = weights[part], dweights[piece], dscores[piece]
            torch.bmm(p.mT, dy[part], out=dkv[1, part])
            torch.bmm(dy[part], kv[1, part].mT, out=dp)
            torch.ops.aten._softmax_backward_data.out(dp, p, -1, p.dtype, grad_input=ds)
            torch.bmm(ds, kv[0, part], out=dq[part])
            torch.bmm(ds.mT, q[part], out=dkv[0, part])
        dqkv = q.new_empty(batch, tokens, (group + 2) * num_kv_heads * channels)
        dq_BKGNC, dkv_2BKNC = _heads(dqkv, ctx.shape)
        torch.mul(dq.view(dq_BKGNC.shape), channels**-0.5, out=dq_BKGNC)
        dkv_2BKNC.copy_(dkv.view(dkv_2BKNC.shape))
        return dqkv, None, None


def _heads(qkv_BNX: Tensor, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Views: queries (B, K, G, N, C), keys and values (2, B, K, N, C)."""
    batch, tokens, num_kv_heads, group, channels = shape
    width = num_kv_heads * group * channels
    q = qkv_BNX[..., :width].view(batch, tokens, num_kv_heads, group, channels)
    kv = qkv_BNX[..., width:].view(batch, tokens, 2, num_kv_heads, channels)
    return q.permute(0, 2, 3, 1, 4), kv.permute(2, 0, 3, 1, 4)


def _scratch(q: Tensor, tokens: int) -> Tensor:
    """Room for the attention weights of as many heads as fit the cache, at least one."""
    heads = max(1, CACHE_BYTES // (q.shape[1] * tokens * q.element_size()))
    return q.new_empty(min(heads, len(q)), q.shape[1], tokens)


def _pieces(q: Tensor, scratch: Tensor) -> Iterator[tuple[slice, slice]]:
    """Heads of q, and the part of the scratch that they fill, piece by piece."""
    for start in range(0, len(q), len(scratch)):
        stop = min(start + len(scratch), len(q))
        yield slice(start, stop), slice(0, stop - start)
