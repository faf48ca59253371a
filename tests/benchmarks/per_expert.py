"""A baseline: the model as public code for this paper usually implements it.

Modelled on a public derivative (arXiv 2509.10919) and its noisy top-k layers. Every expert checks on the host if it
has tokens, gathers them, applies its whole SwiGLU (V and W2 are shared parameters, but computed again for every expert)
and adds its weighted output. Query, key and value have separate linear maps, keys and values are repeated for their
query heads, and attention is a softmax between two products. The bugs known in the derivative (noise in evaluation, the
load threshold) are not reproduced, so that its logits equal this project's.

Shapes: B batch, N tokens, D width, T tokens of the whole batch, E experts, H query heads, K key/value heads,
C channels of a head.
"""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from study.vit import settings
from study.vit.models import Classified, Classifier
from study.vit.models.attention import GroupedQueryAttention
from study.vit.models.moe import ExpertMixture


class PerExpertClassifier(nn.Module):
    """Computes the same as the given `Classifier`, from copies of its weights.

    The classifier must share V and W2, and have biases and a class token, as the presets do.
    """

    def __init__(self, model: Classifier) -> None:
        super().__init__()
        encoder = model.encoder
        self.config = encoder.config
        size = self.config.patch_size
        self.patches = nn.Conv2d(self.config.channels, self.config.width, size, size, dtype=encoder.positions.dtype)
        _set(self.patches, encoder.patch_embedding.weight.view_as(self.patches.weight), encoder.patch_embedding.bias)
        self.class_token = nn.Parameter(encoder.class_token.detach().clone())
        self.positions = nn.Parameter(encoder.positions.detach().clone())
        self.blocks = nn.ModuleList(PerExpertBlock(block, self.config) for block in encoder.blocks)
        self.norm = copy.deepcopy(encoder.norm)
        self.head = _linear(model.head.weight, model.head.bias)

    def forward(self, images_BCHW: Tensor) -> Classified:
        x_BND = self.patches(images_BCHW).flatten(2).transpose(1, 2)
        x_BND = torch.cat((self.class_token.expand(len(x_BND), -1, -1), x_BND), dim=1) + self.positions
        balance_loss = x_BND.new_zeros(())
        for block in self.blocks:
            x_BND, loss = block(x_BND)
            balance_loss = balance_loss + loss
        return Classified(self.head(self.norm(x_BND)[:, 0]), balance_loss, [])


class PerExpertBlock(nn.Module):
    def __init__(self, block: nn.Module, shape: settings.Encoder) -> None:
        super().__init__()
        self.attention_norm, self.experts_norm = copy.deepcopy((block.attention_norm, block.experts_norm))
        self.attention = RepeatedHeads(block.attention)
        self.experts = PerExpertMixture(block.experts, shape)

    def forward(self, x_BND: Tensor) -> tuple[Tensor, Tensor]:
        x_BND = x_BND + self.attention(self.attention_norm(x_BND))
        y_TD, loss = self.experts(self.experts_norm(x_BND).flatten(0, 1))
        return x_BND + y_TD.view_as(x_BND), loss


