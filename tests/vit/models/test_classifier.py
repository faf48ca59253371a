"""Classifier: input of the head, determinism, compilation, layers and weight decay of parameters."""

import pytest
import torch
from helpers.model_samples import encoders, with_large_weights
from hypothesis import given, settings

from study.vit import settings as config
from study.vit.models import Classifier, build_encoder, layer_of, no_decay

SMALL = config.Encoder(image_size=6, width=12, depth=3, ffn_width_first=5, ffn_width_last=3)


def classifier(encoder: config.Encoder = SMALL, classes: int = 5) -> Classifier:
    torch.manual_seed(0)
    return Classifier(build_encoder(encoder), classes)


def images(encoder: config.Encoder = SMALL, batch: int = 3) -> torch.Tensor:
    return torch.randn(batch, encoder.channels, encoder.image_size, encoder.image_size)


# Rule: all valid settings build a model that trains: finite losses and gradients.


@settings(max_examples=40, deadline=None)
@given(encoders())
def test_every_valid_encoder_conforms(encoder: config.Encoder) -> None:
    model = classifier(encoder)
    x = images(encoder)
    found = model(x)
    assert found.logits_BC.shape == (3, 5)
    (found.logits_BC.square().mean() + found.balance_loss).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    assert [len(share) for share in found.expert_load] == list(encoder.num_experts)
    assert all(share.sum().item() == pytest.approx(1) and not share.requires_grad for share in found.expert_load)
    evaluated = model.eval()(x)
    assert evaluated.balance_loss.item() == 0
    assert torch.equal(evaluated.logits_BC, model(x).logits_BC)  # no noise
    encoded = model.encoder(x)
    assert encoded.tokens_BND.shape == (3, encoder.num_patches + (encoder.pooling == "class_token"), encoder.width)
    assert set(model.encoder.state_dict()) == {name for name, _ in model.encoder.named_parameters()}


def test_weights_come_from_the_global_generator() -> None:
    one, two = classifier().state_dict(), classifier().state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)
    other = Classifier(build_encoder(SMALL), 5).state_dict()
    assert not torch.equal(one["head.weight"], other["head.weight"])


def test_training_noise_follows_the_global_generator() -> None:
    model, x = classifier(), images()
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(model(x).balance_loss.item())
    assert drawn[0] == drawn[1] != drawn[2]


def test_initial_weights() -> None:
    for name, parameter in classifier(config.Encoder()).named_parameters():
        if "norm" in name:
            assert (parameter == (0 if name.endswith("bias") else 1)).all()
        elif name.endswith("bias"):
            assert not parameter.any()
        else:
            assert parameter.std().item() == pytest.approx(0.02, rel=0.35)
            assert abs(parameter.mean().item()) < 0.01


@pytest.mark.parametrize("pooling", ["class_token", "mean"])
def test_the_input_of_the_head(pooling: str) -> None:
    encoder = SMALL.model_copy(update={"pooling": pooling})
    model = with_large_weights(classifier(encoder)).eval()
    x = images(encoder).double()
    tokens = model.encoder(x).tokens_BND
    pooled = tokens[:, 0] if pooling == "class_token" else sum(tokens.unbind(1)) / 4
    torch.testing.assert_close(model(x).logits_BC, pooled @ model.head.weight.T + model.head.bias)


# Rule: the model is one graph for torch.compile, and the router decides in float32 under autocast.


@pytest.mark.parametrize("training", [True, False])
def test_it_compiles_without_breaks(training: bool) -> None:
    model, x = classifier().train(training), images()
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    torch.manual_seed(1)
    expected = model(x)
    torch.manual_seed(1)
    found = compiled(x)
    torch.testing.assert_close(found.logits_BC, expected.logits_BC)
    torch.testing.assert_close(found.balance_loss, expected.balance_loss)


def test_half_precision_does_not_change_routing() -> None:
    model, x = classifier().eval(), images()
    layer = model.encoder.blocks[0].experts.router
    tokens = torch.randn(50, SMALL.width)
    with torch.autocast("cpu", torch.bfloat16):
        found = model.train()(x)
        kept = layer.eval()(tokens).kept_ET
    assert found.logits_BC.dtype == torch.bfloat16
    assert found.balance_loss.dtype == torch.float32
    assert torch.equal(kept, layer(tokens).kept_ET)
    (found.logits_BC.float().square().mean() + found.balance_loss).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


# Rule: layer 0 is the embedding, i + 1 block i, depth + 1 everything after the blocks.


def test_layers_of_parameters() -> None:
    layers: dict[int, set[str]] = {}
    for name, _ in classifier().named_parameters():
        layers.setdefault(layer_of(name, SMALL.depth), set()).add(name.removeprefix("encoder.").split(".")[0])
    assert layers == {
        0: {"patch_embedding", "positions", "class_token"},
        1: {"blocks"},
        2: {"blocks"},
        3: {"blocks"},
        4: {"norm", "head"},
    }
    assert layer_of("encoder.blocks.10.attention.qkv.weight", 15) == 11


@pytest.mark.parametrize("shared", ["both", "none"])
def test_only_matrices_decay(shared: str) -> None:
    model = classifier(SMALL.model_copy(update={"shared_projections": shared}))
    decayed = {name for name, parameter in model.named_parameters() if not no_decay(name, parameter)}
    assert all(name.endswith("weight") and "norm" not in name for name in decayed)
    assert {name for name, p in model.named_parameters() if p.ndim == 2} - decayed == {
        "encoder.positions",
        "encoder.class_token",
        *([f"encoder.blocks.{i}.experts.down_bias" for i in range(3)] if shared == "none" else []),
    }
