"""A plain and slow reference encoder: loops over images, heads, tokens and experts.

It uses the weights of a `VisionTransformer` and follows the papers' formulas step by step. Equations are those of Tan
2407.17783 (the layer), Shazeer et al. 1701.06538 (router and losses), Ainslie et al. 2305.13245 (grouped query
attention) and Ba et al. 1607.06450 (layer norm). Router noise comes from torch's global generator: for each layer one
draw of (experts, tokens), as in the model.
"""

import math

import torch
from torch import Tensor

from study.vit.models import VisionTransformer
from study.vit.models.attention import GroupedQueryAttention
from study.vit.models.moe import ExpertMixture, Router
from study.vit.models.vit import Block


def encode(
    model: VisionTransformer, images: Tensor, visible: Tensor | None = None
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Tokens after the last norm, balance loss and expert load, as in `Encoded`."""
    x = torch.stack([embed(model, image, None if visible is None else visible[i]) for i, image in enumerate(images)])
    loss, loads = torch.zeros((), dtype=images.dtype), []
    for block in model.blocks:
        x, importance, load, share = run_block(block, x)
        loads.append(share)
        if model.training:
            loss = loss + model.config.importance_weight * importance + model.config.load_weight * load
    return torch.stack([torch.stack([norm(model.norm, token) for token in image]) for image in x]), loss, loads


def embed(model: VisionTransformer, image: Tensor, visible: Tensor | None) -> Tensor:
    size, across = model.config.patch_size, model.config.image_size // model.config.patch_size
    first = 0 if model.class_token is None else 1
    tokens = [] if model.class_token is None else [model.class_token[0] + model.positions[0]]
    for patch in range(across * across) if visible is None else visible.tolist():
        top, left = patch // across * size, patch % across * size
        pixels = image[:, top : top + size, left : left + size].flatten()
        tokens.append(linear(model.patch_embedding, pixels) + model.positions[first + patch])
    return torch.stack(tokens)


def run_block(block: Block, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    x = torch.stack([image + attention(block.attention, norm_all(block.attention_norm, image)) for image in x])
    tokens = norm_all(block.experts_norm, x.flatten(0, 1))
    y, importance, load, share = experts(block.experts, tokens)
    return x + y.view(x.shape), importance, load, share


def attention(layer: GroupedQueryAttention, x: Tensor) -> Tensor:
    tokens, width = x.shape
    heads, kv_heads = layer.num_heads, layer.num_kv_heads
    channels = width // heads
    qkv = torch.stack([linear(layer.qkv, token) for token in x])
    outputs = []
    for head in range(heads):
        kv_head = head // (heads // kv_heads)  # neighbouring query heads share a key/value head
        q = qkv[:, head * channels : (head + 1) * channels]
        k = qkv[:, width + kv_head * channels : width + (kv_head + 1) * channels]
        v = qkv[:, width + (kv_heads + kv_head) * channels : width + (kv_heads + kv_head + 1) * channels]
        rows = []
        for i in range(tokens):
            weights = torch.exp(torch.stack([q[i] @ k[j] / math.sqrt(channels) for j in range(tokens)]))
            weights = weights / weights.sum()
            rows.append(sum((weights[j] * v[j] for j in range(tokens)), torch.zeros_like(v[0])))
        outputs.append(torch.stack(rows))
    return torch.stack([linear(layer.out, token) for token in torch.cat(outputs, dim=1)])


def experts(layer: ExpertMixture, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Output, importance loss, load loss (both without weight), and the share of tokens of each expert."""
    zero = torch.zeros((), dtype=x.dtype)
    if layer.router is None:
        return torch.stack([expert(layer, 0, token) for token in x]), zero, zero, torch.ones(1)
    gates, chances = route(layer.router, x)
    y = []
    for token, row in zip(x, gates, strict=True):
        kept = [e for e, gate in enumerate(row) if gate is not None]
        y.append(sum((row[e] * expert(layer, e, token) for e in kept), torch.zeros_like(token)))
    importance = [sum((row[e] for row in gates if row[e] is not None), zero) for e in range(layer.num_experts)]
    count = torch.tensor([sum(row[e] is not None for row in gates) for e in range(layer.num_experts)])
    load = zero if chances is None else squared_variation([sum(column, zero) for column in zip(*chances, strict=True)])
    return torch.stack(y), squared_variation(importance), load, count / count.sum()


def expert(layer: ExpertMixture, e: int, x: Tensor) -> Tensor:
    """SwiGLU: (silu(x W) * (x V)) W2, where V and W2 belong to the expert or are shared by the layer."""
    width, experts = layer.ffn_width, layer.num_experts
    v = experts + (e if layer.num_v > 1 else 0)
    w2 = e if layer.num_w2 > 1 else 0
    w_x = part(layer.up, e, width, x)
    v_x = part(layer.up, v, width, x)
    y = layer.down.weight[:, w2 * width : (w2 + 1) * width] @ (w_x / (1 + torch.exp(-w_x)) * v_x)
    if layer.down_bias is None:
        return y
    return y + (layer.down_bias if layer.num_w2 == 1 else layer.down_bias[e])


def part(layer: torch.nn.Linear, index: int, width: int, x: Tensor) -> Tensor:
    rows = slice(index * width, (index + 1) * width)
    return layer.weight[rows] @ x + (0 if layer.bias is None else layer.bias[rows])


def route(router: Router, x: Tensor) -> tuple[list[list[Tensor | None]], list[list[Tensor]] | None]:
    """For each token: the weight of each expert (None: not kept), and each expert's chance under fresh noise."""
    experts, k, noisy = router.num_experts, router.top_k, router.noise and router.training
    noise = torch.randn(experts, len(x), dtype=x.dtype) if noisy else torch.zeros(experts, len(x), dtype=x.dtype)
    gates, chances = [], []
    for token, draw in zip(x, noise.T, strict=True):
        clean = part(router.scores, 0, experts, token)
        spread = torch.log(1 + torch.exp(part(router.scores, 1, experts, token))) if noisy else torch.zeros_like(clean)
        h = clean + draw * spread
        kept = sorted(range(experts), key=lambda e: -h[e].item())[:k]
        total = sum(torch.exp(h[e]) for e in kept)
        gates.append([torch.exp(h[e]) / total if e in kept else None for e in range(experts)])
        chances.append([chance(clean, spread, h, e, k) for e in range(experts)] if noisy else [])
    return gates, chances if noisy else None


def chance(clean: Tensor, spread: Tensor, h: Tensor, e: int, k: int) -> Tensor:
    """P(x, i) of 1701.06538, eq. 9: the probability that expert e is kept if only its noise is drawn again."""
    others = sorted((h[other] for other in range(len(h)) if other != e), key=lambda value: -value.item())
    if len(others) < k:
        return torch.ones((), dtype=h.dtype)
    return 0.5 * (1 + torch.erf((clean[e] - others[k - 1]) / spread[e] / math.sqrt(2)))


def squared_variation(values: list[Tensor]) -> Tensor:
    mean = sum(values[1:], values[0]) / len(values)
    return sum((value - mean) ** 2 for value in values) / len(values) / mean**2


def linear(layer: torch.nn.Linear, x: Tensor) -> Tensor:
    y = sum((x[i] * layer.weight[:, i] for i in range(len(x))), torch.zeros_like(layer.weight[:, 0]))
    return y if layer.bias is None else y + layer.bias


def norm_all(layer: torch.nn.LayerNorm, x: Tensor) -> Tensor:
    return torch.stack([norm(layer, token) for token in x])


def norm(layer: torch.nn.LayerNorm, x: Tensor) -> Tensor:
    mean = x.sum() / len(x)
    variance = ((x - mean) ** 2).sum() / len(x)
    return (x - mean) / torch.sqrt(variance + 1e-5) * layer.weight + layer.bias
