"""Two-factor interactions: mean test accuracy by the levels of one factor, a line per level of the other."""

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from study.analysis.analysis import Analysis
from study.report.placement import Section
from study.report.plots.panels import padded
from study.report.plots.plot import Plot
from study.report.plots.style import (  # fmt: skip
    BLACK,
    BLUE,
    GREY,
    ORANGE,
    SMALL,
    VERMILLION,
    WIDTH,
    light_grid,
    new_figure,
    wrapped,
)
from study.utils import formats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 2
LEFT, TOP, BOTTOM, BETWEEN = 0.62, 0.02, 0.05, 0.5  # inches
HEIGHT, TITLE, TICKS = 1.75, 0.45, 0.4  # inches: of a panel, of its title, of its level names
NAMES = 1.05  # inches to the right of a panel, for the names of its lines
APART = 0.13  # inches between names, so that they do not overlap
DODGE = 0.03  # of the distance of two levels, so that whiskers of different lines do not overlap
MOST_LINES = 8  # levels of the second factor that are drawn
MOST_POINTS = 120  # of a panel; if the first factor has many levels, fewer lines are drawn
CROWDED, ROOM = 0.25, 0.45  # inches between levels: below CROWDED not all are labelled, those that are have ROOM
STYLES = (
    (BLUE, "o", "-"),
    (VERMILLION, "s", (0, (5, 2))),
    (BLACK, "^", (0, (1, 1.5))),
    (ORANGE, "D", (0, (5, 1.5, 1, 1.5))),
    (GREY, "v", (0, (3, 1, 1, 1, 1, 1))),
)  # colour, marker and dashes are redundant


def compute(analysis: Analysis) -> pd.DataFrame:
    """See `study.analysis.factorial.interactions`; without means that the design cannot estimate."""
    found = analysis.interactions
    return found[found["mean"].notna()].reset_index(drop=True)


def draw(means: pd.DataFrame) -> "Figure":
    groups = [group for _, group in means.groupby("term", sort=False)]
    columns = min(COLUMNS, len(groups))
    rows = -(-len(groups) // COLUMNS)
    panel = (WIDTH - LEFT - COLUMNS * NAMES - BETWEEN) / COLUMNS
    tall = TITLE + HEIGHT + TICKS
    height = TOP + rows * tall + BOTTOM
    figure = new_figure(WIDTH, height)
    limits = padded(*_ends(means), 0.06)
    for i, group in enumerate(groups):
        row, column = divmod(i, columns)
        left = LEFT + column * (panel + NAMES + BETWEEN)
        bottom = height - TOP - row * tall - TITLE - HEIGHT
        axes = figure.add_axes((left / WIDTH, bottom / height, panel / WIDTH, HEIGHT / height), ylim=limits)
        _draw_panel(axes, group, panel)
        axes.tick_params(labelleft=column == 0, length=2.5)
    figure.text(0.04 / WIDTH, (BOTTOM + height) / 2 / height, "test accuracy, %", rotation=90, va="center", ha="left")
    return figure


def _ends(means: pd.DataFrame) -> tuple[float, float]:
    """Axis limits in %: all means, and intervals as far as the means stay distinguishable."""
    least, most = 100 * float(means["mean"].min()), 100 * float(means["mean"].max())
    room = max(most - least, 1.0)
    low, high = 100 * float(means["low"].fillna(1).min()), 100 * float(means["high"].fillna(0).max())
    return max(least - room, min(least, low)), min(most + room, max(most, high))


def _draw_panel(axes: "Axes", group: pd.DataFrame, inches: float) -> None:
    across, along = _sides(group)
    first = group.iloc[0]
    places = {str(level): i for i, level in enumerate(dict.fromkeys(group[f"level_{across}"]))}
    light_grid(axes, "y")
    lines = list(group.groupby(f"level_{along}", sort=False))
    drawn = min(len(lines), MOST_LINES, max(2, MOST_POINTS // len(places)))
    ends = []
    for i, (level, points) in enumerate(lines[:drawn]):
        colour, marker, dashes = STYLES[i % len(STYLES)]
        face = colour if i < len(STYLES) else "white"
        shift = DODGE * (i - (drawn - 1) / 2)
        x = np.array([places[name] + shift for name in points[f"level_{across}"]])
        y = 100 * points["mean"].to_numpy()
        axes.vlines(x, 100 * points["low"], 100 * points["high"], color=colour, linewidth=0.8, alpha=0.7)
        axes.plot(
            x, y, color=colour, marker=marker, linestyle=dashes, markerfacecolor=face, markersize=4, linewidth=1.2
        )
        ends.append((float(y[-1]), str(level), colour))
    if len(lines) > drawn:
        ends.append((axes.get_ylim()[0], f"and {len(lines) - drawn} more", GREY))
    _name_lines(axes, ends)
    axes.set_xlim(-0.25, len(places) - 0.75)
    apart = inches / (len(places) - 0.5)
    step = 1 if apart >= CROWDED else math.ceil(ROOM / apart)
    named = list(places)[::step]
    axes.set_xticks([places[name] for name in named], [wrapped(name, step * apart - 0.05, 2, SMALL) for name in named])
    axes.set_title(_title(first, across, along, inches), fontsize=SMALL, loc="left", linespacing=1.15, pad=4)


def _sides(group: pd.DataFrame) -> tuple[str, str]:
    """The factor along the axis (a or b), and the factor with a line per level, which has fewer levels."""
    a, b = group["level_a"].nunique(), group["level_b"].nunique()
    return ("a", "b") if a >= b else ("b", "a")


def _title(row: pd.Series, across: str, along: str, inches: float) -> str:
    numbers = f"{formats.percent(row['share'])} % of variance, p (Holm) {formats.p_value(row['p_adjusted'])}"
    names = f"{row[f'factor_{across}']}; lines: {row[f'factor_{along}']}"
    return f"{wrapped(names, inches + NAMES, 2, SMALL)}\n{numbers}"


def _name_lines(axes: "Axes", ends: list[tuple[float, str, str]]) -> None:
    """Names at the right end of lines, moved apart if lines end close together."""
    bottom, top = axes.get_ylim()
    apart = APART * (top - bottom) / HEIGHT
    at = float("-inf")
    placed = []
    for y, name, colour in sorted(ends):
        at = max(y, at + apart)
        placed.append((at, name, colour))
    over = max(0.0, placed[-1][0] - top)
    for y, name, colour in placed:
        shown = wrapped(name, NAMES - 0.12, 1, SMALL)
        axes.text(
            1.03, y - over, shown, transform=axes.get_yaxis_transform(), va="center", fontsize=SMALL, color=colour
        )


PLOT = Plot(
    section=Section.INTERACTIONS,
    title="Interactions",
    caption=(
        "One panel per pair of factors, the largest interaction first: least-squares mean test accuracy by the levels "
        "of one factor, a line per level of the other, with 95 % intervals, which are for comparisons as those of main "
        "effects. Parallel lines: no interaction. Shown are "
        "interactions with p below 0.05 before Holm's correction, or the two largest if there are none; the table "
        "above has all of them. Long intervals are clipped at the frame."
    ),
    compute=compute,
    draw=draw,
    intervals=True,
)
