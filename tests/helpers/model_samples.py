"""What tests of models share: small settings of every kind, and models whose weights all matter."""

from typing import TypeVar

import torch
from hypothesis import strategies as st
from torch import nn

from study.vit import settings

DATASET = "digits"
Model = TypeVar("Model", bound=nn.Module)


@st.composite
def encoders(draw: st.DrawFn, max_depth: int = 3, max_grid: int = 3) -> settings.Encoder:
    """Any encoder `config.Encoder` accepts, but small: odd widths, 1 to H kv heads, any experts by depth, ..."""
    kv_heads, group, channels = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 5))
    depth, patch = draw(st.integers(1, max_depth)), draw(st.integers(1, 3))
    experts = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=depth)))
    return settings.Encoder(
        image_size=patch * draw(st.integers(1, max_grid)),
        patch_size=patch,
        channels=draw(st.sampled_from([1, 3])),
        width=kv_heads * group * channels,
        depth=depth,
        num_heads=kv_heads * group,
        num_kv_heads=kv_heads,
        experts_by_depth=experts,
        top_k=draw(st.integers(1, min(experts))),
        router_noise=draw(st.booleans()),
        importance_weight=draw(st.sampled_from([0.0, 0.1])),
        load_weight=draw(st.sampled_from([0.0, 0.2])),
        shared_projections=draw(st.sampled_from(["both", "v", "w2", "none"])),
        ffn_width_first=draw(st.integers(1, 7)),
        ffn_width_last=draw(st.integers(1, 7)),
        ffn_rounding=draw(st.sampled_from(["up", "down", "nearest"])),
        bias=draw(st.booleans()),
        pooling=draw(st.sampled_from(["class_token", "mean"])),
    )


@st.composite
def pretrains(draw: st.DrawFn, num_patches: int) -> settings.Pretrain:
    """Any masked pre-training of at least two patches."""
    kv_heads, group, experts = draw(st.integers(1, 2)), draw(st.integers(1, 2)), draw(st.integers(1, 3))
    decoder = settings.Decoder(
        width=kv_heads * group * draw(st.integers(1, 4)),
        depth=draw(st.integers(1, 2)),
        ffn_width=draw(st.integers(1, 5)),
        num_experts=experts,
        top_k=draw(st.integers(1, experts)),
        num_heads=kv_heads * group,
        num_kv_heads=kv_heads,
    )
    masked = draw(st.integers(1, num_patches - 1))
    return settings.Pretrain(
        dataset=DATASET,
        mask_ratio=masked / num_patches,
        visible_discount=draw(st.sampled_from([0.0, 0.1, 1.0])),
        normalize_targets=draw(st.booleans()),
        decoder=decoder,
    )


def with_large_weights(model: Model) -> Model:
    """In float64 and of order one: with the weights of a fresh model, most terms would be too small to see."""
    for parameter in model.parameters():
        parameter.data = torch.randn_like(parameter, dtype=torch.float64) * 0.7
    return model
