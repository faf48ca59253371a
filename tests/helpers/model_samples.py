"""Strategies for small models of every kind, and models whose weights all matter."""

from collections.abc import Container
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import torch
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from torch import nn

from study.vit import settings

DATASET = "digits"
Model = TypeVar("Model", bound=nn.Module)
Settings = TypeVar("Settings", bound=BaseModel)


def values(field: FieldInfo) -> list[Any]:
    """Small valid values of a setting. Raises TypeError for a type that has none here."""
    kind = field.annotation
    if get_origin(kind) is Literal:
        return list(get_args(kind))
    numbers: dict[Any, list[Any]] = {bool: [False, True], int: [1, 2, 3, 5], float: [0.0, 0.1, 0.5, 1.0]}
    if kind not in numbers:
        raise TypeError(f"no values for a setting of type {kind}; add them to `values`, or draw the setting by hand")
    return [value for value in numbers[kind] if _is_valid(field, value)]


def _is_valid(field: FieldInfo, value: Any) -> bool:
    try:
        TypeAdapter(Annotated[field.annotation, *field.metadata]).validate_python(value)
    except ValidationError:
        return False
    return True


def built(draw: st.DrawFn, model: type[Settings], by_hand: dict[str, Any], left_out: Container[str] = ()) -> Settings:
    """A settings model with some fields given, and every other one drawn by its type."""
    drawn = {
        name: draw(st.sampled_from(values(field)))
        for name, field in model.model_fields.items()
        if name not in by_hand and name not in left_out
    }
    return model(**by_hand, **drawn)


@st.composite
def heads(draw: st.DrawFn) -> dict[str, int]:
    """Width, query heads and key/value heads that divide each other; also odd widths."""
    kv_heads, group, channels = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 5))
    return {"width": kv_heads * group * channels, "num_heads": kv_heads * group, "num_kv_heads": kv_heads}


@st.composite
def encoders(draw: st.DrawFn, max_depth: int = 3, max_grid: int = 3) -> settings.Encoder:
    """Any valid encoder, but small."""
    depth, patch = draw(st.integers(1, max_depth)), draw(st.integers(1, 3))
    experts = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=depth)))
    by_hand = draw(heads()) | {
        "image_size": patch * draw(st.integers(1, max_grid)),
        "patch_size": patch,
        "depth": depth,
        "experts_by_depth": experts,
        "top_k": draw(st.integers(1, min(experts))),
    }
    return built(draw, settings.Encoder, by_hand)


@st.composite
def pretrains(draw: st.DrawFn, num_patches: int) -> settings.Pretrain:
    """Any masked pre-training of at least two patches: its architecture and loss, not data and optimization."""
    experts = draw(st.integers(1, 3))
    shape = draw(heads()) | {
        "depth": draw(st.integers(1, 2)),
        "num_experts": experts,
        "top_k": draw(st.integers(1, experts)),
    }
    by_hand = {
        "dataset": DATASET,
        "mask_ratio": draw(st.integers(1, num_patches - 1)) / num_patches,
        "decoder": built(draw, settings.Decoder, shape),
    }
    return built(draw, settings.Pretrain, by_hand, left_out=settings.Recipe.model_fields)


def with_large_weights(model: Model) -> Model:
    """In float64 and of order one: with the weights of a new model, most terms would be too small to see."""
    for parameter in model.parameters():
        parameter.data = torch.randn_like(parameter, dtype=torch.float64) * 0.7
    return model
