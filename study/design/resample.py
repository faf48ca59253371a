"""Checks of the grid keys `resample` and `tune.seeds`: what is drawn or tuned anew for each replicate."""

from collections.abc import Sequence

from study.design.grid import Grid
from study.design.yaml_file import Place
from study.utils.text import plural
from study.vit.subject import Settings


def check_resampling(grid: Grid, cells: Sequence[Settings], top: Place) -> None:
    """Raise StudyError if `resample` has nothing to draw, or if `tune.seeds` does not suit the replicates."""
    if "train_images" in grid.resample and cells and not any(map(_has_subset, cells)):
        raise (top / "resample").error(
            "'train_images' has no effect: no cell sets finetune.train_images or pretrain.train_images, so all "
            "training images are used; set one, or leave train_images out"
        )
    if grid.tune is None:
        return
    if grid.tune.seeds > 1:
        _check_seeds(grid, grid.tune.seeds, top / "tune" / "seeds")
    elif "split" in grid.resample:
        raise (top / "resample").error(
            "'split' with 'tune' requires one tuning per replicate: a tuning on one split would choose with images on "
            "which other replicates are tested; add 'seeds' to 'tune', equal to the number of replicates, at least 2, "
            "or leave split out"
        )


def _check_seeds(grid: Grid, seeds: int, at: Place) -> None:
    """An interval is over independent replicates: those that share a tuning are not, unless all share it."""
    if grid.adaptive:
        raise at.error("not supported with replicates {min, max}: use a fixed number of replicates, or seeds: 1")
    if seeds != grid.least_replicates:
        raise at.error(
            f"{plural(seeds, 'tuning')} per cell and {plural(grid.least_replicates, 'replicate')}: replicates that "
            "share a tuning are not independent, so an interval over them would be too narrow; must be 1, or the "
            f"number of replicates, {grid.least_replicates}"
        )


def _has_subset(settings: Settings) -> bool:
    recipes = [recipe for recipe in (settings.pretrain, settings.finetune) if recipe is not None]
    return any(recipe.train_images is not None for recipe in recipes)
