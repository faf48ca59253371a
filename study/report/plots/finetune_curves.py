"""Learning curves of fine-tuning: validation accuracy by epoch."""

from typing import TYPE_CHECKING

import pandas as pd

from study.analysis.results import Results
from study.report.plots.curves import draw_curves, mean_curves
from study.report.plots.plot import Plot

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def compute(results: Results) -> pd.DataFrame:
    """Mean validation accuracy (a share) by cell and epoch, and its range over replicates."""
    history = results.history[results.history["stage"] == "finetune"]
    curves = results.done[["cell", "replicate", "key"]].merge(history, on="key")
    return mean_curves(curves, "val_accuracy")


def draw(curves: pd.DataFrame) -> "Figure":
    percent = {name: 100 * curves[name] for name in ("mean", "low", "high")}
    return draw_curves(curves.assign(**percent), "validation accuracy, %", shown=(0.1, 1.0))


PLOT = Plot(
    title="Learning curves of fine-tuning",
    caption=(
        "Validation accuracy by epoch: one panel per cell, the mean over its replicates as a thick blue line "
        "with their range shaded, the baseline dashed, and every other cell in light grey behind it."
    ),
    compute=compute,
    draw=draw,
)
