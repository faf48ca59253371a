"""Verdicts as a forest: estimate and interval of each claim, and the differences for which it holds, shaded."""

import math
from typing import TYPE_CHECKING

import pandas as pd

from study.analysis.results import Results
from study.analysis.units import Unit
from study.report.plots.panels import Limits
from study.report.plots.style import BLACK, BLUE, VERMILLION
from study.report.plots.whiskers import Row, dots_and_whiskers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME_LINES = 6
LOOKS = {"supported": (BLUE, "o", True), "refuted": (VERMILLION, "s", True), "undecided": (BLACK, "o", False)}
CAPTION = (
    "Each dot is a claim's difference, with its interval, paired by replicate; the shaded part of its row is where the "
    "claim holds. Blue and filled: supported, the interval lies wholly in the shade. A red square: refuted, wholly "
    "outside. Open: undecided. An arrow at the edge, or a whisker that ends there: further out than the axis reaches; "
    "the numbers are at the right."
)


def compute(results: Results, unit: Unit) -> pd.DataFrame:
    """The verdicts that are shown in this unit and have an estimate; the numbers drawn are in that unit."""
    rows = results.verdicts
    rows = rows[(rows["unit"] == unit.name) & rows["estimate"].notna()].reset_index(drop=True)
    scaled = ["estimate", "low", "high", "holds_above", "holds_below"]
    return rows.assign(**{name: unit.scale * rows[name] for name in scaled})


def draw(claims: pd.DataFrame, unit: Unit, xlabel: str) -> "Figure":
    return dots_and_whiskers([_row(claim, unit) for _, claim in claims.iterrows()], xlabel, zero=True)


def _row(claim: pd.Series, unit: Unit) -> Row:
    colour, marker, filled = LOOKS[claim["verdict"]]
    estimate, low, high = (claim[name] / unit.scale for name in ("estimate", "low", "high"))
    return Row(
        name=claim["claim"],
        value=claim["estimate"],
        low=claim["low"],
        high=claim["high"],
        told=f"{claim['verdict']}, n = {claim['n']}\n{unit.signed_with(estimate, low, high)}",
        colour=colour,
        marker=marker,
        filled=filled,
        shaded=_shaded(claim),
        lines=NAME_LINES,
    )


def _shaded(claim: pd.Series) -> tuple[Limits, ...]:
    low, high = float(claim["holds_above"]), float(claim["holds_below"])
    return ((low, high),) if claim["holds_between"] else ((-math.inf, low), (high, math.inf))
