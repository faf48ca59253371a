"""Learning curves of fine-tuning: validation accuracy by epoch."""

from typing import TYPE_CHECKING

import pandas as pd

from study.analysis import validation_bias
from study.analysis.analysis import Analysis
from study.report.placement import Section
from study.report.plots.curves import draw_curves, mean_curves
from study.report.plots.plot import Plot

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def compute(analysis: Analysis) -> pd.DataFrame:
    """Mean validation accuracy (a share) by cell and epoch, and its range over replicates."""
    history = analysis.results.history[analysis.results.history["stage"] == "finetune"]
    curves = analysis.results.done[["cell", "replicate", "key"]].merge(history, on="key")
    return mean_curves(curves, "val_accuracy")


def draw(curves: pd.DataFrame) -> "Figure":
    percent = {name: 100 * curves[name] for name in ("mean", "low", "high")}
    return draw_curves(curves.assign(**percent), "validation accuracy, %", shown=(0.1, 1.0))


def caption(analysis: Analysis) -> str:
    return (
        "Validation accuracy by epoch, one panel per cell. Blue line: mean over replicates, range shaded. Dashed line: "
        f"the baseline. Light grey: all other cells.{validation_bias.sentence_on_curves(analysis.facts)}"
    )


PLOT = Plot(
    section=Section.CURVES,
    title="Learning curves of fine-tuning",
    caption=caption,
    compute=compute,
    draw=draw,
)
