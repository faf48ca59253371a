"""Intervals of accuracies, cut at the ends of what an accuracy can be (a share from 0 to 1)."""

from collections.abc import Collection, Mapping

import pandas as pd

from study.analysis.facts import StudyFacts
from study.analysis.stats.intervals import Difference, Interval, bounded, interval, paired_difference
from study.utils.text import points

SMALLEST = 0.005  # half a point: the smallest difference of interest, unless a claim of the study has a margin


def smallest_of_interest(facts: StudyFacts) -> float:
    """The smallest difference of interest: the smallest margin of the study's claims on test accuracy, if any."""
    margins = [claim.margin for claim in facts.claims if claim.metric == "test_accuracy" and claim.margin]
    return min(margins, default=SMALLEST)


def named_margin(facts: StudyFacts) -> str:
    """The smallest difference of interest and where it comes from: 0.5 points (the default: no claim ...)."""
    smallest = smallest_of_interest(facts)
    given = any(claim.metric == "test_accuracy" and claim.margin for claim in facts.claims)
    origin = "the smallest margin of the claims" if given else "the default, as no claim on test accuracy has a margin"
    return f"{points(smallest)} ({origin})"


def share(values: Collection[float]) -> Interval:
    """The mean of shares with its 95 % t interval, cut at 0 and 1."""
    return bounded(interval(values), 0.0, 1.0)


def share_difference(values: Mapping[int, float], baseline: Mapping[int, float]) -> Difference:
    """The paired difference of shares with its 95 % t interval, cut at -1 and 1."""
    return bounded(paired_difference(values, baseline), -1.0, 1.0)


def cut(ends: tuple[float, float], most: float = 1.0) -> tuple[float, float]:
    """The ends of an interval of a difference of shares, cut at -most and most."""
    return max(ends[0], -most), min(ends[1], most)  # keeps a nan, which is first


def any_cut(low: pd.Series, high: pd.Series) -> bool:
    """Whether any interval was cut at 0 or 1; an interval of width 0 is not cut, all its values are equal."""
    return bool((((low <= 0) | (high >= 1)) & (low < high)).any())
