"""Which classes are taken for which: a matrix for the baseline, and one for the best cell."""

from typing import TYPE_CHECKING

import pandas as pd

from study.analysis.analysis import Analysis
from study.analysis.confusion import MOST_IN_MATRIX, confusions
from study.report.placement import Section
from study.report.plots.plot import Plot
from study.report.plots.style import BLACK, BLUE, SMALL, WIDTH, new_figure, wrapped
from study.report.tables import captions
from study.utils import formats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAMES, GAP, TOP, BOTTOM = 0.75, 0.15, 0.35, 0.95  # inches: of class names, between panels, for titles, for names below
NUMBERED = 12  # classes: with more, there is no room for numbers


def compute(analysis: Analysis) -> pd.DataFrame:
    """Columns cell, true, predicted, images, share, see `study.analysis.confusion`."""
    found = confusions(analysis.shown_cells)
    return found if found["true"].nunique() <= MOST_IN_MATRIX else found.head(0)


def draw(found: pd.DataFrame) -> "Figure":
    cells = list(dict.fromkeys(found["cell"]))
    side = (WIDTH - NAMES - GAP) / 2
    width = NAMES + len(cells) * side + (len(cells) - 1) * GAP
    height = TOP + side + BOTTOM
    figure = new_figure(width, height)
    for i, cell in enumerate(cells):
        left = NAMES + i * (side + GAP)
        axes = figure.add_axes((left / width, BOTTOM / height, side / width, side / height))
        _draw_matrix(axes, found[found["cell"] == cell], side)
        axes.set_title(wrapped(cell, side, 2, SMALL), fontsize=SMALL, loc="left", pad=3)
        axes.tick_params(labelleft=i == 0, length=0)
    figure.text(NAMES / width, 0.05 / height, "predicted class", ha="left", va="bottom")
    figure.text(0.04 / width, 1 - 0.04 / height, "true class", ha="left", va="top")
    return figure


def _draw_matrix(axes: "Axes", found: pd.DataFrame, side: float) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    true, predicted = (list(dict.fromkeys(found[name])) for name in ("true", "predicted"))
    shares = found["share"].to_numpy().reshape(len(true), len(predicted))
    wrong = found.loc[found["true"] != found["predicted"], "share"]
    colours = LinearSegmentedColormap.from_list("shares", ["white", BLUE])
    axes.imshow(shares, cmap=colours, vmin=0, vmax=max(2 * float(wrong.max()), 0.01), aspect="auto")
    named = [wrapped(name, NAMES - 0.1, 1, SMALL) for name in predicted]
    axes.set_xticks(range(len(predicted)), named, rotation=90)
    axes.set_yticks(range(len(true)), [wrapped(name, NAMES - 0.1, 1, SMALL) for name in true])
    axes.spines[:].set_visible(False)
    if max(len(true), len(predicted)) > NUMBERED:
        return
    for y, x in zip(*shares.nonzero(), strict=True):
        bright = true[y] == predicted[x]
        text = formats.fixed(100 * shares[y, x], 1 if shares[y, x] < 0.1 else 0)
        axes.text(x, y, text, ha="center", va="center", fontsize=SMALL - 1, color="white" if bright else BLACK)


PLOT = Plot(
    section=Section.TEST_IMAGES,
    title="Confused classes",
    caption=lambda analysis: (
        "Rows: true classes of the test images; columns: predicted classes; numbers: percent of the row, means over "
        "replicates. The darkest blue is twice the most frequent confusion or more. Shown are the baseline and, if it "
        f"is another, the cell with the highest mean validation accuracy.{captions.data_set_of_images(analysis)}"
    ),
    compute=compute,
    draw=draw,
    order=25,
)
