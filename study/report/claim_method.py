"""How claims with an interval were judged, in sentences: the rule, what it promises, and the error that was chosen."""

import math
from collections.abc import Iterator

from study.analysis.analysis import Analysis
from study.analysis.stats.error_choice import ErrorChoice
from study.analysis.stats.verdict_rule import errors_of
from study.analysis.verdicts import factors_of
from study.report import claim_wording
from study.utils.text import plural

RULE = (
    "A claim is *supported* if the interval of its difference is inside the region where the claim holds, and "
    "*refuted* if the interval is outside, both after the adjustment for all claims; otherwise it is *undecided*. The "
    "intervals shown are those of each claim alone."
)
PROMISE = (
    "The probability that any verdict of this study is false is then at most 5 %, if claims and replicates were "
    "written before any result, and if results vary roughly normally over replicates, or are skewed with the same "
    "spread in all cells. With strongly skewed (lognormal) results whose spread differs 25-fold between cells, 17 to "
    "34 % of simulated studies had a false verdict. A verdict is about the mean over all possible replicates, so about "
    "the sources of chance that differ between them, and not about other test images or other data unless replicates "
    "draw these anew."
)


def sentences(analysis: Analysis) -> Iterator[str]:
    """The rule, the promise, when the claims were written, and the errors of the metrics; Markdown."""
    yield RULE
    yield f"{PROMISE}{claim_wording.registration(analysis)}"
    if not analysis.facts.replicates_until and len(analysis.results.done):
        yield from _errors(analysis)
    elif analysis.facts.replicates_until:
        yield (
            "At each look, differences have the error of all cells of the claims that are then undecided, unless their "
            "spreads differ or are not known, and else that of the paired differences; `claims.csv` has which."
        )


def _errors(analysis: Analysis) -> Iterator[str]:
    """Which error differences have, why, what pairing gains, and how p-values are adjusted."""
    facts, results = analysis.facts, analysis.results
    chosen = errors_of(facts.tested_claims, results.trials, factors_of(results), facts.failures)
    for metric, choice in chosen.items():
        whose = "of all cells" if choice.pooled else "of the paired differences"
        yield f"Differences of cells in `{metric}` have the error {whose}: {choice.reason}.{_gain(choice)}"
    methods = dict.fromkeys(analysis.verdicts["adjustment"])
    if "Dunnett" in methods:
        yield "P-values are adjusted by the distribution of the largest |t| (Dunnett's method, step-down)."
    elif "Holm" in methods:
        yield "P-values are adjusted by Holm's method."


def _gain(choice: ErrorChoice[tuple[str, ...]]) -> str:
    """What pairing by replicate changes in the variance of a difference."""
    if not math.isfinite(choice.gain):
        return ""
    change = "reduces" if choice.gain >= 0 else "increases"
    where = f"{plural(choice.cells, 'cell')} and {plural(choice.n, 'replicate')}"
    return (
        f" Pairing by replicate {change} the variance of a difference by about {abs(100 * choice.gain):.0f} % "
        f"(measured on {where})."
    )
