"""Adding versus removing: what each part is worth in the full and in the bare model."""

from typing import TYPE_CHECKING

import pandas as pd

from study.analysis.analysis import Analysis
from study.analysis.findings import ALPHA
from study.report.placement import Section
from study.report.plots.plot import Plot
from study.report.plots.style import BLACK, BLUE, VERMILLION
from study.report.plots.whiskers import Row, dots_and_whiskers
from study.utils import formats

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def compute(analysis: Analysis) -> pd.DataFrame:
    """The parts that have a result in the full or the bare model."""
    found = analysis.add_vs_remove
    return found[(found["full_n"] > 0) | (found["bare_n"] > 0)].reset_index(drop=True)


def draw(parts: pd.DataFrame) -> "Figure":
    rows = []
    for _, part in parts.iterrows():
        rows.append(Row(f"{part['part']} ({part['with']} / {part['without']})", heading=True))
        rows += [_row(part, end, f"in the {end} model") for end in ("full", "bare") if part[f"{end}_n"]]
        rows += [_difference(part)] if part["n"] else []
    return dots_and_whiskers(rows, "gain of test accuracy from the part, percentage points", zero=True)


def _row(part: pd.Series, end: str, name: str) -> Row:
    gain, low, high = part[f"{end}_gain"], part[f"{end}_low"], part[f"{end}_high"]
    return Row(
        name=name,
        value=100 * gain,
        low=100 * low,
        high=100 * high,
        numbers=formats.points_with(gain, low, high),
        colour=BLACK if end == "full" else BLUE,
        marker="s" if end == "full" else "o",
        filled=end == "full",
    )


def _difference(part: pd.Series) -> Row:
    differ = bool(part["p_adjusted"] < ALPHA)
    return Row(
        name="full minus bare (distinguishable)" if differ else "full minus bare",
        value=100 * part["difference"],
        low=100 * part["low"],
        high=100 * part["high"],
        numbers=formats.points_with(part["difference"], part["low"], part["high"]),
        colour=VERMILLION,
        marker="D",
        filled=differ,
    )


PLOT = Plot(
    section=Section.ADD_VS_REMOVE,
    title="Adding versus removing",
    caption=(
        "What each part is worth, with 95 % intervals. Filled squares: the full model minus the "
        "full model without the part. Open circles: the bare model with the part minus the bare model. Diamonds: the "
        "first minus the second; filled if distinguishable from zero after the correction for all parts, which is "
        "an interaction of the part with the other parts."
    ),
    compute=compute,
    draw=draw,
    intervals=True,
)
