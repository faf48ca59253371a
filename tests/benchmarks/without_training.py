"""The work of a worker with training that takes no time, so that everything except training is measured."""

from collections.abc import Callable
from typing import Any


def without_training(run_bundle: Callable[..., None], numbers: int = 10_000) -> Callable[..., None]:
    """`worker.run_bundle` with weights of so many numbers and a result of the usual form, drawn at random.

    The function that is returned has all it needs inside, as it is sent to workers that cannot import this module.
    """

    def run_without_training(config: dict[str, Any], **options: Any) -> None:
        import random

        import torch

        from study.vit import runner

        def trained(stage: Any, parent: Any, seed: int, device: str, on_epoch: Any, execution: Any) -> runner.Trained:
            recipe = stage.recipe
            draw = random.Random(str((recipe.model_dump(), seed)))
            accuracy = draw.gauss(0.8, 0.02)
            rows = [
                {"epoch": epoch, "train_loss": 1 / epoch, "val_loss": 1 / epoch, "val_accuracy": accuracy, "seconds": 0}
                for epoch in range(1, recipe.epochs + 1)
            ]
            for row in rows:
                on_epoch(row)
            metrics = {"test_accuracy": accuracy, "val_accuracy": accuracy, "train_seconds": 0.0}
            shares, normalization = [[0.5, 0.5]] * stage.encoder.depth, {"mean": [0.5], "std": [0.3]}
            return runner.Trained({"weight": torch.zeros(numbers)}, metrics, rows, shares, normalization)

        runner.train = trained
        run_bundle(config, **options)

    return run_without_training
