"""Verdicts on claims about accuracy."""

from functools import partial

from study.analysis.units import POINTS
from study.report.plots import forest
from study.report.plots.plot import Plot

PLOT = Plot(
    title="Verdicts",
    caption=forest.CAPTION,
    compute=partial(forest.compute, unit=POINTS),
    draw=partial(forest.draw, unit=POINTS, xlabel="difference of accuracy, percentage points"),
)
