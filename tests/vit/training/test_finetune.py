"""Supervised training and the linear probe: results, evaluation, errors."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from helpers.training_samples import dataset, finetuning, numbers, pretraining, random_split
from torch import Tensor

from study.utils.errors import StudyError
from study.vit import settings
from study.vit.data import Dataset, Split, load
from study.vit.models import Classifier, build_encoder
from study.vit.training import Trained, finetune, pretrain
from study.vit.training.finetune import BestWeights
from study.vit.training.images import fit_images
from study.vit.training.predictions import digest


def ignore(record: dict[str, float]) -> None:
    pass


def run(encoder: settings.Encoder, weights: dict[str, Tensor] | None = None, seed: int = 1, **changes: Any) -> Trained:
    return finetune(encoder, finetuning(**changes), weights, seed, "cpu", ignore)


LEARNS = {"train_images": None, "epochs": 12, "learning_rate": 6e-3, "warmup_epochs": 1.0, "batch_size": 64}
EVERYTHING = {
    "flip": True,
    "shift": 0.1,
    "zoom": 0.1,
    "rotate": 10.0,
    "brightness": 0.1,
    "contrast": 0.1,
    "erase": 0.5,
    "mixup": 0.2,
}


def test_it_learns_digits_from_scratch(encoder: settings.Encoder) -> None:
    trained = run(encoder, **LEARNS, augment={"shift": 0.05})
    assert trained.metrics["val_accuracy"] > 0.85  # chance: 0.1
    assert trained.metrics["test_accuracy"] > 0.85


def test_the_result(encoder: settings.Encoder) -> None:
    records: list[dict[str, float]] = []
    trained = finetune(encoder, finetuning(epochs=3), None, 1, "cpu", records.append)
    assert trained.history == records
    for name in ("epoch", "train_loss", "train_accuracy", "learning_rate", "val_loss", "val_accuracy", "seconds"):
        assert name in records[0]
    scores = {"val_accuracy", "val_loss", "test_accuracy", "test_loss"}
    assert trained.metrics.keys() == scores | {"train_seconds", "images_per_second"}
    assert trained.metrics["val_accuracy"] == records[-1]["val_accuracy"]
    assert [len(load) for load in trained.expert_load] == list(encoder.num_experts)
    assert set(trained.normalization) == {"mean", "std"}
    Classifier(build_encoder(encoder), 10).load_state_dict(trained.weights)


@pytest.mark.parametrize("mode", ["finetune", "probe"])
def test_equal_seeds_give_equal_bits_whatever_the_caller_draws(encoder: settings.Encoder, mode: str) -> None:
    start = build_encoder(encoder).state_dict()
    first = run(encoder, start, mode=mode, augment=EVERYTHING, label_smoothing=0.1, layer_decay=0.8, keep="best")
    torch.manual_seed(99)
    before = torch.get_rng_state()
    second = run(encoder, start, mode=mode, augment=EVERYTHING, label_smoothing=0.1, layer_decay=0.8, keep="best")
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(weight, second.weights[name]) for name, weight in first.weights.items())
    assert [*map(numbers, first.history)] == [*map(numbers, second.history)]
    assert numbers(first.metrics) == numbers(second.metrics)


def test_evaluation_does_not_change_training(encoder: settings.Encoder, serve: Callable[[Dataset], None]) -> None:
    digits = load("digits", 8)
    whole = run(encoder)
    serve(replace(digits, validation=Split(digits.validation.images[:20], digits.validation.labels[:20])))
    other_validation = run(encoder)
    assert all(torch.equal(weight, other_validation.weights[name]) for name, weight in whole.weights.items())


def test_training_starts_from_the_given_weights(encoder: settings.Encoder) -> None:
    start = pretrain(encoder, pretraining(epochs=1), 5, "cpu", ignore).weights
    trained = run(encoder, start, learning_rate=1e-12)
    for name, weight in start.items():
        torch.testing.assert_close(trained.weights[f"encoder.{name}"], weight)


class Watched:
    """A data set that records when its test split is read."""

    def __init__(self, real: Dataset, events: list[str]) -> None:
        self.info, self.train, self.validation, self.facts = real.info, real.train, real.validation, real.facts
        self._test, self._events = real.test, events

    @property
    def test(self) -> Split:
        self._events.append("test")
        return self._test


@pytest.mark.parametrize("mode", ["finetune", "probe"])
@pytest.mark.parametrize("keep", ["last", "best"])
def test_test_data_are_evaluated_once_at_the_end(
    encoder: settings.Encoder, serve: Callable[[Any], None], mode: str, keep: str
) -> None:
    events: list[str] = []
    serve(Watched(load("digits", 8), events))
    recipe = finetuning(epochs=3, mode=mode, keep=keep)
    start = build_encoder(encoder).state_dict()
    finetune(encoder, recipe, start, 1, "cpu", lambda record: events.append("epoch"))
    assert events == ["epoch"] * 3 + ["test"]


@pytest.mark.parametrize("changes", [{}, {"mode": "probe"}, {"precision": "bfloat16"}, {"keep": "best", "epochs": 3}])
def test_predictions_are_those_behind_the_test_accuracy(encoder: settings.Encoder, changes: dict[str, Any]) -> None:
    """451 test digits are evaluated in two parts."""
    trained, test = run(encoder, build_encoder(encoder).state_dict(), **changes), load("digits", 8).test
    found = trained.predictions
    assert found is not None
    assert test.labels is not None
    assert torch.equal(found.labels_N, test.labels)
    right = (found.predicted_N == found.labels_N).double().mean()
    assert float(right) == pytest.approx(trained.metrics["test_accuracy"], abs=1e-12)
    model = Classifier(build_encoder(encoder), 10)
    model.load_state_dict(trained.weights)
    if "precision" not in changes:
        images = fit_images(test.images, 8, 1)
        mean, std = (torch.tensor(trained.normalization[name]).view(1, -1, 1, 1) for name in ("mean", "std"))
        with torch.no_grad():
            predicted = model.eval()(images.float().div(255).sub(mean).div(std)).logits_BC.argmax(dim=1)
        assert (predicted == found.predicted_N).double().mean() > 0.99  # all but ties up to rounding


def test_the_digest_of_test_images_is_that_of_these_images_in_this_order(
    encoder: settings.Encoder, serve: Callable[[Dataset], None]
) -> None:
    digits = load("digits", 8)
    assert digits.test.labels is not None
    swapped = torch.arange(len(digits.test)).flip(0)
    digests = []
    for test in (digits.test, Split(digits.test.images[swapped], digits.test.labels[swapped])):
        serve(replace(digits, test=test))
        for size in (8, 16):  # the same images for encoders of any size
            found = run(encoder.model_copy(update={"image_size": size}), epochs=1, train_images=32).predictions
            assert found is not None
            digests.append(found.images)
    assert digests[0] == digests[1] != digests[2] == digests[3]


def test_images_with_fingerprints_are_the_same_at_every_size() -> None:
    small, large = (torch.full((2, 1, size, size), 7, dtype=torch.uint8) for size in (4, 8))
    labels, prints = torch.tensor([0, 1]), torch.arange(64, dtype=torch.uint8).view(2, 32)
    assert digest(Split(small, labels, prints)) == digest(Split(large, labels, prints))
    assert digest(Split(small, labels, prints)) != digest(Split(small, labels, prints.flip(0)))
    assert digest(Split(small, labels)) != digest(Split(large, labels))


def test_keep_best_returns_the_weights_of_the_best_epoch(encoder: settings.Encoder) -> None:
    unstable = {"epochs": 8, "learning_rate": 3e-2, "train_images": 300, "batch_size": 32}
    last, best = run(encoder, **unstable), run(encoder, **unstable, keep="best")
    assert [*map(numbers, last.history)] == [*map(numbers, best.history)]
    ranked = max(best.history, key=lambda record: (record["val_accuracy"], -record["val_loss"]))
    assert best.metrics["best_epoch"] == ranked["epoch"]
    assert best.metrics["val_accuracy"] == ranked["val_accuracy"]
    assert best.metrics["val_loss"] == ranked["val_loss"]
    assert best.metrics["val_accuracy"] >= last.metrics["val_accuracy"]


def test_the_best_epoch_has_the_highest_accuracy_then_the_lowest_loss_then_comes_first(
    encoder: settings.Encoder,
) -> None:
    model, passed_on = Classifier(build_encoder(encoder), 2), []
    best = BestWeights(model, passed_on.append)
    for epoch, (accuracy, loss) in enumerate([(0.5, 0.1), (0.9, 0.4), (0.9, 0.3), (0.9, 0.3), (0.8, 0.2)], start=1):
        torch.nn.init.constant_(model.head.bias, epoch)
        best({"epoch": float(epoch), "val_accuracy": accuracy, "val_loss": loss})
    assert best.restore() == 3
    assert model.head.bias.tolist() == [3, 3]
    assert len(passed_on) == 5


def test_a_probe_trains_the_head_only(encoder: settings.Encoder) -> None:
    start = pretrain(encoder, pretraining(epochs=4, train_images=None, learning_rate=5e-3), 1, "cpu", ignore).weights
    trained = run(encoder, start, mode="probe", epochs=60, train_images=None, learning_rate=3e-2)
    assert all(torch.equal(trained.weights[f"encoder.{name}"], weight) for name, weight in start.items())
    assert trained.metrics["val_accuracy"] > 0.4  # chance: 0.1
    assert trained.metrics["val_accuracy"] == pytest.approx(trained.history[-1]["val_accuracy"], abs=1e-12)


def test_a_probe_on_augmented_images_encodes_them_each_epoch(encoder: settings.Encoder) -> None:
    start = build_encoder(encoder).state_dict()
    plain = run(encoder, start, mode="probe")
    barely = run(encoder, start, mode="probe", augment={"brightness": 1e-12})
    shifted = run(encoder, start, mode="probe", augment={"shift": 0.2})
    assert barely.metrics["val_loss"] == pytest.approx(plain.metrics["val_loss"], abs=1e-5)
    assert shifted.metrics["val_loss"] != pytest.approx(plain.metrics["val_loss"], abs=1e-5)


def test_learning_rates_are_recorded_and_decay_by_layer(encoder: settings.Encoder) -> None:
    trained = run(encoder, epochs=4, batch_size=128, learning_rate=0.01, warmup_epochs=2.0)
    assert [record["learning_rate"] for record in trained.history] == pytest.approx([0.005, 0.01, 0.01, 0.005])
    frozen = run(encoder, epochs=1, learning_rate=1e-3, layer_decay=1e-6)
    torch.testing.assert_close(
        frozen.weights["encoder.patch_embedding.weight"],
        run(encoder, epochs=1, learning_rate=1e-12).weights["encoder.patch_embedding.weight"],
    )


def test_bfloat16_trains_too(encoder: settings.Encoder) -> None:
    assert 0 < run(encoder, precision="bfloat16").metrics["val_loss"] < 3


def test_a_data_set_without_test_images_has_no_test_metrics(
    encoder: settings.Encoder, serve: Callable[[Dataset], None]
) -> None:
    serve(dataset(random_split(20), random_split(10), random_split(0), 2))
    trained = run(encoder, train_images=None)
    metrics = trained.metrics
    assert trained.predictions is None
    assert "val_accuracy" in metrics
    assert not any(name.startswith("test_") for name in metrics)


def test_fine_tuning_requires_labels(encoder: settings.Encoder) -> None:
    with pytest.raises(StudyError, match="'photos' has no labels; it can be used for pre-training only"):
        run(encoder, dataset="photos")


def test_weights_of_another_encoder_are_invalid(encoder: settings.Encoder) -> None:
    other = build_encoder(encoder.model_copy(update={"depth": 2}))
    with pytest.raises(StudyError, match="do not match the encoder"):
        run(encoder, other.state_dict())
