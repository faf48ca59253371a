"""Learning curves of pre-training: validation loss by epoch, once for cells that share a pre-training."""

from typing import TYPE_CHECKING

import pandas as pd

from study.analysis.results import Results
from study.report.plots.curves import draw_curves, mean_curves
from study.report.plots.plot import Plot
from study.utils import formats

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def compute(results: Results) -> pd.DataFrame:
    """Mean validation loss by pre-training and epoch. `cell` names the first cell that has the pre-training."""
    history = results.history[results.history["stage"] == "pretrain"]
    trials = results.trials[results.trials["pretrain_key"] != ""]
    first = trials.groupby("pretrain_key", sort=False)["cell"].agg(lambda cells: _shared_name(list(cells)))
    owners = pd.DataFrame({"key": first.index, "cell": first.to_numpy()})
    return mean_curves(owners.merge(history, on="key"), "val_loss")


def draw(curves: pd.DataFrame) -> "Figure":
    return draw_curves(curves, "validation loss", shown=(0.0, 1.0))


def _shared_name(cells: list[str]) -> str:
    return cells[0] if len(cells) == 1 else f"{cells[0]}, shared with {formats.plural(len(cells) - 1, 'more cell')}"


PLOT = Plot(
    title="Learning curves of pre-training",
    caption=(
        "Reconstruction loss on validation images by epoch: one panel per distinct pre-training, the mean over its "
        "replicates as a thick blue line with their range shaded, the first one dashed, the others in light grey. "
        "Losses on different data sets do not compare."
    ),
    compute=compute,
    draw=draw,
)
