"""Verdicts as a forest plot: estimate and interval of each claim; the region where it holds is shaded."""

import math
from typing import TYPE_CHECKING

import pandas as pd

from study.analysis.analysis import Analysis
from study.analysis.facts import StudyFacts
from study.design.metrics import Unit, unit_of
from study.report.plots.panels import Limits
from study.report.plots.style import BLACK, BLUE, VERMILLION
from study.report.plots.whiskers import Row, dots_and_whiskers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME_LINES = 6
STYLES = {"supported": (BLUE, "o", True), "refuted": (VERMILLION, "s", True), "undecided": (BLACK, "o", False)}
CAPTION = (
    "Each dot is a claim's difference with its interval; the claim holds in the shaded region "
    "of its row. Intervals are for each claim alone; verdicts are adjusted for all claims, so a claim can be "
    "undecided although its interval is inside or outside the region. Filled blue circles: supported, the interval "
    "is inside. Red squares: refuted, it is outside. Open circles: undecided. Arrows, and whiskers that end at the "
    "edge, extend beyond the axis; the numbers are on the right."
)


def compute(analysis: Analysis, unit: Unit) -> pd.DataFrame:
    """The verdicts with an estimate whose metric is shown in this unit; numbers are in that unit."""
    rows = analysis.verdicts
    rows = rows[(rows["unit"] == unit.name) & rows["estimate"].notna()].reset_index(drop=True)
    scaled = ["estimate", "low", "high", "holds_above", "holds_below"]
    return rows.assign(**{name: unit.scale * rows[name] for name in scaled})


def has_claims(facts: StudyFacts, unit: Unit) -> bool:
    """Whether the study has claims about a metric that is shown in this unit."""
    return any(unit_of(claim.metric) == unit for claim in facts.claims)


def draw(claims: pd.DataFrame, unit: Unit, xlabel: str) -> "Figure":
    return dots_and_whiskers([_row(claim, unit) for _, claim in claims.iterrows()], xlabel, zero=True)


def _row(claim: pd.Series, unit: Unit) -> Row:
    colour, marker, filled = STYLES[claim["verdict"]]
    estimate, low, high = (claim[name] / unit.scale for name in ("estimate", "low", "high"))
    return Row(
        name=claim["claim"],
        value=claim["estimate"],
        low=claim["low"],
        high=claim["high"],
        numbers=f"{claim['verdict']}, n = {claim['n']}\n{unit.signed_with(estimate, low, high)}",
        colour=colour,
        marker=marker,
        filled=filled,
        shaded=_shaded(claim),
        lines=NAME_LINES,
    )


def _shaded(claim: pd.Series) -> tuple[Limits, ...]:
    low, high = float(claim["holds_above"]), float(claim["holds_below"])
    return ((low, high),) if claim["holds_between"] else ((-math.inf, low), (high, math.inf))
