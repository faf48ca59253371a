"""Parameters versus accuracy: every cell, its 95 % interval, and the Pareto front."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from study.analysis.analysis import Analysis
from study.analysis.cells import selected_on
from study.report.placement import Section
from study.report.plots.labels import Box, Mark, annotate, mark, staircase
from study.report.plots.panels import padded
from study.report.plots.plot import Plot
from study.report.plots.scales import log_parameters
from study.report.plots.style import BLACK, BLUE, GREY, LIGHT, SMALL, WIDTH, light_grid, new_figure, wrapped
from study.report.tables import captions
from study.utils import formats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = ["number", "cell", "data_set", "params", "n", "mean", "low", "high", "front", "x", "baseline"]
ABOVE, BELOW = 0.25, 0.45  # inches around the axes of a panel
APART = 0.014  # of the width of the axes: minimum distance of two dots
NAME_WIDTH, NAME_LINES = 1.2, 3  # inches
FAR = 4.0  # cells further below the median than this multiple of (best - median) are off the axis
MOST = 60  # cells that are all labelled


def compute(analysis: Analysis) -> pd.DataFrame:
    """Cells with results. `x` is the number of parameters, moved slightly if dots would overlap."""
    cells = analysis.cells[analysis.cells["mean"].notna() & analysis.cells["params"].notna()]
    cells = cells.assign(baseline=_is_baseline(cells), x=cells["params"].astype(float))
    for _, rows in cells.groupby("data_set"):
        cells.loc[rows.index, "x"] = _spread(rows["x"].to_numpy())
    return cells[COLUMNS].reset_index(drop=True)


def _is_baseline(cells: pd.DataFrame) -> "pd.Series[bool]":
    """The baseline, and the cells that take its place on other data sets."""
    return (cells["number"] == 1) | cells["cell"].isin(cells["reference"])


def draw(cells: pd.DataFrame) -> "Figure":
    """A panel per data set, one below the other."""
    panels = list(cells.groupby("data_set", sort=False))
    each = 4.2 if len(panels) == 1 else 3.4
    height = each * len(panels)
    figure = new_figure(WIDTH, height)
    for i, (name, rows) in enumerate(panels, start=1):
        place = (0.62 / WIDTH, (height - i * each + BELOW) / height)
        axes = figure.add_axes((*place, (WIDTH - 0.8) / WIDTH, (each - ABOVE - BELOW) / height))
        axes.set_title(wrapped(str(name), WIDTH / 2, 1, SMALL), fontsize=SMALL, loc="left")
        _draw_panel(axes, rows.reset_index(drop=True))
    return figure


def _draw_panel(axes: "Axes", cells: pd.DataFrame) -> None:
    light_grid(axes, "y")
    _draw_front(axes, cells[cells["front"]].sort_values(["params", "number"]))
    axes.set_ylim(_limits(cells))
    faint = (len(cells) > MOST) & ~(cells["front"] | cells["baseline"])
    if faint.any():
        _draw_faint(axes, cells[faint])
    for _, cell in cells[~faint].iterrows():
        _draw_cell(axes, cell)
    axes.set_ylabel("test accuracy, %")
    axes.margins(x=0.12)
    log_parameters(axes)
    _name(axes, cells)


def _spread(params: np.ndarray) -> np.ndarray:
    """Parameters moved apart on a logarithmic axis, each group of neighbours around its own mean."""
    if not 0 < len(params) <= MOST:
        return params
    logs = np.log(params)
    apart = APART * max(float(np.ptp(logs)), 0.3)
    order = np.argsort(logs, kind="stable")
    groups: list[list[int]] = []
    for i in order:
        if groups and logs[i] - logs[groups[-1][-1]] < apart:
            groups[-1].append(int(i))
        else:
            groups.append([int(i)])
    moved = logs.copy()
    for group in groups:
        middle = logs[group].mean()
        moved[group] = middle + apart * (np.arange(len(group)) - (len(group) - 1) / 2)
    return np.asarray(np.exp(moved))


def _draw_front(axes: "Axes", front: pd.DataFrame) -> None:
    """A staircase: the mean of the cell that is selected if at most a number of parameters is allowed."""
    if len(front):
        axes.step(front["x"], 100 * front["mean"], where="post", color=GREY, linewidth=0.9, linestyle=(0, (4, 2)))


def _limits(cells: pd.DataFrame) -> tuple[float, float]:
    """Axis limits in %: all means except those far below, and intervals as far as the means stay distinguishable."""
    means = 100 * cells["mean"]
    floor = means.median() - FAR * max(float(means.max() - means.median()), 1.0)
    near = cells[means >= floor]
    least, most = 100 * float(near["mean"].min()), float(means.max())
    room = 1.5 * max(most - least, 1.0)
    low = max(least - room, min(least, 100 * float(near["low"].fillna(1).min())))
    high = min(most + room, max(most, 100 * float(near["high"].fillna(0).max())))
    bottom, top = padded(low, high, 0.08)
    return bottom, min(top, 100.5)


def _draw_faint(axes: "Axes", cells: pd.DataFrame) -> None:
    """Cells in the background, drawn at once, since there may be thousands."""
    bottom, mean = axes.get_ylim()[0], 100 * cells["mean"]
    whiskers = cells[(mean >= bottom) & (cells["low"] <= cells["high"])]
    axes.vlines(whiskers["x"], 100 * whiskers["low"], 100 * whiskers["high"], color=LIGHT, linewidth=0.9, alpha=0.7)
    for marker, some in (("o", mean >= bottom), ("v", mean < bottom)):
        x, y = cells.loc[some, "x"], mean[some].clip(lower=bottom)
        axes.plot(x, y, marker, color=LIGHT, markerfacecolor="white", markersize=5, zorder=2, clip_on=False)


def _draw_cell(axes: "Axes", cell: pd.Series) -> None:
    colour = BLUE if cell["front"] else BLACK
    bottom, mean = axes.get_ylim()[0], 100 * cell["mean"]
    if mean >= bottom and cell["low"] <= cell["high"]:
        axes.plot([cell["x"]] * 2, [100 * cell["low"], 100 * cell["high"]], color=colour, linewidth=0.9, alpha=0.7)
    face = colour if cell["front"] else "white"
    marker = "v" if mean < bottom else "s" if cell["baseline"] else "o"
    (dot,) = axes.plot([cell["x"]], [max(mean, bottom)], marker, color=colour, markerfacecolor=face, markersize=5)
    dot.set(zorder=3, clip_on=False)


def _name(axes: "Axes", cells: pd.DataFrame) -> None:
    """Labels with names if all fit and stay distinct when shortened, else with numbers."""
    bottom, top = axes.get_ylim()
    drawn = cells.assign(**{name: (100 * cells[name]).clip(bottom, top) for name in ("mean", "low", "high")})
    marks = [mark(axes, *row) for row in drawn[["x", "mean", "low", "high"]].itertuples(index=False)]
    front_cells = cells[cells["front"]].sort_values(["params", "number"])
    front = staircase(axes, list(zip(front_cells["x"], 100 * front_cells["mean"], strict=True)))
    if len(cells) > MOST:
        _name_front(axes, cells, marks, front)
        return
    names = [wrapped(name, NAME_WIDTH, NAME_LINES, SMALL) for name in _labels(cells, bottom)]
    if len(set(names)) == len(names) and annotate(axes, marks, names, front):
        return
    axes.set_title("numbers as in the table", fontsize=SMALL, loc="right", color=GREY)
    numbers = [str(number) for number in cells["number"]]
    if not (annotate(axes, marks, numbers, front) or annotate(axes, marks, numbers)):
        for x, mean, number in zip(cells["x"], cells["mean"], numbers, strict=True):
            axes.annotate(number, (x, 100 * mean), (4, 3), textcoords="offset points", fontsize=SMALL)


def _labels(cells: pd.DataFrame, bottom: float) -> list[str]:
    """Names, with the accuracy for cells below the axis."""
    pairs = zip(cells["cell"], cells["mean"], strict=True)
    return [f"{formats.percent(mean)} %: {name}" if 100 * mean < bottom else name for name, mean in pairs]


def _name_front(axes: "Axes", cells: pd.DataFrame, marks: list[Mark], front: list[Box]) -> None:
    """If there are too many cells: only the baseline and the Pareto front, by number."""
    labelled = list(np.flatnonzero(cells["front"] | cells["baseline"]))
    others = [box for i, mark in enumerate(marks) if i not in labelled for box in mark.boxes[:1]]
    axes.set_title("numbers as in the table; the CSV file has all cells", fontsize=SMALL, loc="right", color=GREY)
    annotate(axes, [marks[i] for i in labelled], [str(cells["number"].iloc[i]) for i in labelled], [*front, *others])


def caption(analysis: Analysis) -> str:
    """How to read the plot, and what the front was selected on."""
    return (
        "Mean test accuracy of every cell, with its 95 % interval, by number of parameters (logarithmic). Square: "
        f"the baseline. Filled blue dots and dashed line: the Pareto front. {captions.front(analysis)} No cell with "
        f"at most as many parameters as one on the front has a higher {selected_on(analysis.cells)} accuracy. If "
        "cells are fine-tuned on several data sets, each data set has a panel and a front. Long intervals are "
        "clipped at the frame; arrows at the bottom are cells far below it. Dots with nearly the same number of "
        "parameters are moved apart."
    )


PLOT = Plot(
    section=Section.PARAMETERS,
    title="Parameters versus accuracy",
    caption=caption,
    compute=compute,
    expected=lambda facts: True,
    draw=draw,
    intervals=True,
)
