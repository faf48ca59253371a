"""Claims as sentences: when a claim holds, the confidence of its interval, how p-values are adjusted."""

import math

import pandas as pd

from study.analysis.analysis import Analysis
from study.analysis.facts import StudyFacts
from study.analysis.units import unit_of


def region(claim: pd.Series, with_unit: bool = True) -> str:
    """The true differences for which a claim holds: above -1.00 points, -1.00 to +1.00 points."""
    unit = unit_of(claim["metric"])
    name = f" {unit.name}" if with_unit else ""
    low, high = (unit.signed(claim[end]) for end in ("holds_above", "holds_below"))
    if math.isfinite(claim["holds_above"]) and math.isfinite(claim["holds_below"]):
        return f"{low} to {high}{name}" if claim["holds_between"] else f"below {low} or above {high}{name}"
    return f"above {low}{name}" if math.isfinite(claim["holds_above"]) else f"below {high}{name}"


def intervals(analysis: Analysis) -> str:
    """The confidence level of the claims' intervals."""
    levels = sorted({100 * level for level in analysis.verdicts["level"]})
    if levels and levels[-1] > 95 + 1e-9:
        span = " to ".join(dict.fromkeys((f"{levels[0]:.4g}", f"{levels[-1]:.4g}")))
        return f"{span} % intervals (every look spends a share of 5 %)"
    return "95 % intervals"


def adjustment(facts: StudyFacts) -> str:
    """What p-values are paired by and adjusted for."""
    looks = " and looks" if facts.replicates_until else ""
    return f"paired by replicate; p-values adjusted for all claims{looks}"
