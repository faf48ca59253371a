"""Grouped query attention on CPUs, with hand-written gradients.

PyTorch's CPU attention is optimized for long sequences. For small images, matrix products over blocks that fit into the
cache are faster: with 8 to 37 tokens, forward and backward pass take 0.6 to 0.85 of the time. The cost is the memory of
the attention weights, B x H x N x N, which are kept for the backward pass.

The softmax is fused by hand. PyTorch's exp2 takes a third of the time of its softmax, and a row of weights e = 2^s is
divided by its sum only after multiplication with the values: C numbers instead of N. The gradient of the scores,
e * (r dy v^T - r (dy . y)) with r = 1 / sum(e), is one matrix product and one element-wise product; the second term is
an additional column of dy against a column of ones. Compared with a softmax, forward and backward pass take 0.85 to
0.96 of the time (3 to 145 tokens), the forward pass alone 0.65 to 0.96.

Shapes: B batch, N tokens, D embedding width, H query heads, K key/value heads, G = H / K, C channels of a head,
X = (H + 2K) x C.
"""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

CACHE_BYTES = 2**21  # attention weights computed at a time; 1 to 4 MiB were equally fast on 1 and 2 cores
SAFE_SUM = 1e12  # sums of a row's weights between this and its inverse need no shifted scores
FEWEST_NUMBERS = 50_000  # of qkv; below, as with 64 images of 4 tokens, the overhead is larger than the gain
KEPT_BYTES = 2**26  # attention weights of a layer; above, memory matters more than time


def is_faster(qkv_BNX: Tensor, num_heads: int) -> bool:
    """Whether the input is large enough for a speed-up, and small enough to keep the attention weights."""
    batch, tokens, _ = qkv_BNX.shape
    return qkv_BNX.numel() >= FEWEST_NUMBERS and batch * num_heads * tokens**2 * qkv_BNX.element_size() <= KEPT_BYTES


def attend(qkv_BNX: Tensor, num_heads: int, num_kv_heads: int) -> Tensor:
    """As attention.attend: softmax(q k^T / sqrt(C)) v of each head, heads concatenated, (B, N, D)."""
    y_BND: Tensor = Attention.apply(qkv_BNX, num_heads, num_kv_heads)  # type: ignore[no-untyped-call]
    return y_BND


class Attention(torch.autograd.Function):
    """softmax(q k^T / sqrt(C)) v; the columns of qkv_BNX are H query, then K key, then K value heads."""

    @staticmethod
    def forward(ctx: Any, qkv_BNX: Tensor, num_heads: int, num_kv_heads: int) -> Tensor:
        batch, tokens, columns = qkv_BNX.shape
        channels = columns // (num_heads + 2 * num_kv_heads)
        ctx.shape = batch, tokens, num_kv_heads, num_heads // num_kv_heads, channels
        q_BKGNC, kv_2BKNC = _heads(qkv_BNX, ctx.shape)
        q = q_BKGNC.reshape(-1, ctx.shape[3] * tokens, channels)
        kv = kv_2BKNC.new_ones(2, len(q), tokens, channels + 1)
        kv[..., :channels].view(kv_2BKNC.shape).copy_(kv_2BKNC)
        keep = qkv_BNX.requires_grad
        weights, sums, y = _weigh(q, kv[..., :channels], keep, shift=False)
        if not _safe(sums):
            weights, sums, y = _weigh(q, kv[..., :channels], keep, shift=True)
        sums = sums.view(*q_BKGNC.shape[:-1], 1)
        y_BNKGC = q.new_empty(batch, tokens, *q_BKGNC.shape[1:3], channels)
        torch.div(y.view(q_BKGNC.shape), sums, out=y_BNKGC.permute(0, 2, 3, 1, 4))
        if keep:
            ctx.save_for_backward(q, kv, weights, sums, y_BNKGC)
        return y_BNKGC.view(batch, tokens, -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy_BND: Tensor) -> tuple[Tensor, None, None]:
        q, kv, weights, sums, y_BNKGC = ctx.saved_tensors
        batch, tokens, num_kv_heads, group, channels = ctx.shape
        scale = channels**-0.5
        dy = _weighted_gradient(dy_BND.view(y_BNKGC.shape), y_BNKGC, sums)
        dq, dkv = torch.empty_like(q), q.new_empty(2, len(q), tokens, channels)
        scratch = _scratch(q, tokens)
        for part, piece in _pieces(q, scratch):
            e, ds = weights[part], scratch[piece]
            torch.bmm(dy[part], kv[1, part].mT, out=ds).mul_(e)
            torch.bmm(e.mT, dy[part, :, :channels], out=dkv[1, part])
            _product(ds.mT, q[part], scale, dkv[0, part])
            _product(ds, kv[0, part, :, :channels], scale, dq[part])
        dqkv = q.new_empty(batch, tokens, (group + 2) * num_kv_heads * channels)
        dq_BKGNC, dkv_2BKNC = _heads(dqkv, ctx.shape)
        dq_BKGNC.copy_(dq.view(dq_BKGNC.shape))
        dkv_2BKNC.copy_(dkv.view(dkv_2BKNC.shape))
        return dqkv, None, None


