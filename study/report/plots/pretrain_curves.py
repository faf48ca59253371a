"""Learning curves of pre-training: validation loss by epoch, one curve for all cells that share a pre-training."""

from typing import TYPE_CHECKING

import pandas as pd

from study.analysis.analysis import Analysis
from study.report.placement import Section
from study.report.plots.curves import draw_curves, mean_curves
from study.report.plots.plot import Plot
from study.utils.text import plural

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def compute(analysis: Analysis) -> pd.DataFrame:
    """Mean validation loss by pre-training and epoch. `cell` names the first cell with the pre-training."""
    history = analysis.results.history[analysis.results.history["stage"] == "pretrain"]
    trials = analysis.results.trials[analysis.results.trials["pretrain_key"] != ""]
    first = trials.drop_duplicates("cell").set_index("cell")["pretrain_key"]  # cells that share one share all
    named = {key: _shared_name(list(cells.index)) for key, cells in first.groupby(first, sort=False)}
    owners = pd.DataFrame({"key": trials["pretrain_key"], "cell": trials["cell"].map(first).map(named)})
    return mean_curves(owners.drop_duplicates("key").merge(history, on="key"), "val_loss")


def draw(curves: pd.DataFrame) -> "Figure":
    return draw_curves(curves, "validation loss", shown=(0.0, 1.0))


def _shared_name(cells: list[str]) -> str:
    return cells[0] if len(cells) == 1 else f"{cells[0]}, shared with {plural(len(cells) - 1, 'more cell')}"


PLOT = Plot(
    section=Section.CURVES,
    title="Learning curves of pre-training",
    caption=(
        "Reconstruction loss on validation images by epoch, one panel per distinct pre-training. Blue line: mean over "
        "replicates, range shaded. Dashed line: the first pre-training. Light grey: the others. Losses on different "
        "data sets are not comparable."
    ),
    compute=compute,
    draw=draw,
)
