"""Verdicts on claims about accuracy."""

from functools import partial

from study.design.metrics import POINTS
from study.report.placement import Section
from study.report.plots import forest
from study.report.plots.plot import Plot

PLOT = Plot(
    section=Section.CLAIMS,
    title="Verdicts",
    caption=forest.CAPTION,
    expected=partial(forest.has_claims, unit=POINTS),
    compute=partial(forest.compute, unit=POINTS),
    draw=partial(forest.draw, unit=POINTS, xlabel="difference of accuracy, percentage points"),
)
