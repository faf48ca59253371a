"""A search's trials: cost against validation accuracy, and the Pareto front."""

from typing import TYPE_CHECKING

import pandas as pd

from study.analysis.results import Results
from study.analysis.search_front import COST_NAMES, cost_of, searched
from study.report.plots.labels import annotate, mark, staircase
from study.report.plots.panels import padded
from study.report.plots.plot import Plot
from study.report.plots.scales import log_parameters
from study.report.plots.style import BLACK, BLUE, GREY, WIDTH, light_grid, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = ["trial", "cost", "value", "val_accuracy", "front"]


def compute(results: Results) -> pd.DataFrame:
    """One row per finished trial: what the horizontal axis shows and its value, validation accuracy, on the front."""
    facts, found = results.facts.tuning, searched(results)
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
    title="What the search found",
    caption=(
        "Every finished trial's validation accuracy over its cost (logarithmic). Filled blue dots and the dashed "
        "staircase are the Pareto front: no trial is at least as good in every objective and better in one. One run "
        "each, so small differences are chance."
    ),
    compute=compute,
    draw=draw,
)
