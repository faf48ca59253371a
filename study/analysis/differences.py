"""Differences of test accuracy between cells, estimated, tested and adjusted as those of claims are."""

import math
from collections.abc import Iterable, Sequence

from study.analysis.accuracy_intervals import cut
from study.analysis.results import Results
from study.analysis.stats.contrasts import Contrast, between
from study.analysis.stats.families import Tested, family_of

COLUMNS = ("n", "difference", "low", "high", "sd", "p_value", "p_adjusted", "error", "df", "adjustment", "note")
FROM_REFERENCE = (
    *("pairs", "difference", "difference_low", "difference_high", "difference_sd"),
    *("p_value", "p_adjusted", "error", "difference_df", "adjustment", "note"),
)
TEXTS = ("error", "adjustment", "note")

Set = tuple[str, ...]  # cells that are compared with each other


def family(
    results: Results, selections: Iterable[Sequence[Set]], signs: Sequence[float] = (1, -1)
) -> list[Tested[str]]:
    """The differences of a table, adjusted for each other: means over sets, whose cells have these signs."""
    contrasts = [compared(results, sets, signs) for sets in selections]
    return family_of(contrasts, [results.error] * len(contrasts))


def compared(results: Results, sets: Sequence[Set], signs: Sequence[float] = (1, -1)) -> Contrast[str]:
    """The difference by matched set and replicate; failed replicates count as the study states."""
    return between(sets, signs, results.accuracies, 0.0, results.failed, results.facts.failures)


def columns(found: Tested[str], most: float = 1.0) -> dict[str, object]:
    """`COLUMNS`, in shares: a difference with its own 95 % interval, its error and its test.

    n             replicates
    sd            the standard deviation of the difference over replicates that gives n of them this error
    p_value       of this difference alone, nan if it is not tested; `p_adjusted` over the family
    error, df     pooled (of all cells) or paired, see `error_choice`; its degrees of freedom; none without an interval
    adjustment    Dunnett or Holm, for the other differences; empty without a test
    note          failed replicates, and why the difference is not tested
    """
    estimate = found.estimate
    low, high = cut(estimate.interval(), most)
    return {
        "n": estimate.n,
        "difference": estimate.mean,
        "low": low,
        "high": high,
        "sd": estimate.sd,
        "p_value": found.p_value,
        "p_adjusted": found.p_adjusted,
        "error": found.error,
        "df": found.df,
        "adjustment": found.adjusted_by,
        "note": found.contrast.note,
    }


def from_reference(found: Tested[str] | None) -> dict[str, object]:
    """`FROM_REFERENCE`: the same for tables of cells, whose `n`, `low`, `high` and `sd` are those of the cell's mean.

    None for the reference itself: no pairs, and nan.
    """
    if found is None:
        return {**dict.fromkeys(FROM_REFERENCE, math.nan), **dict.fromkeys(TEXTS, ""), "pairs": 0}
    values = columns(found)
    return dict(zip(FROM_REFERENCE, (values[name] for name in COLUMNS), strict=True))
