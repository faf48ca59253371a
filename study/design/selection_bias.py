"""Validation accuracies that a selection has used: the highest of several is too high by chance."""

from collections.abc import Collection

from study.design.grid import Grid
from study.design.mistakes import Mistakes
from study.design.yaml_file import Place
from study.vit.subject import Settings

METRIC = "val_accuracy"
BEST_EPOCH = "it is the highest of all epochs (keep: best), so it is too high by chance"
TUNED = "it selected the tuned values, so it is too high by chance"


def reason(metric: str, keeps_best: bool, tuned: bool) -> str:
    """Why a metric is biased by a selection, as half a sentence; empty if it is not."""
    return (BEST_EPOCH if keeps_best else TUNED if tuned else "") if metric == METRIC else ""


def bias(grid: Grid, cells: Collection[Settings], metric: str) -> str:
    """The same for a study whose cells have these settings."""
    return reason(metric, _keeps_best(cells), grid.tune is not None)


def check_validation_claims(grid: Grid, cells: Collection[Settings], top: Place, mistakes: Mistakes) -> None:
    """Record claims on validation accuracies that keep: best or tune have selected: they cannot be judged fairly."""
    for i, claim in enumerate(grid.claims):
        if why := bias(grid, cells, claim.metric):
            instead = "use test_accuracy" + (", or keep: last" if _keeps_best(cells) and grid.tune is None else "")
            mistakes.add((top / "claims" / i / "metric").error(f"invalid value 'val_accuracy': {why}; {instead}"))


def _keeps_best(cells: Collection[Settings]) -> bool:
    return any(settings.finetune.keep == "best" for settings in cells)
