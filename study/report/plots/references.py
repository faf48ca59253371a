"""The study's cells among published results on the same data set."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pandas as pd

from study.analysis.analysis import Analysis
from study.analysis.cells import selected_on
from study.report.placement import Section
from study.report.plots.labels import annotate, mark
from study.report.plots.plot import Plot
from study.report.plots.scales import log_parameters
from study.report.plots.style import BLACK, BLUE, GREY, SMALL, VERMILLION, WIDTH, light_grid, new_figure, wrapped
from study.report.reference_models import datasets_of, published_for

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ABOVE, BELOW = 0.4, 0.45  # inches around the axes of a panel
COLUMNS = ["data_set", "name", "family", "params", "accuracy", "low", "high"]
OURS = "this study"
MARKERS = {OURS: ("o", BLUE), "transformer": ("^", BLACK), "conv-transformer": ("D", BLACK), "cnn": ("s", GREY)}


def compute(analysis: Analysis) -> pd.DataFrame:
    """Published results, and the study's baseline and Pareto front; accuracies in %."""
    cells, on = analysis.cells, {cell.name: cell.finetune_dataset for cell in analysis.facts.included}
    shown = cells[(cells["front"] | (cells["number"] == 1)) & cells["mean"].notna()]
    rows: list[dict[str, object]] = []
    for name, published in published_for(analysis.facts).groupby("data_set", sort=False):
        ours = shown[shown["cell"].map(on) == name]
        own = [*_published(published), *_cells(ours)] if len(ours) else []
        rows += [{"data_set": name, **row} for row in own]
    return pd.DataFrame(rows, columns=COLUMNS)


def _published(published: pd.DataFrame) -> Iterator[dict[str, object]]:
    for name, (_, row) in zip(_names(published), published.iterrows(), strict=True):
        yield {"name": name, "family": row["family"], "params": 1e6 * row["params_m"], "accuracy": row["top1"]}


def _cells(ours: pd.DataFrame) -> Iterator[dict[str, object]]:
    for _, cell in ours.iterrows():
        accuracy = {"accuracy": 100 * cell["mean"], "low": 100 * cell["low"], "high": 100 * cell["high"]}
        yield {"name": cell["cell"], "family": OURS, "params": float(cell["params"]), **accuracy}


def _names(published: pd.DataFrame) -> list[str]:
    """Names of models, with epochs if several have the same name."""
    twice = published["model"].duplicated(keep=False)
    return [
        f"{row['model']} ({row['epochs']:.0f} epochs)" if again and row["epochs"] > 0 else str(row["model"])
        for again, (_, row) in zip(twice, published.iterrows(), strict=True)
    ]


def draw(points: pd.DataFrame) -> "Figure":
    """A panel per data set, one below the other."""
    panels, each = list(points.groupby("data_set", sort=False)), 4.6
    height = each * len(panels)
    figure = new_figure(WIDTH, height)
    for i, (name, rows) in enumerate(panels, start=1):
        place = (0.62 / WIDTH, (height - i * each + BELOW) / height)
        axes = figure.add_axes((*place, (WIDTH - 0.8) / WIDTH, (each - ABOVE - BELOW) / height))
        axes.set_ylabel(f"top-1 accuracy on {name}, %" if len(panels) > 1 else "top-1 accuracy, %")
        _draw_panel(axes, rows.reset_index(drop=True))
    return figure


def _draw_panel(axes: "Axes", points: pd.DataFrame) -> None:
    light_grid(axes, "y")
    for _, point in points.iterrows():
        _draw_point(axes, point)
    axes.margins(x=0.1, y=0.08)
    log_parameters(axes)
    _name(axes, points)
    for i, (family, (marker, colour)) in enumerate(MARKERS.items()):
        position = ([0.01 + 0.2 * i], [1.05])
        axes.plot(*position, marker, color=colour, mfc=_face(family), ms=5, transform=axes.transAxes, clip_on=False)
        axes.text(0.03 + 0.2 * i, 1.05, family, transform=axes.transAxes, va="center", fontsize=SMALL)


def _face(family: str) -> str:
    return MARKERS[OURS][1] if family == OURS else "white"


def _draw_point(axes: "Axes", point: pd.Series) -> None:
    marker, colour = MARKERS.get(point["family"], ("v", VERMILLION))
    if point["low"] <= point["high"]:
        axes.plot([point["params"]] * 2, [point["low"], point["high"]], color=colour, linewidth=0.9)
    axes.plot([point["params"]], [point["accuracy"]], marker, color=colour, mfc=_face(point["family"]), ms=5, zorder=3)


def _name(axes: "Axes", points: pd.DataFrame) -> None:
    """Labels as many as fit: all, else only the published models, else only the study's cells."""
    ours = points["family"] == OURS
    marks = [mark(axes, *row) for row in points[["params", "accuracy", "low", "high"]].itertuples(index=False)]
    for shown in (points, points[~ours], points[ours]):
        boxes = [box for i, other in enumerate(marks) if i not in shown.index for box in other.boxes]
        names = [wrapped(name, 1.8, 1, SMALL) for name in shown["name"]]
        if annotate(axes, [marks[i] for i in shown.index], names, boxes):
            return


PLOT = Plot(
    section=Section.REFERENCES,
    title="Comparison with published results",
    caption=lambda analysis: (
        f"The study's baseline and Pareto front (filled, test accuracy with 95 % intervals; the front was selected on "
        f"{selected_on(analysis.cells)} accuracy) and published results on the same data "
        "set (open; single numbers from their sources, not reproduced here). Recipes, epochs and image sizes differ, "
        "so this is context, not a comparison of designs."
    ),
    compute=compute,
    expected=lambda facts: bool(datasets_of(facts)),
    draw=draw,
    intervals=True,
)