class RepeatedHeads(nn.Module):
    def __init__(self, layer: GroupedQueryAttention) -> None:
        super().__init__()
        self.heads, self.kv_heads = layer.num_heads, layer.num_kv_heads
        width = layer.out.in_features
        rows = [width, *[(layer.qkv.out_features - width) // 2] * 2]
        maps = zip(layer.qkv.weight.split(rows), layer.qkv.bias.split(rows), strict=True)
        self.query, self.key, self.value = (_linear(weight, bias) for weight, bias in maps)
        self.out = _linear(layer.out.weight, layer.out.bias)

    def forward(self, x_BND: Tensor) -> Tensor:
        batch, tokens, width = x_BND.shape
        q, k, v = (
            to(x_BND).view(batch, tokens, -1, width // self.heads).transpose(1, 2)
            for to in (self.query, self.key, self.value)
        )
        k, v = (x.repeat_interleave(self.heads // self.kv_heads, dim=1) for x in (k, v))
        weights = ((q @ k.mT) * (width // self.heads) ** -0.5).softmax(-1)
        return self.out((weights @ v).transpose(1, 2).reshape(batch, tokens, width))


class Expert(nn.Module):
    """SwiGLU; `v` and `w2` are the same modules in all experts of a layer."""

    def __init__(self, w: nn.Linear, v: nn.Linear, w2: nn.Linear) -> None:
        super().__init__()
        self.w, self.v, self.w2 = w, v, w2

    def forward(self, x_TD: Tensor) -> Tensor:
        return self.w2(F.silu(self.w(x_TD)) * self.v(x_TD))


class PerExpertMixture(nn.Module):
    def __init__(self, layer: ExpertMixture, shape: settings.Encoder) -> None:
        super().__init__()
        self.importance_weight, self.load_weight = shape.importance_weight, shape.load_weight
        *ws, v = (
            _linear(weight, bias)
            for weight, bias in zip(
                layer.up.weight.split(layer.ffn_width), layer.up.bias.split(layer.ffn_width), strict=True
            )
        )
        w2 = _linear(layer.down.weight, layer.down_bias)
        self.experts = nn.ModuleList(Expert(w, v, w2) for w in ws)
        self.top_k = shape.top_k
        count = layer.num_experts
        self.gate = _linear(layer.router.scores.weight[:count], layer.router.scores.bias[:count])
        self.noise = _linear(layer.router.scores.weight[count:], layer.router.scores.bias[count:])

    def forward(self, x_TD: Tensor) -> tuple[Tensor, Tensor]:
        gates_TE, index_Tk, loss = self._route(x_TD)
        y_TD = torch.zeros_like(x_TD)
        for e, expert in enumerate(self.experts):
            chosen_T = (index_Tk == e).any(dim=1)
            if not chosen_T.any():  # synchronizes with the host
                continue
            tokens = torch.where(chosen_T)[0]
            y_TD.index_add_(0, tokens, expert(x_TD[tokens]) * gates_TE[tokens, e].unsqueeze(1))
        return y_TD, loss

    def _route(self, x_TD: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        clean_TE = self.gate(x_TD)
        noisy_TE, spread_TE = clean_TE, None
        if self.training:
            spread_TE = F.softplus(self.noise(x_TD))
            noisy_TE = clean_TE + torch.randn_like(clean_TE) * spread_TE
        top_Tk, index_Tk = noisy_TE.topk(self.top_k, dim=1)
        gates_TE = torch.zeros_like(noisy_TE).scatter(1, index_Tk, top_Tk.softmax(1))
        if spread_TE is None:
            return gates_TE, index_Tk, x_TD.new_zeros(())
        loss = self.importance_weight * _squared_variation(gates_TE.sum(0))
        if self.top_k < len(self.experts):
            top, _ = noisy_TE.topk(self.top_k + 1, dim=1)
            kth, next_ = top[:, -2:-1].expand_as(noisy_TE), top[:, -1:].expand_as(noisy_TE)
            rival_TE = torch.where(noisy_TE >= kth, next_, kth)
            chances_TE = torch.distributions.Normal(0.0, 1.0).cdf((clean_TE - rival_TE) / spread_TE)
            loss = loss + self.load_weight * _squared_variation(chances_TE.sum(0))
        return gates_TE, index_Tk, loss


def _squared_variation(x_E: Tensor) -> Tensor:
    return x_E.var(correction=0) / x_E.mean().square()


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], dtype=weight.dtype)
    _set(layer, weight, bias)
    return layer


@torch.no_grad()
def _set(layer: nn.Module, weight: Tensor, bias: Tensor) -> None:
    layer.weight.copy_(weight)
    layer.bias.copy_(bias)
