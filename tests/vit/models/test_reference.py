"""The model equals the plain reference up to float64 rounding, in values and gradients, for all settings."""

import pytest
import torch
from helpers import model_reference as reference
from helpers.model_samples import encoders, with_large_weights
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from study.vit import settings as config
from study.vit.models import VisionTransformer, build_encoder, cpu, cpu_attention

EQUAL = {"rtol": 1e-9, "atol": 1e-9}


def compare(model: VisionTransformer, images: Tensor, visible: Tensor | None) -> None:
    seed, weigh = 7, torch.randn(1, 1, model.config.width, dtype=torch.float64)
    results = []
    for encode in (model, lambda *args: reference.encode(model, *args)):
        torch.manual_seed(seed)
        found = encode(images, visible)
        tokens, loss, load = (
            found if isinstance(found, tuple) else (found.tokens_BND, found.balance_loss, found.expert_load)
        )
        model.zero_grad()
        ((tokens * weigh).square().sum() + 3 * loss).backward()
        gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
        results.append((tokens.detach(), torch.as_tensor(loss, dtype=torch.float64).detach(), load, gradients))
    (tokens, loss, load, gradients), expected = results[0], results[1]
    torch.testing.assert_close(tokens, expected[0], **EQUAL)
    torch.testing.assert_close(loss, expected[1], **EQUAL)
    torch.testing.assert_close(load, expected[2])
    scale = max((g.abs().max().item() for g in expected[3].values()), default=1)
    for name in gradients.keys() | expected[3].keys():
        zero = torch.zeros_like(dict(model.named_parameters())[name])
        difference = gradients.get(name, zero) - expected[3].get(name, zero)
        assert difference.abs().max().item() <= 1e-9 * scale, name


@pytest.mark.parametrize("plain", [False, True])
@settings(max_examples=40, deadline=None)
@given(encoders(max_grid=2), st.booleans(), st.data())
def test_the_model_equals_the_reference(
    plain: bool, encoder: config.Encoder, training: bool, data: st.DataObject
) -> None:
    torch.manual_seed(data.draw(st.integers(0, 2**16)))
    model = with_large_weights(build_encoder(encoder)).train(training)
    images = torch.randn(2, encoder.channels, encoder.image_size, encoder.image_size, dtype=torch.float64)
    keep = data.draw(st.integers(1, encoder.num_patches))
    order = torch.rand(2, encoder.num_patches).argsort(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cpu_attention, "FEWEST_NUMBERS", 0)
        if plain:  # the implementation for GPUs and torch.compile, not the one for CPUs
            patch.setattr(cpu, "supports", lambda _: False)
        compare(model, images, order[:, :keep] if data.draw(st.booleans()) else None)
