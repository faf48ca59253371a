"""Optimizers over flat vectors take the steps of PyTorch's own optimizers over single parameters.

Shapes: B images, C channels, H height, W width.
"""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from helpers.training_samples import small_classifier
from torch import Tensor, nn

from study.vit.models import Classifier
from study.vit.training.flat_optimizer import FlatOptimizer
from study.vit.training.parameter_groups import Group, parameter_groups

REFERENCES: dict[str, Callable[[list[dict[str, Any]]], torch.optim.Optimizer]] = {
    "adamw": lambda groups: torch.optim.AdamW(groups, betas=(0.9, 0.95)),
    "sgd": lambda groups: torch.optim.SGD(groups, momentum=0.9, nesterov=True),
}
DECAY = {"weight_decay": 0.3, "layer_decay": 0.5, "depth": 2}


def loss_of(model: Classifier, images_BCHW: Tensor, labels_B: Tensor) -> Tensor:
    model.eval()  # no router noise: both models must compute the same
    return nn.functional.cross_entropy(model(images_BCHW).logits_BC, labels_B)


@pytest.mark.parametrize("clip_norm", [0.0, 0.05, 100.0])
@pytest.mark.parametrize("name", REFERENCES)
def test_flat_steps_are_those_of_pytorch(name: str, clip_norm: float) -> None:
    plain, flat = small_classifier(), small_classifier()
    groups = parameter_groups(plain, **DECAY)
    reference = REFERENCES[name]([{"params": group.parameters, "weight_decay": group.weight_decay} for group in groups])
    optimizer = FlatOptimizer(name, parameter_groups(flat, **DECAY), clip_norm, pretraining=True)
    torch.manual_seed(0)
    images_BCHW, labels_B = torch.randn(6, 1, 8, 8), torch.arange(6) % 3
    for rate in (0.01, 0.02, 0.005):
        optimizer.descend(loss_of(flat, images_BCHW, labels_B), rate)
        for options, group in zip(reference.param_groups, groups, strict=True):
            options["lr"] = rate * group.rate_factor
        reference.zero_grad()
        loss_of(plain, images_BCHW, labels_B).backward()
        if clip_norm:
            nn.utils.clip_grad_norm_(plain.parameters(), clip_norm)
        reference.step()
    for (parameter, found), expected in zip(flat.named_parameters(), plain.parameters(), strict=True):
        # Adam divides by the gradient's size: where that is rounding error, so is the step's direction.
        torch.testing.assert_close(
            found, expected, atol=2e-5, rtol=1e-4, msg=lambda text, at=parameter: f"{at}: {text}"
        )


def test_fine_tuning_has_the_default_betas() -> None:
    groups = [Group((nn.Parameter(torch.zeros(1)),), 0.0, 1.0)]
    assert FlatOptimizer("adamw", groups, 0.0).optimizer.defaults["betas"] == (0.9, 0.999)


@pytest.mark.parametrize("name", REFERENCES)
def test_a_batch_in_parts_takes_the_same_step(name: str) -> None:
    found = []
    for parts in (1, 3):
        weight = nn.Parameter(torch.arange(6.0))
        optimizer = FlatOptimizer(name, [Group((weight,), 0.0, 1.0)], 0.0)

        def losses(weight: nn.Parameter = weight, parts: int = parts) -> Iterator[Tensor]:
            return (part.square().sum() for part in torch.split(weight, 6 // parts))

        optimizer.descend_in_parts(losses(), 0.1)
        found.append(weight.detach().clone())
    torch.testing.assert_close(found[0], found[1])


def test_flattening_keeps_every_value() -> None:
    model = small_classifier()
    before = copy.deepcopy(model.state_dict())
    FlatOptimizer("adamw", parameter_groups(model, 0.1), 1.0)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_parameter_without_influence_only_decays() -> None:
    used, unused = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.full((2, 2), 4.0))
    optimizer = FlatOptimizer("adamw", [Group((used, unused), 0.5, 1.0)], 0.0)
    optimizer.descend(used.sum(), 0.1)
    assert unused.tolist() == [[pytest.approx(3.8)] * 2] * 2  # 4 * (1 - 0.1 * 0.5)
    assert used.tolist() == [[pytest.approx(0.85)] * 2] * 2  # 1 * 0.95 - 0.1: Adam's first step is the rate itself


def test_nesterov_momentum_by_hand() -> None:
    """Gradient 1 at each step: the buffer is 1, 1.9; a step is the rate times (gradient + 0.9 * buffer)."""
    weight = nn.Parameter(torch.zeros(1))
    optimizer = FlatOptimizer("sgd", [Group((weight,), 0.0, 1.0)], 0.0)
    optimizer.descend(weight.sum(), 0.1)
    assert weight.item() == pytest.approx(-0.19)
    optimizer.descend(weight.sum(), 0.1)
    assert weight.item() == pytest.approx(-0.19 - 0.271)
