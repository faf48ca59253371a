"""Adding against removing: each part's worth in the full and in the bare model, one under the other."""

from typing import TYPE_CHECKING

import pandas as pd

from study.analysis.add_vs_remove import adding_and_removing
from study.analysis.findings import ALPHA
from study.analysis.results import Results
from study.report.plots.plot import Plot
from study.report.plots.style import BLACK, BLUE, VERMILLION
from study.report.plots.whiskers import Row, dots_and_whiskers
from study.utils import formats

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def compute(results: Results) -> pd.DataFrame:
    """The table of parts, without those that have no result at either end."""
    found = adding_and_removing(results)
    return found[(found["full_n"] > 0) | (found["bare_n"] > 0)].reset_index(drop=True)


def draw(parts: pd.DataFrame) -> "Figure":
    rows = []
    for _, part in parts.iterrows():
        rows.append(Row(f"{part['part']} ({part['with']} against {part['without']})", heading=True))
        rows += [_row(part, end, f"in the {end} model") for end in ("full", "bare") if part[f"{end}_n"]]
        rows += [_difference(part)] if part["n"] else []
    return dots_and_whiskers(rows, "worth of the part: gain of test accuracy, percentage points", zero=True)


def _row(part: pd.Series, end: str, name: str) -> Row:
    gain, low, high = part[f"{end}_gain"], part[f"{end}_low"], part[f"{end}_high"]
    return Row(
        name=name,
        value=100 * gain,
        low=100 * low,
        high=100 * high,
        told=formats.points_with(gain, low, high),
        colour=BLACK if end == "full" else BLUE,
        marker="s" if end == "full" else "o",
        filled=end == "full",
    )


def _difference(part: pd.Series) -> Row:
    differ = bool(part["p_adjusted"] < ALPHA)
    return Row(
        name="full less bare: they differ" if differ else "full less bare",
        value=100 * part["difference"],
        low=100 * part["low"],
        high=100 * part["high"],
        told=formats.points_with(part["difference"], part["low"], part["high"]),
        colour=VERMILLION,
        marker="D",
        filled=differ,
    )


PLOT = Plot(
    title="Adding against removing",
    caption=(
        "What each part is worth at both ends, with 95 % intervals, paired by replicate. Filled squares: the full "
        "model less the same without the part. Open circles: the bare model with the part alone, less the bare model. "
        "Diamonds: the first less the second, filled where it is clear after Holm's correction for all parts. Then the "
        "part works otherwise in company than alone: an interaction with the other parts."
    ),
    compute=compute,
    draw=draw,
)