def _weigh(q: Tensor, kv: Tensor, keep: bool, shift: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Weights e = 2^s of all queries and keys (without `keep`, of the last block only), their sums, and e v.

    With `shift`, each row's maximum is subtracted from its scores: slower, and correct for scores of any size.
    """
    alpha = q.shape[2] ** -0.5 * math.log2(math.e)
    scratch = _scratch(q, kv.shape[2])
    weights = q.new_empty(*q.shape[:2], kv.shape[2]) if keep else scratch
    sums, y = q.new_empty(q.shape[:2]), torch.empty_like(q)
    for part, piece in _pieces(q, scratch):
        e = weights[part if keep else piece]
        _product(q[part], kv[0, part].mT, alpha, e)
        if shift:
            e.sub_(e.amax(-1, keepdim=True))
        torch.sum(e.exp2_(), -1, out=sums[part])
        torch.bmm(e, kv[1, part], out=y[part])
    return weights, sums, y


def _safe(sums: Tensor) -> bool:
    """Whether the sums are far from overflow and underflow; False for NaN."""
    low, high = torch.aminmax(sums)
    return float(low) > 1 / SAFE_SUM and float(high) < SAFE_SUM


def _weighted_gradient(dy_BNKGC: Tensor, y_BNKGC: Tensor, sums: Tensor) -> Tensor:
    """(B x K, Q, C + 1): r dy and, as the last column, - r (dy . y); r = 1 / sums, which is (B, K, G, N, 1)."""
    batch, tokens, num_kv_heads, group, channels = y_BNKGC.shape
    dy = y_BNKGC.new_empty(batch, num_kv_heads, group, tokens, channels + 1)
    torch.div(dy_BNKGC.permute(0, 2, 3, 1, 4), sums, out=dy[..., :channels])
    dots = torch.linalg.vecdot(dy_BNKGC, y_BNKGC).permute(0, 2, 3, 1).unsqueeze(-1)
    torch.div(dots, sums, out=dy[..., channels:]).neg_()
    return dy.view(batch * num_kv_heads, group * tokens, channels + 1)


def _product(a: Tensor, b: Tensor, factor: float, out: Tensor) -> None:
    """out = factor a b."""
    torch.baddbmm(out, a, b, beta=0, alpha=factor, out=out)


def _heads(qkv_BNX: Tensor, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Views: queries (B, K, G, N, C), keys and values (2, B, K, N, C)."""
    batch, tokens, num_kv_heads, group, channels = shape
    width = num_kv_heads * group * channels
    q = qkv_BNX[..., :width].view(batch, tokens, num_kv_heads, group, channels)
    kv = qkv_BNX[..., width:].view(batch, tokens, 2, num_kv_heads, channels)
    return q.permute(0, 2, 3, 1, 4), kv.permute(2, 0, 3, 1, 4)


def _scratch(q: Tensor, tokens: int) -> Tensor:
    """A buffer for the attention weights of as many heads as fit into the cache, at least one."""
    heads = max(1, CACHE_BYTES // (q.shape[1] * tokens * q.element_size()))
    return q.new_empty(min(heads, len(q)), q.shape[1], tokens)


def _pieces(q: Tensor, scratch: Tensor) -> Iterator[tuple[slice, slice]]:
    """Blocks of heads of q, and the part of the buffer that each block uses."""
    for start in range(0, len(q), len(scratch)):
        stop = min(start + len(scratch), len(q))
        yield slice(start, stop), slice(0, stop - start)
