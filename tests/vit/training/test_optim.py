"""The learning rate of every step, which parameters share what, and AdamW on flat vectors against AdamW."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from study.vit import settings
from study.vit.models import Classifier, build_encoder
from study.vit.training.optim import FlatAdamW, Group, learning_rates, parameter_groups


def test_learning_rates_by_hand() -> None:
    assert learning_rates(2.0, 6, 2) == pytest.approx([1.0, 2.0, 2.0, 1.7071068, 1.0, 0.2928932])


def test_without_warm_up_the_first_step_is_at_the_peak_and_the_middle_at_half() -> None:
    assert learning_rates(1.0, 4, 0) == pytest.approx([1.0, 0.8535534, 0.5, 0.1464466])


def test_all_steps_may_warm_up() -> None:
    assert learning_rates(1.0, 4, 4) == [0.25, 0.5, 0.75, 1.0]


@given(st.integers(1, 200), st.data())
def test_rates_rise_to_the_peak_then_fall_and_stay_above_zero(steps: int, data: st.DataObject) -> None:
    warmup = data.draw(st.integers(0, steps))
    rates = learning_rates(0.1, steps, warmup)
    assert len(rates) == steps
    assert max(rates) == pytest.approx(0.1)
    assert min(rates) > 0
    assert rates[:warmup] == sorted(rates[:warmup])
    assert rates[warmup:] == sorted(rates[warmup:], reverse=True)


def classifier() -> Classifier:
    torch.manual_seed(0)
    shape = settings.Encoder(
        image_size=8, patch_size=4, channels=1, width=8, depth=2, num_heads=2, num_kv_heads=1, experts_by_depth=(2, 3)
    )
    return Classifier(build_encoder(shape), 3)


def factors(model: nn.Module, groups: list[Group]) -> dict[str, tuple[float, float]]:
    names = {parameter: name for name, parameter in model.named_parameters()}
    return {names[p]: (group.weight_decay, group.rate_factor) for group in groups for p in group.parameters}


def test_matrices_decay_and_the_rest_does_not() -> None:
    model = classifier()
    found = factors(model, parameter_groups(model, 0.3))
    assert found.keys() == dict(model.named_parameters()).keys()
    assert found["head.weight"] == found["encoder.blocks.0.attention.qkv.weight"] == (0.3, 1.0)
    for name in ("head.bias", "encoder.norm.weight", "encoder.positions", "encoder.class_token"):
        assert found[name] == (0.0, 1.0)


def test_each_layer_learns_at_a_share_of_the_rate_of_the_one_above() -> None:
    model = classifier()
    found = factors(model, parameter_groups(model, 0.3, layer_decay=0.5, depth=2))
    assert found["head.weight"][1] == found["encoder.norm.weight"][1] == 1.0
    assert found["encoder.blocks.1.attention.out.weight"][1] == 0.5
    assert found["encoder.blocks.0.experts_norm.weight"][1] == 0.25
    assert found["encoder.patch_embedding.weight"][1] == found["encoder.positions"][1] == 0.125


def loss_of(model: Classifier, images: Tensor, labels: Tensor) -> Tensor:
    model.eval()  # no router noise: both models must see the same
    made = model(images)
    return nn.functional.cross_entropy(made.logits_BC, labels)


@pytest.mark.parametrize("clip_norm", [0.0, 0.05, 100.0])
def test_flat_adamw_takes_the_steps_of_plain_adamw(clip_norm: float) -> None:
    plain, flat = classifier(), classifier()
    groups = parameter_groups(plain, 0.3, layer_decay=0.5, depth=2)
    reference = torch.optim.AdamW(
        [{"params": group.parameters, "weight_decay": group.weight_decay} for group in groups], betas=(0.9, 0.95)
    )
    optimizer = FlatAdamW(parameter_groups(flat, 0.3, layer_decay=0.5, depth=2), clip_norm, (0.9, 0.95))
    images, labels = torch.randn(6, 1, 8, 8), torch.arange(6) % 3
    for rate in (0.01, 0.02, 0.005):
        optimizer.descend(loss_of(flat, images, labels), rate)
        for options, group in zip(reference.param_groups, groups, strict=True):
            options["lr"] = rate * group.rate_factor
        reference.zero_grad()
        loss_of(plain, images, labels).backward()
        if clip_norm:
            nn.utils.clip_grad_norm_(plain.parameters(), clip_norm)
        reference.step()
    for (name, got), want in zip(flat.named_parameters(), plain.parameters(), strict=True):
        # Adam divides by the gradient's size: where that is rounding error, so is the step's direction.
        torch.testing.assert_close(got, want, atol=2e-5, rtol=1e-4, msg=lambda text, name=name: f"{name}: {text}")


def test_flattening_keeps_every_value() -> None:
    model = classifier()
    before = copy.deepcopy(model.state_dict())
    FlatAdamW(parameter_groups(model, 0.1), 1.0)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_parameter_without_influence_only_decays() -> None:
    used, unused = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.full((2, 2), 4.0))
    optimizer = FlatAdamW([Group((used, unused), 0.5, 1.0)], 0.0)
    optimizer.descend(used.sum(), 0.1)
    assert unused.tolist() == [[pytest.approx(3.8)] * 2] * 2  # 4 * (1 - 0.1 * 0.5)
    assert used.tolist() == [[pytest.approx(0.85)] * 2] * 2  # 1 * 0.95 - 0.1: Adam's first step is the rate itself
