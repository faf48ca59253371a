"""Claims as sentences: when a claim holds, the confidence of its interval, how p-values are adjusted."""

import pandas as pd

from study.analysis.analysis import Analysis
from study.analysis.facts import StudyFacts
from study.design import claim_wording
from study.design.claim_kinds.claim_kind import Region
from study.design.metrics import Source, unit_of
from study.report import error_wording
from study.utils import formats


def region(claim: pd.Series, with_unit: bool = True) -> str:
    """The true differences for which a claim holds, from a row of `Analysis.verdicts`."""
    claimed = Region(claim["holds_above"], claim["holds_below"], bool(claim["holds_between"]))
    return claim_wording.region(claimed, unit_of(claim["metric"]), with_unit)


def method(analysis: Analysis) -> str:
    """How the claims were judged: by which intervals and p-values, if any has them."""
    if not analysis.facts.tested_claims:
        return "judged by the difference itself, without interval"
    return f"{intervals(analysis)}, {kind_of_error(analysis)}; {adjustment(analysis.facts)}"


def intervals(analysis: Analysis) -> str:
    """The confidence level of the claims' intervals."""
    levels = sorted({100 * level for level in analysis.verdicts["level"].dropna()})
    if levels and levels[-1] > 95 + 1e-9:
        span = " to ".join(dict.fromkeys((f"{levels[0]:.4g}", f"{levels[-1]:.4g}")))
        return f"{span} % intervals (every look spends a share of 5 %)"
    return "95 % intervals"


def kind_of_error(analysis: Analysis) -> str:
    """The error of the claims' intervals, as half a sentence."""
    return error_wording.of_rows(analysis.verdicts)


def adjustment(facts: StudyFacts) -> str:
    """What p-values are adjusted for."""
    looks = " and looks" if facts.replicates_until else ""
    exact = len(facts.claims) - len(facts.tested_claims)
    others = " that have one; the others are judged by the difference itself" if exact else ""
    return f"p-values adjusted for all claims{looks}{others}"


def replicates(row: pd.Series) -> str:
    """The replicates behind a verdict; a dash for a claim that is judged by arithmetic."""
    return str(row["n"]) if row["source"] == Source.TRIALS else formats.NONE


def registration(analysis: Analysis) -> str:
    """When the claims were written, as a sentence after a space; empty without claims."""
    written = analysis.registration
    return f" {written[0].upper()}{written[1:]}." if written else ""
