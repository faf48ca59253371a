"""Means computed by hand."""

import pytest
import torch

from study.vit.training.metrics import Means, hit_share


def test_batches_are_weighted_by_their_images() -> None:
    means = Means()
    means.add(3, {"loss": torch.tensor(1.0), "accuracy": torch.tensor(0.5)})
    means.add(1, {"loss": torch.tensor(5.0), "accuracy": torch.tensor(0.0)})
    assert means.values("val_") == {"val_loss": 2.0, "val_accuracy": 0.375}
    assert means.images == 4


def test_expert_load_by_block() -> None:
    means = Means()
    means.add(1, {}, [torch.tensor([1.0]), torch.tensor([0.25, 0.75])])
    means.add(3, {}, [torch.tensor([1.0]), torch.tensor([0.75, 0.25])])
    assert means.expert_load() == [[1.0], [0.625, 0.375]]


def test_no_batches_have_no_mean() -> None:
    assert Means().values() == {}
    assert Means().expert_load() == []


def test_accuracy_is_exact() -> None:
    means = Means()
    logits = torch.eye(3)
    means.add(3, {"accuracy": hit_share(logits, torch.tensor([0, 1, 0]))})
    means.add(3, {"accuracy": hit_share(logits, torch.tensor([0, 2, 0]))})
    assert means.values()["accuracy"] == pytest.approx(0.5, abs=1e-15)
