"""The epoch loop on a model that can be computed by hand."""

from collections.abc import Callable, Iterator

import pytest
import torch
from helpers.training_samples import finetuning
from torch import Tensor, nn

from study.vit.training.flat_optimizer import FlatOptimizer
from study.vit.training.loop import Diverged, Task, fit, on_host
from study.vit.training.parameter_groups import parameter_groups
from study.vit.training.seeds import own_random_state

CPU = torch.device("cpu")


def line(data: Callable[[int], list[float]], seen: list[bool] | None = None) -> Task:
    """One weight, which learns the median of the epoch's numbers in two steps per epoch. Records the mode."""
    weight = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(weight.weight)
    modes = [] if seen is None else seen

    def batches(epoch: int) -> Iterator[tuple[Tensor, ...]]:
        return ((torch.tensor([[number]]),) for number in data(epoch))

    def losses(numbers: Tensor) -> dict[str, Tensor]:
        modes.append(weight.training)
        loss = (weight(torch.ones(1, 1)) - numbers).abs().sum()
        return {"objective": loss, "loss": loss}

    def evaluate() -> dict[str, float]:
        modes.append(weight.training)
        return {"val_loss": abs(weight.weight.item() - 1)}

    optimizer = FlatOptimizer("adamw", parameter_groups(weight, 0.0), 0.0)
    return Task("straight line", weight, optimizer, 2, batches, losses, evaluate)


def test_records_by_hand() -> None:
    """Adam moves by the learning rate while the gradient's sign is constant."""
    modes: list[bool] = []
    records: list[dict[str, float]] = []
    recipe = finetuning(epochs=2, learning_rate=0.1, warmup_epochs=1.0)
    with own_random_state(CPU):
        fit(line(lambda epoch: [1.0, 1.0], modes), recipe, 1, CPU, records.append)
    assert [record.pop("seconds") > 0 for record in records] == [True, True]
    first, second = records
    assert first == pytest.approx({"epoch": 1, "train_loss": 0.975, "learning_rate": 0.1, "val_loss": 0.85}, abs=1e-6)
    # Rates 0.05, 0.1, then 0.1 and 0.05 along the cosine: the weight is 0.05, 0.15, 0.25, 0.30.
    assert second == pytest.approx({"epoch": 2, "train_loss": 0.8, "learning_rate": 0.05, "val_loss": 0.7}, abs=1e-6)
    assert modes == [True, True, False] * 2


def test_divergence_names_the_epoch_and_the_last_finite_values() -> None:
    task = line(lambda epoch: [1.0, 1.0 if epoch < 3 else float("nan")])
    history: list[dict[str, float]] = []
    with own_random_state(CPU), pytest.raises(Diverged) as caught:
        fit(task, finetuning(epochs=5, learning_rate=0.1), 1, CPU, history.append)
    assert "straight line diverged in epoch 3: train_loss became NaN or inf" in str(caught.value)
    assert "last finite values: epoch 2, train_loss 0." in str(caught.value)
    assert len(history) == 2


def test_weights_on_the_host_have_their_own_storage() -> None:
    module = nn.Linear(2, 2)
    FlatOptimizer("adamw", parameter_groups(module, 0.1), 0.0)
    taken = on_host(module.state_dict())
    storages = {weight.untyped_storage().data_ptr() for weight in taken.values()}
    assert len(storages) == 2
    nn.init.zeros_(module.weight)
    assert taken["weight"].abs().sum() > 0
