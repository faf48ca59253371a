"""Verdicts on claims about time."""

from functools import partial

from study.design.metrics import SECONDS
from study.report.placement import Section
from study.report.plots import forest
from study.report.plots.plot import Plot

PLOT = Plot(
    section=Section.CLAIMS,
    title="Verdicts on times",
    caption=forest.CAPTION,
    expected=partial(forest.has_claims, unit=SECONDS),
    compute=partial(forest.compute, unit=SECONDS),
    draw=partial(forest.draw, unit=SECONDS, xlabel="difference of time, seconds"),
)
