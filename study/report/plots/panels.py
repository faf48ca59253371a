"""Small multiples: one small panel per cell, all on the same axes, each titled with its name."""

import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from study.report.plots.style import SMALL, WIDTH, light_grid, new_figure, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Limits = tuple[float, float]

COLUMNS = 4
PANEL_HEIGHT, GAP, BETWEEN = 1.2, 0.14, 0.18  # inches: of a panel without its title; between rows, and columns
LEFT, RIGHT, TOP, BOTTOM = 0.62, 0.06, 0.05, 0.42  # inches around all panels
NARROW = 3.4  # inches: width of a single panel
TITLE_LINES = 3
MOST = 48  # panels, so that the figure stays readable; its CSV file is complete


def small_multiples(
    names: Sequence[str], draw: Callable[["Axes", str], None], x: tuple[str, Limits], y: tuple[str, Limits]
) -> "Figure":
    """A panel per name, up to four in a row, drawn by `draw`; `x` (whole numbers) and `y` are label and limits."""
    from matplotlib.ticker import MaxNLocator

    (xlabel, xlim), (ylabel, ylim) = x, y
    ticks = {
        "xticks": _inside(MaxNLocator(nbins=6, integer=True).tick_values(*xlim), xlim),
        "yticks": _inside(MaxNLocator(nbins=5, steps=[1, 2, 5, 10]).tick_values(*ylim), ylim),
    }
    names, left_out = names[:MOST], max(0, len(names) - MOST)
    columns = min(COLUMNS, len(names))
    width = NARROW if columns == 1 else LEFT + columns * (WIDTH - LEFT) / COLUMNS
    panel_width = (width - LEFT - RIGHT - (columns - 1) * BETWEEN) / columns
    titles = [wrapped(name, panel_width, TITLE_LINES, SMALL) for name in names]
    rows = [titles[start : start + columns] for start in range(0, len(titles), columns)]
    tops = list(itertools.accumulate((_title_height(row) + PANEL_HEIGHT + GAP for row in rows), initial=TOP))
    height = tops[-1] - GAP + BOTTOM
    figure = new_figure(width, height)
    for i, (name, title) in enumerate(zip(names, titles, strict=True)):
        row, column = divmod(i, columns)
        left, bottom = LEFT + column * (panel_width + BETWEEN), height - tops[row + 1] + GAP
        # limits are set, not shared: sharing them among dozens of axes takes matplotlib seconds
        axes = figure.add_axes((left / width, bottom / height, panel_width / width, PANEL_HEIGHT / height))
        light_grid(axes, "y")
        draw(axes, name)
        axes.set(xlim=xlim, ylim=ylim, **ticks)
        axes.set_title(title, fontsize=SMALL, loc="left", y=1.0, pad=3, linespacing=1.05)
        axes.tick_params(labelleft=column == 0, labelbottom=i + columns >= len(names), length=2.5)
    figure.text((LEFT + width) / 2 / width, 0.05 / height, xlabel, ha="center", va="bottom")
    if left_out:
        figure.text(1 - RIGHT / width, 0.05 / height, f"and {left_out} more", ha="right", va="bottom", fontsize=SMALL)
    figure.text(0.04 / width, (BOTTOM + height) / 2 / height, ylabel, rotation=90, va="center", ha="left")
    return figure


def padded(low: float, high: float, share: float = 0.05) -> Limits:
    """Limits with a margin at both ends, never of width 0."""
    margin = share * (high - low) or max(abs(low) * share, share)
    return low - margin, high + margin


def _title_height(titles: Sequence[str]) -> float:
    return 0.08 + 0.13 * max(title.count("\n") + 1 for title in titles)


def _inside(ticks: Sequence[float], limits: Limits) -> list[float]:
    return [float(tick) for tick in ticks if limits[0] <= tick <= limits[1]]
