"""Rows of dots with 95 % whiskers: names on the left, numbers on the right, no legend needed."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from study.report.plots.panels import Limits, padded
from study.report.plots.style import BLACK, GREY, LIGHT, SIZE, SMALL, WIDTH, light_grid, new_figure, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEFT, RIGHT, TOP, BOTTOM = 2.35, 1.75, 0.12, 0.5  # inches around the axes
FAR = 4.0  # times the median reach, beyond which a row does not extend the axis
MOST = 100  # rows, so that the figure stays readable; its CSV file is complete
LINE, GAP = 0.145, 0.075  # inches: height of a line of text, and between rows
SHADE = "#E4EDF3"  # also light in greyscale
INSET = 0.14  # inches by which names are indented from their heading
NAME_WIDTH, HEADING_WIDTH, NAME_LINES = LEFT - INSET - 0.15, 6.0, 3  # inches, and lines; bold headings are wider


@dataclass(frozen=True)
class Row:
    """One dot, or a heading over the rows that follow. Unknown numbers are nan."""

    name: str
    value: float = float("nan")
    low: float = float("nan")
    high: float = float("nan")
    numbers: str = ""  # text on the right
    colour: str = BLACK
    marker: str = "o"
    filled: bool = True
    heading: bool = False
    shaded: tuple[Limits, ...] = ()  # regions of the axis behind the dot; an end may be infinite
    lines: int = NAME_LINES  # maximum for the name

    @property
    def label(self) -> str:
        return wrapped(self.name, HEADING_WIDTH if self.heading else NAME_WIDTH, self.lines)

    @property
    def ends(self) -> list[float]:
        """The dot, both ends of its whisker and of shaded regions, if finite."""
        edges = [end for region in self.shaded for end in region]
        return [end for end in (self.value, self.low, self.high, *edges) if math.isfinite(end)]

    @property
    def height(self) -> float:
        lines = max(self.label.count("\n"), self.numbers.count("\n")) + 1
        return lines * LINE + GAP * (2 if self.heading else 1)


def dots_and_whiskers(rows: Sequence[Row], xlabel: str, zero: bool = False) -> "Figure":
    """Draw rows from top to bottom; `zero` adds a line at no difference."""
    rows, left_out = rows[:MOST], max(0, len(rows) - MOST)
    if left_out:
        rows = [*rows, Row(f"and {left_out} more", heading=True)]
    inner = sum(row.height for row in rows) + GAP
    height = TOP + inner + BOTTOM
    figure = new_figure(WIDTH, height)
    axes = figure.add_axes(
        (LEFT / WIDTH, BOTTOM / height, (WIDTH - LEFT - RIGHT) / WIDTH, inner / height), xlabel=xlabel, ylim=(inner, 0)
    )
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    light_grid(axes, "x")
    if zero:
        axes.axvline(0, color=GREY, linewidth=0.8, zorder=1)
    left, right = window([row for row in rows if not row.heading], zero)
    axes.set_xlim(left, right)
    axes.tick_params(axis="x", color=LIGHT)
    below = 0.0
    for row in rows:
        below += row.height
        _draw_row(axes, row, below - (row.height - GAP * row.heading) / 2)
    return figure


def window(rows: Sequence[Row], zero: bool) -> Limits:
    """The ends of the axis: all rows, but if zero is shown, not those that reach `FAR` times as far as the median.

    Otherwise a single outlier would squeeze all other rows; its numbers are on the right.
    """
    reaches = [max(abs(end) for end in row.ends) for row in rows]
    usual = (statistics.median(reaches) or max(reaches)) if zero else math.inf
    near = [end for row, reach in zip(rows, reaches, strict=True) if reach <= FAR * usual for end in row.ends]
    near += [0.0] if zero else []
    return padded(min(near), max(near))


def _draw_row(axes: "Axes", row: Row, y: float) -> None:
    beside = axes.get_yaxis_transform()  # x in axes coordinates, y in data coordinates
    inset = 0.0 if row.heading else INSET
    axes.text(
        (inset - LEFT + 0.05) / (WIDTH - LEFT - RIGHT),
        y,
        row.label,
        transform=beside,
        va="center",
        fontsize=SIZE,
        fontweight="bold" if row.heading else "normal",
        linespacing=1.1,
    )
    if row.heading:
        return
    axes.text(1.04, y, row.numbers, transform=beside, va="center", fontsize=SMALL, color=BLACK)
    left, right = axes.get_xlim()
    for low, high in row.shaded:
        start, end = max(low, left), min(high, right)
        axes.barh(y, max(end - start, 0), row.height - GAP / 2, start, color=SHADE, linewidth=0, zorder=0.5)
    if row.low <= row.high:
        axes.plot([row.low, row.high], [y, y], color=row.colour, linewidth=1.3, solid_capstyle="butt", zorder=2)
    marker = "<" if row.value < left else ">" if row.value > right else row.marker
    face = row.colour if row.filled else "white"
    value = min(max(row.value, left), right)
    (dot,) = axes.plot([value], [y], marker, color=row.colour, markerfacecolor=face, markersize=5, zorder=3)
    dot.set_clip_on(False)
