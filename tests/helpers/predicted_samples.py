"""Results with made-up predictions of every test image."""

from dataclasses import replace

import numpy as np

from study.analysis.predictions import Predicted
from study.report import Results

NAMES = ("cat", "dog", "<i>owl</i>", "a|b$")


def with_predictions(results: Results, images: int = 60, names: tuple[str, ...] = NAMES, seed: int = 0) -> Results:
    """The results with predictions of about their accuracy, and the accuracy of these predictions.

    The last tenth of the images is harder in every trial; a wrong prediction is the next class.
    """
    rng, classes = np.random.default_rng(seed), len(names)
    labels_N = np.arange(images) % classes
    done = results.trials["status"] == "done"
    hardness_N = np.linspace(-1, 1, images) + rng.normal(0, 0.2, images)
    rows = []
    for accuracy in results.trials.loc[done, "test_accuracy"]:
        own_N = hardness_N + rng.normal(0, 0.3, images)
        wrong_N = own_N > np.quantile(own_N, accuracy)
        rows.append((labels_N + wrong_N) % classes)
    predicted_TN = np.array(rows).reshape(-1, images)
    trials = results.trials.copy()
    trials.loc[done, "test_accuracy"] = (predicted_TN == labels_N).mean(axis=1)
    keys = tuple(trials.loc[done, "key"])
    predicted = (Predicted("ab" * 32, labels_N, names, keys, predicted_TN),) if keys else ()
    return replace(results, trials=trials, predictions=predicted)
