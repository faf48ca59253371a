"""Stage two: supervised training of all weights, or of a linear head on a frozen encoder (`probe`).

Shapes: B images, C channels, H height, W width, D embedding width, K classes.
"""

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from study.utils.errors import StudyError
from study.vit import settings
from study.vit.models import Classifier, build_encoder
from study.vit.resampling import FIXED, Resampling
from study.vit.training.batches import Prepared, TrainingBatches, prepare
from study.vit.training.device import chosen, compiled, peak_memory, reset_peak
from study.vit.training.execution import WHOLE, Execution
from study.vit.training.flat_optimizer import FlatOptimizer
from study.vit.training.loop import OnEpoch, Task, Trained, fit, on_host
from study.vit.training.parameter_groups import parameter_groups
from study.vit.training.predictions import Predictions
from study.vit.training.probe import probe_task
from study.vit.training.seeds import own_random_state, seed_global
from study.vit.training.supervision import Supervision, evaluate, labels_of


def finetune(
    encoder: settings.Encoder,
    recipe: settings.Finetune,
    weights: dict[str, Tensor] | None,
    seed: int,
    device: str,
    on_epoch: OnEpoch,
    execution: Execution = WHOLE,
    resampling: Resampling = FIXED,
) -> Trained:
    """Train a classifier from an encoder's pre-trained `weights`, or from scratch (None), and return its weights.

    Metrics: `val_accuracy` and `test_accuracy` (from 0 to 1), `val_loss` and `test_loss` (cross-entropy without label
    smoothing), `train_seconds`, `images_per_second`, `best_epoch` if `keep` is best, and on a GPU `peak_memory_mb`.
    Test data are evaluated once, at the end, with the weights that are kept, and the predicted class of every image is
    returned; without test data there are no `test_*` and no predictions.
    Changes neither files nor the caller's random state. Raises StudyError for a recipe that is invalid for the data set
    or weights of another encoder, Diverged if a loss becomes NaN or inf, torch.OutOfMemoryError.
    """
    place = chosen(device)
    data = prepare(recipe, encoder, place, resampling)
    classes = data.dataset.info.classes
    if classes is None:
        raise StudyError(f"data set {recipe.dataset!r} has no labels; it can be used for pre-training only")
    reset_peak(place)
    with own_random_state(place):
        seed_global(place, seed, "parameters")
        model = Classifier(build_encoder(encoder), classes).to(place)
        if weights is not None:
            _start_from(weights, model)
        best = BestWeights(model, on_epoch)
        task = classifier_task(model, recipe, data, seed, place)
        if recipe.keep == "best":
            task, on_epoch = replace(task, best=best), best
        fitted = fit(task, recipe, seed, place, on_epoch, execution)
    metrics = fitted.metrics | peak_memory(place)
    if recipe.keep == "best":
        metrics["best_epoch"] = best.restore()
    final = evaluate(model, data.validation, data.normalization, recipe)
    test_split, predicted = data.dataset.test, list[Tensor]()
    test = evaluate(model, data.fitted(test_split), data.normalization, recipe, predicted)
    return Trained(
        weights=on_host(model.state_dict()),
        metrics=final.values("val_") | test.values("test_") | metrics,
        history=fitted.history,
        expert_load=final.expert_load(),
        normalization=data.normalization.numbers(),
        data=data.dataset.facts(),
        predictions=Predictions.of(predicted, test_split),
    )


def _start_from(weights: dict[str, Tensor], model: Classifier) -> None:
    try:
        model.encoder.load_state_dict(weights)
    except RuntimeError as error:
        raise StudyError(f"the pre-trained weights do not match the encoder: {error}") from None


@dataclass
class BestWeights:
    """Keeps a classifier's weights of the epoch with the highest validation accuracy; ties are broken by the lowest
    validation loss. Call it after each epoch with its record, which it passes on to `on_epoch`."""

    model: Classifier
    on_epoch: OnEpoch
    score: tuple[float, float] = (-1.0, 0.0)
    epoch: float = 0.0
    weights: dict[str, Tensor] = field(default_factory=dict)

    def __call__(self, record: dict[str, float]) -> None:
        if self._improves(record):
            self.weights = {name: tensor.clone() for name, tensor in self.current().items()}
        self.on_epoch(record)

    def current(self) -> dict[str, Tensor]:
        """All weights of the classifier, as they are now."""
        return self.model.state_dict()

    def resume(self, weights: dict[str, Tensor], history: list[dict[str, float]]) -> None:
        """Restore the weights that were kept after these epochs."""
        self.weights = {name: weight.to(self.model.head.weight.device) for name, weight in weights.items()}
        for record in history:
            self._improves(record)

    def _improves(self, record: dict[str, float]) -> bool:
        score = (record["val_accuracy"], -record["val_loss"])
        improved = score > self.score
        if improved:
            self.score, self.epoch = score, record["epoch"]
        return improved

    def restore(self) -> float:
        """Load the best weights into the model; returns their epoch."""
        self.model.load_state_dict(self.weights)
        return self.epoch


def classifier_task(
    model: Classifier, recipe: settings.Finetune, data: Prepared, seed: int, device: torch.device
) -> Task:
    """Training of all weights, or of the head only if the recipe is a probe."""
    train = data.train
    batches = TrainingBatches(train.images, data.normalization, recipe.augment, recipe.batch_size, seed)
    classes = model.head.out_features
    supervision = Supervision(batches, labels_of(train), classes, recipe.label_smoothing)
    if recipe.mode == "probe":
        return probe_task(model, supervision, data, recipe)
    return _whole_task(model, supervision, data, recipe, device)


def _whole_task(
    model: Classifier, supervision: Supervision, data: Prepared, recipe: settings.Finetune, device: torch.device
) -> Task:
    """Training of all weights."""
    steps = supervision.batches.steps
    classify = compiled(model, recipe, recipe.epochs * steps, device)

    def losses(images_BCHW: Tensor, targets: Tensor) -> dict[str, Tensor]:
        made = classify(images_BCHW)
        measured = supervision.losses(made.logits_BC, targets)
        return measured | {"objective": measured["loss"] + made.balance_loss}

    groups = parameter_groups(model, recipe.weight_decay, recipe.layer_decay, model.encoder.config.depth)
    return Task(
        name="fine-tuning",
        module=model,
        optimizer=FlatOptimizer(recipe.optimizer, groups, recipe.clip_norm),
        steps=steps,
        batches=supervision.epoch,
        losses=losses,
        evaluate=lambda: evaluate(model, data.validation, data.normalization, recipe).values("val_"),
    )
