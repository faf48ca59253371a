"""Verdicts on claims about accuracy."""

from functools import partial

from study.report.plots import forest
from study.report.plots.plot import Plot
from study.report.units import POINTS

PLOT = Plot(
    title="Verdicts",
    caption=forest.CAPTION,
    compute=partial(forest.compute, unit=POINTS),
    draw=partial(forest.draw, unit=POINTS, xlabel="difference of accuracy, percentage points"),
)
