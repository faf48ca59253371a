"""A search's trials: cost against validation accuracy, and the Pareto front."""

from typing import TYPE_CHECKING

import pandas as pd

from study.analysis.analysis import Analysis
from study.analysis.search_front import COST_NAMES, cost_of
from study.report.placement import Section
from study.report.plots.labels import annotate, mark, staircase
from study.report.plots.panels import padded
from study.report.plots.plot import Plot
from study.report.plots.scales import log_parameters
from study.report.plots.style import BLACK, BLUE, GREY, WIDTH, light_grid, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = ["trial", "cost", "value", "val_accuracy", "front"]


def compute(analysis: Analysis) -> pd.DataFrame:
    """One row per finished trial: name and value of the cost, validation accuracy, whether it is on the front."""
    facts, found = analysis.facts.tuning, analysis.search
    if facts is None or found.empty:
        return pd.DataFrame(columns=COLUMNS)
    cost = cost_of(facts)
    return found.assign(cost=cost, value=found[cost].astype(float), front=found["on_front"])[COLUMNS]


def draw(trials: pd.DataFrame) -> "Figure":
    height = 4.0
    figure = new_figure(WIDTH, height)
    axes = figure.add_axes((0.62 / WIDTH, 0.45 / height, (WIDTH - 0.8) / WIDTH, (height - 0.6) / height))
    light_grid(axes, "y")
    percent = 100 * trials["val_accuracy"]
    axes.set_ylim(*padded(float(percent.min()), float(percent.max()), 0.1))
    front = trials[trials["front"]]
    best = front.assign(height=100 * front["val_accuracy"]).sort_values(["value", "height"])
    axes.step(best["value"], best["height"], where="post", color=GREY, linewidth=0.9, linestyle=(0, (4, 2)))
    for colour, face, some in ((BLACK, "white", trials[~trials["front"]]), (BLUE, BLUE, front)):
        axes.plot(some["value"], 100 * some["val_accuracy"], "o", color=colour, markerfacecolor=face, markersize=5)
    axes.margins(x=0.1)
    axes.set_ylabel("validation accuracy, %")
    log_parameters(axes)
    axes.set_xlabel(COST_NAMES[trials["cost"].iloc[0]])
    others = trials[~trials["front"]]
    nan = float("nan")
    boxes = [box for x, y in zip(others["value"], others["val_accuracy"], strict=True)
             for box in mark(axes, x, 100 * y, nan, nan).boxes]  # fmt: skip
    steps = [*zip(best["value"], best["height"], strict=True)]
    marks = [mark(axes, x, y, nan, nan) for x, y in steps]
    names = [f"trial {number}" for number in best["trial"]]
    if not annotate(axes, marks, names, [*boxes, *staircase(axes, steps)]):
        annotate(axes, marks, [str(number) for number in best["trial"]], [])
    return figure


PLOT = Plot(
    section=Section.SEARCH,
    title="Search: cost vs. accuracy",
    caption=(
        "Validation accuracy of every finished trial by its cost (logarithmic). Filled blue dots and dashed "
        "staircase: the Pareto front, where no other trial is at least as good in all objectives and better in one. "
        "Each trial is a single run, so small differences may be chance, and the accuracies on the front, as the "
        "highest of many, are too high by chance."
    ),
    compute=compute,
    expected=lambda facts: facts.tuning is not None and facts.tuning.searches,
    draw=draw,
)
