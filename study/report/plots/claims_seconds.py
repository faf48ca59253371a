"""Verdicts on claims about time."""

from functools import partial

from study.analysis.units import SECONDS
from study.report.plots import forest
from study.report.plots.plot import Plot

PLOT = Plot(
    title="Verdicts on times",
    caption=forest.CAPTION,
    compute=partial(forest.compute, unit=SECONDS),
    draw=partial(forest.draw, unit=SECONDS, xlabel="difference of time, seconds"),
)
