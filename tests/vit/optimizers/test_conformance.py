"""Rules for every optimizer in the table; a new one is covered as soon as it has its line there."""

import pytest
import torch
from helpers.training_samples import QUICK, finetuning, run_digest
from pydantic import ValidationError
from torch import nn

from study.vit import optimizers
from study.vit.training.flat_optimizer import FlatOptimizer
from study.vit.training.parameter_groups import Group

each = pytest.mark.parametrize("name", optimizers.TABLE)


def problem(name: str, clip_norm: float = 0.0, weight_decay: float = 0.0) -> tuple[FlatOptimizer, nn.Parameter]:
    """The squared distance of four numbers from 3 is to be minimised."""
    weight = nn.Parameter(torch.zeros(2, 2))
    return FlatOptimizer(name, [Group((weight,), weight_decay, 1.0)], clip_norm), weight


def descend(optimizer: FlatOptimizer, weight: nn.Parameter, steps: int, rate: float = 0.02) -> None:
    for _ in range(steps):
        optimizer.descend((weight - 3).square().sum(), rate)


@each
@pytest.mark.parametrize("clip_norm", [0.0, 1.0])
def test_it_minimises(name: str, clip_norm: float) -> None:
    optimizer, weight = problem(name, clip_norm)
    descend(optimizer, weight, 500)
    torch.testing.assert_close(weight.detach(), torch.full((2, 2), 3.0), atol=0.05, rtol=0)


@each
def test_steps_are_deterministic_and_scale_with_the_learning_rate(name: str) -> None:
    found = []
    for rate in (0.01, 0.01, 0.02, 0.0):
        optimizer, weight = problem(name)
        descend(optimizer, weight, 1, rate)
        found.append(weight.detach().clone())
    assert torch.equal(found[0], found[1])
    torch.testing.assert_close(2 * found[0], found[2])
    assert not found[3].any()


@each
def test_weight_decay_shrinks_weights(name: str) -> None:
    optimizer, weight = problem(name, weight_decay=1.0)
    descend(optimizer, weight, 500)
    assert 0 < weight.detach().max() < 2.95


@each
def test_it_continues_from_its_state(name: str) -> None:
    """Weights and state after three steps are all that the fourth step depends on."""
    optimizer, weight = problem(name)
    descend(optimizer, weight, 3)
    other, copied = problem(name)
    copied.data.copy_(weight.data)
    other.restore({key: value.clone() for key, value in optimizer.state().items()})
    descend(optimizer, weight, 1)
    descend(other, copied, 1)
    assert torch.equal(weight, copied)


@each
def test_it_trains(name: str) -> None:
    recipe = finetuning(optimizer=name)
    assert recipe.changed().get("optimizer", "adamw") == name
    assert (run_digest(finetuning(**QUICK, optimizer=name)) == run_digest(finetuning(**QUICK))) == (name == "adamw")


def test_an_unknown_optimizer_is_invalid() -> None:
    with pytest.raises(ValidationError, match="'adamw'"):
        finetuning(optimizer="adam")


def test_a_new_optimizer_is_one_line_in_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(optimizers.TABLE, "plain_sgd", "helpers.throwaway:plain_sgd")
    optimizer, weight = problem("plain_sgd")
    descend(optimizer, weight, 1, 0.5)
    assert weight.tolist() == [[3.0, 3.0]] * 2  # the gradient is -6
    digests = {run_digest(finetuning(**QUICK, optimizer=name)) for name in ("adamw", "sgd")}
    recipe = finetuning(**QUICK).model_copy(update={"optimizer": "plain_sgd"})
    assert run_digest(recipe) not in digests
