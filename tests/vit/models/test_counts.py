"""Closed forms of parameters and multiply-adds, against built models and PyTorch's own FLOP counter."""

import pytest
import torch
from helpers.model_samples import DATASET, encoders, pretrains
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from study.vit import counts
from study.vit import settings as config
from study.vit.models import Classifier, MaskedAutoencoder, build_encoder, cpu_attention, moe

PRESETS = {name: config.Encoder.model_validate({"preset": name}) for name in config.PRESETS}


def built_params(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def idle_params(model: nn.Module, top_k: int) -> int:
    """Parameters of the experts that a token does not keep."""
    idle = 0
    for layer in model.modules():
        if isinstance(layer, moe.ExpertMixture) and layer.num_experts > 1:
            rows = 1 + (1 if layer.num_v > 1 else 0)
            own = layer.up.weight[: rows * layer.ffn_width].numel()
            own += 0 if layer.up.bias is None else rows * layer.ffn_width
            if layer.num_w2 > 1:
                own += layer.down.weight[:, : layer.ffn_width].numel()
                own += 0 if layer.down_bias is None else layer.down_bias[0].numel()
            idle += (layer.num_experts - top_k) * own
    return idle


def measured_macs(model: nn.Module, *inputs: torch.Tensor) -> int:
    with pytest.MonkeyPatch.context() as patch, FlopCounterMode(display=False) as counter, torch.no_grad():
        patch.setattr(cpu_attention, "FEWEST_NUMBERS", 0)  # the counter does not count PyTorch's own CPU attention
        model(*inputs)
    assert counter.get_total_flops() % 2 == 0
    return counter.get_total_flops() // 2


@pytest.mark.parametrize(("name", "millions"), [("S", "2.384"), ("XS", "1.223"), ("XXS", "0.666")])
def test_presets_have_the_papers_size(name: str, millions: str) -> None:
    count = counts.classifier_params(PRESETS[name], 100)
    assert f"{count.total / 1e6:.3f}" == millions
    assert count.total == built_params(Classifier(build_encoder(PRESETS[name]), 100))
    assert f"{counts.classifier_params(PRESETS['XXS'], 100).total / 1e6:.2f}" == "0.67"


@pytest.mark.parametrize("name", PRESETS)
def test_multiply_adds_of_presets(name: str) -> None:
    encoder, pretrain = PRESETS[name], config.Pretrain(dataset=DATASET)
    image, order = torch.zeros(1, 3, 36, 36), torch.arange(144).unsqueeze(0)
    classifier = Classifier(build_encoder(encoder), 100).eval()
    assert counts.classifier_macs(encoder, 100).executed == measured_macs(classifier, image)
    mae = MaskedAutoencoder(build_encoder(encoder), pretrain)
    assert counts.pretrain_macs(encoder, pretrain).executed == measured_macs(mae, image, order)
    assert counts.pretrain_params(encoder, pretrain).total == built_params(mae)


@settings(max_examples=40, deadline=None)
@given(encoders(), st.integers(1, 7))
def test_classifier_counts(encoder: config.Encoder, classes: int) -> None:
    model = Classifier(build_encoder(encoder), classes).eval()
    count = counts.classifier_params(encoder, classes)
    assert count.total == built_params(model)
    assert count.total - count.active == idle_params(model, encoder.top_k)
    images = torch.zeros(2, encoder.channels, encoder.image_size, encoder.image_size)
    macs = counts.classifier_macs(encoder, classes)
    assert 2 * macs.executed == measured_macs(model, images)
    assert (macs.executed == macs.active) == all(experts in (1, encoder.top_k) for experts in encoder.num_experts)


@settings(max_examples=30, deadline=None)
@given(encoders(max_depth=2).filter(lambda encoder: encoder.num_patches > 1), st.data())
def test_pretraining_counts(encoder: config.Encoder, data: st.DataObject) -> None:
    pretrain = data.draw(pretrains(encoder.num_patches))
    model = MaskedAutoencoder(build_encoder(encoder), pretrain)
    count = counts.pretrain_params(encoder, pretrain)
    assert count.total == built_params(model)
    assert count.total - count.active == idle_params(model.encoder, encoder.top_k) + idle_params(
        model.blocks, pretrain.decoder.top_k
    )
    images = torch.zeros(2, encoder.channels, encoder.image_size, encoder.image_size)
    order = torch.arange(encoder.num_patches).expand(2, -1)
    assert 2 * counts.pretrain_macs(encoder, pretrain).executed == measured_macs(model, images, order)


def test_active_multiply_adds_by_hand() -> None:
    encoder = config.Encoder(
        image_size=2, patch_size=1, channels=1, width=4, depth=1, num_heads=2, num_kv_heads=1, experts_by_depth=(3,),
        top_k=2, ffn_width_first=5, ffn_width_last=5, pooling="mean",
    )  # fmt: skip
    patches = 4 * 1 * 4
    attention = 4 * (4 * 4 + 4 * 2 * 2 + 4 * 4) + 2 * 4 * 4 * 4  # queries, keys and values, output; two products
    router, w, v_and_w2 = 4 * 4 * 3, 4 * 4 * 5, 2 * 4 * 4 * 5
    head = 4 * 10
    assert counts.classifier_macs(encoder, 10) == counts.Macs(
        executed=patches + attention + router + 3 * w + v_and_w2 + head,
        active=patches + attention + router + 2 * w + v_and_w2 + head,
    )
