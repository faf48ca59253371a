"""Baselines of the benchmarks: textbook implementations of the same layers, dense models of equal size or cost, and
the machine's rate of large matrix products."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from study.vit import counts, settings
from study.vit.models import Classifier, build_encoder
from study.vit.models.attention import GroupedQueryAttention
from study.vit.models.balance import Routing
from study.vit.models.moe import ExpertMixture

CLASSES = 100
GEMM_SIZE = 2048


def gather_scatter(layer: ExpertMixture, x_TD: Tensor) -> tuple[Tensor, Routing | None]:
    """Textbook implementation: each expert gathers its tokens, computes, and scatters its weighted results."""
    if layer.router is None:
        raise ValueError("a dense layer has no experts to gather")
    routing = layer.router(x_TD)
    w_EFD, v_VFD = layer.up.weight.unflatten(0, (-1, layer.ffn_width)).split([layer.num_experts, layer.num_v])
    bw_EF, bv_VF = layer.up.bias.unflatten(0, (-1, layer.ffn_width)).split([layer.num_experts, layer.num_v])
    y_TD = torch.zeros_like(x_TD)
    for e in range(layer.num_experts):
        tokens = routing.kept_ET[e].nonzero().squeeze(1)
        x = x_TD[tokens]
        hidden = F.silu(F.linear(x, w_EFD[e], bw_EF[e])) * F.linear(x, v_VFD[0], bv_VF[0])
        y = F.linear(hidden, layer.down.weight, layer.down_bias) * routing.gates_ET[e, tokens].unsqueeze(1)
        y_TD = y_TD.index_add(0, tokens, y)
    return y_TD, routing


def repeated_heads(layer: GroupedQueryAttention, x_BND: Tensor) -> Tensor:
    """Textbook implementation: keys and values are repeated for the query heads that share them."""
    batch, tokens, width = x_BND.shape
    heads, kv_heads = layer.num_heads, layer.num_kv_heads
    qkv = layer.qkv(x_BND).view(batch, tokens, -1, width // heads).transpose(1, 2)
    q, k, v = qkv.split([heads, kv_heads, kv_heads], dim=1)
    k, v = (x.repeat_interleave(heads // kv_heads, dim=1) for x in (k, v))
    return layer.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


@contextmanager
def textbook(attention_too: bool) -> Iterator[None]:
    """Models use the textbook implementation of experts (and attention)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ExpertMixture, "forward", gather_scatter)
        if attention_too:
            patch.setattr(GroupedQueryAttention, "forward", repeated_heads)
        yield


def dense_of_equal_params(encoder: settings.Encoder) -> settings.Encoder:
    """A dense multi-head ViT with the parameters of `encoder`, as closely as its FFN width allows."""
    target = counts.classifier_params(encoder, CLASSES).total
    return _nearest(encoder, lambda dense: counts.classifier_params(dense, CLASSES).total - target)


def dense_of_equal_macs(encoder: settings.Encoder) -> settings.Encoder:
    """A dense multi-head ViT with the active multiply-adds of `encoder`, as closely as its FFN width allows."""
    target = counts.classifier_macs(encoder, CLASSES).active
    return _nearest(encoder, lambda dense: counts.classifier_macs(dense, CLASSES).executed - target)


def _nearest(encoder: settings.Encoder, surplus) -> settings.Encoder:  # type: ignore[no-untyped-def]
    dense = [
        encoder.model_copy(
            update={
                "num_kv_heads": encoder.num_heads,
                "experts_by_depth": (1,),
                "top_k": 1,
                "ffn_width_first": width,
                "ffn_width_last": width,
            }
        )
        for width in range(1, 4 * encoder.width)
    ]
    return min(dense, key=lambda candidate: abs(surplus(candidate)))


def classifier(encoder: settings.Encoder) -> Classifier:
    torch.manual_seed(0)
    return Classifier(build_encoder(encoder), CLASSES)


def macs(encoder: settings.Encoder) -> int:
    return counts.classifier_macs(encoder, CLASSES).executed
