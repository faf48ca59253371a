"""Grouped query attention: both implementations against PyTorch's with repeated heads."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from study.vit.models import cpu, cpu_attention
from study.vit.models.attention import attend


def repeated(qkv: Tensor, heads: int, kv_heads: int) -> Tensor:
    """Keys and values of each kv head repeated for the neighbouring query heads that share it."""
    batch, tokens, columns = qkv.shape
    channels = columns // (heads + 2 * kv_heads)
    q, k, v = qkv.view(batch, tokens, -1, channels).transpose(1, 2).split([heads, kv_heads, kv_heads], dim=1)
    k, v = (x.repeat_interleave(heads // kv_heads, dim=1) for x in (k, v))
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


def gradient(function, qkv: Tensor, heads: int, kv_heads: int) -> tuple[Tensor, Tensor]:  # type: ignore[no-untyped-def]
    qkv = qkv.detach().requires_grad_()
    y = function(qkv, heads, kv_heads)
    (y * torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view_as(y)).sum().backward()
    assert qkv.grad is not None
    return y.detach(), qkv.grad


@pytest.mark.parametrize("fast", [True, False])
@settings(max_examples=40, deadline=None)
@given(st.integers(1, 4), st.integers(1, 9), st.integers(1, 3), st.integers(1, 3), st.integers(1, 5), st.booleans())
def test_kv_heads_repeat_for_neighbouring_query_heads(
    fast: bool, batch: int, tokens: int, kv_heads: int, group: int, channels: int, small_cache: bool
) -> None:
    qkv = torch.randn(batch, tokens, (group + 2) * kv_heads * channels, dtype=torch.float64)
    expected = gradient(repeated, qkv, group * kv_heads, kv_heads)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cpu_attention, "CACHE_BYTES", 100 if small_cache else 2**21)  # one or a few heads at a time
        patch.setattr(cpu_attention, "FEWEST_NUMBERS", 0)
        if not fast:
            patch.setattr(cpu, "supports", lambda *_: False)
        torch.testing.assert_close(gradient(attend, qkv, group * kv_heads, kv_heads), expected)
        with torch.no_grad():
            torch.testing.assert_close(attend(qkv, group * kv_heads, kv_heads), expected[0])


@pytest.mark.parametrize("size", [1e-3, 1, 10, 100, 1e4])
def test_scores_of_any_size(monkeypatch: pytest.MonkeyPatch, size: float) -> None:
    """exp of most of these overflows or underflows in float32; a softmax never does."""
    monkeypatch.setattr(cpu_attention, "FEWEST_NUMBERS", 0)
    torch.manual_seed(0)
    qkv = torch.randn(2, 5, 8 * 3)
    qkv[..., :16] *= size  # queries and keys only
    expected, dexpected = gradient(repeated, qkv.double(), 4, 2)
    found, dfound = gradient(attend, qkv, 4, 2)
    torch.testing.assert_close(found.double(), expected, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(dfound.double(), dexpected, rtol=1e-3, atol=1e-3 * dexpected.abs().max().item())


def test_nan_stays_in_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu_attention, "FEWEST_NUMBERS", 0)
    qkv = torch.randn(1, 3, 12)
    qkv[0, 1, 0] = torch.nan  # of the second token's query in the first head
    found = attend(qkv, 2, 2)
    assert found[0, 1].isnan().any()
    assert not found[0, 0].isnan().any()


def test_when_the_cpu_implementation_is_used() -> None:
    assert cpu.supports(torch.empty(1))
    assert cpu.supports(torch.empty(1, dtype=torch.float64))
    assert not cpu.supports(torch.empty(1, dtype=torch.bfloat16))
    assert not cpu.supports(torch.empty(1, device="meta"))
    assert cpu_attention.is_faster(torch.empty(64, 145, 216), num_heads=8)
    assert not cpu_attention.is_faster(torch.empty(64, 1000, 216), num_heads=2)  # 512 MB of attention weights
    assert not cpu_attention.is_faster(torch.empty(64, 4, 128), num_heads=4)
