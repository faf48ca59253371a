"""A verdict on every claim of a study, and the runs that each one uses."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict

import pandas as pd

from study.analysis import registration
from study.analysis.exact_values import exact_values, names_of
from study.analysis.results import Results
from study.analysis.stats import exact_rule
from study.analysis.stats.contrasts import Contrast
from study.analysis.stats.failed import counted
from study.analysis.stats.sequential import Look, at_look, look_shares, looks
from study.analysis.stats.verdict_rule import Verdict, contrasts_of, judge
from study.analysis.validation_bias import marked
from study.design.claims import ClaimSpec
from study.design.comparison import Factors, Labels
from study.design.metrics import metric_of, unit_of

ALPHA = 0.05  # probability of any false verdict among a study's claims
COLUMNS = [
    *("number", "claim", "kind", "metric", "unit", "source", "verdict", "estimate", "low", "high", "level", "p_value"),
    *("p_adjusted", "error", "df", "adjustment", "condition", "n", "sets", "looked", "holds_above", "holds_below"),
    *("holds_between", "note", "cells", "registered", "results_before"),
]
RUNS = ["number", "claim", "side", "cell", "replicate", "metric", "value", "key", "run_id"]


def looks_of(results: Results) -> list[Look]:
    """The looks of a study with adaptive replicates, the state before the first look included; else empty."""
    facts = results.facts
    if facts.replicates_until is None or not facts.tested_claims:
        return []
    return looks(
        facts.tested_claims,
        results.judged,
        factors_of(results),
        facts.replicates,
        facts.replicates_until,
        ALPHA,
        facts.failures,
        facts.failed_at,
    )


def verdicts(results: Results, made: list[Look]) -> pd.DataFrame:
    """One row per claim; estimates, ends and regions in the metric's own unit (accuracies: shares from 0 to 1).

    number, claim, kind, metric, unit    as in the grid; `unit` is the unit that reports use
    source                               trials: judged with an interval; settings, export: judged by arithmetic
    verdict                              supported, refuted or undecided
    estimate, low, high, level           the difference and its interval at confidence `level`, for this claim alone
    p_value, p_adjusted                  for this claim alone, and adjusted over all claims (and looks)
    error, df                            pooled (of all cells) or paired, see `error_choice`; against a number,
                                         replicates and images, see `share_estimate`, or replicates; its degrees of
                                         freedom; empty without an interval
    adjustment                           Dunnett or Holm, for the other claims; empty without a test
    condition                            of the promise: no sign of skew, skewed, skewed with unequal spreads, or not
                                         tested; see `error_choice`
    n, sets                              replicates, and the matched sets of cells averaged over
    looked                               replicates at the look that gave the verdict; without looks, all replicates
    holds_above, holds_below             ends of the region of true differences for which the claim holds
    holds_between                        whether it holds between these ends or beyond them
    note                                 why it is undecided, what was left out
    cells                                cells compared: minuend, and after "against" subtrahend
    registered, results_before           when the claim was registered (UTC; empty: it is not), and the number of the
                                         study's results that were stored then
    """
    claims = results.facts.claims
    tested = iter(_tested(results, made))
    rows = [next(tested) if claim.by_replicate else _exact(results, claim) for claim in claims]
    regions = [claim.region for claim in claims]
    standings = registration.standings(results, factors_of(results))
    table = pd.DataFrame(rows, columns=[*Verdict.__dataclass_fields__, "level", "looked", "cells"]).assign(
        number=range(1, len(claims) + 1),
        metric=[claim.metric for claim in claims],
        unit=[unit_of(claim.metric).name for claim in claims],
        source=[str(metric_of(claim.metric).source) for claim in claims],
        note=[marked(results.facts, claim.metric, str(row["note"])) for claim, row in zip(claims, rows, strict=True)],
        holds_above=[region.low for region in regions],
        holds_below=[region.high for region in regions],
        holds_between=[region.inside for region in regions],
        registered=[standing.time for standing in standings],
        results_before=pd.Series([standing.results for standing in standings], dtype="Int64"),
    )
    return table[COLUMNS]


def _tested(results: Results, made: list[Look]) -> list[dict[str, object]]:
    """The rows of the claims that are judged with an interval."""
    claims = results.facts.tested_claims
    found = (
        made[-1].verdicts if made else judge(claims, results.judged, factors_of(results), ALPHA, results.facts.failures)
    )
    parts = zip(found, _levels(results, made), _looked(results, made), contrasts(results, made), strict=True)
    return [
        {**asdict(verdict), "level": level, "looked": looked, "cells": _sides(results, contrast.entered)}
        for verdict, level, looked, contrast in parts
    ]


def _exact(results: Results, claim: ClaimSpec) -> dict[str, object]:
    """The row of a claim that is judged by arithmetic."""
    values = exact_values(results, metric_of(claim.metric))
    verdict, found = exact_rule.judge(claim, names_of(results), values, factors_of(results))
    return {**asdict(verdict), "level": math.nan, "looked": 1, "cells": _sides(results, found.cells)}


def runs(results: Results, made: list[Look]) -> pd.DataFrame:
    """One row per claim and trial in its estimate: the trial's side, value, key and MLflow run.

    Claims that are judged by arithmetic have none: their numbers do not differ by trial.
    A replicate is included only if all cells of its matched set have it.
    """
    parts = zip(_numbers(results), contrasts(results, made), _looked(results, made), strict=True)
    rows = [row for number, contrast, most in parts for row in _runs(results, number, contrast, most)]
    return pd.DataFrame(rows, columns=RUNS)


def contrasts(results: Results, made: list[Look]) -> list[Contrast[Labels]]:
    """The data behind each verdict with an interval: the difference by replicate, and the cells compared."""
    claims, rule, looked = results.facts.tested_claims, results.facts.failures, _looked(results, made)
    by_look = {
        most: contrasts_of(claims, analysed(results, most), factors_of(results), rule) for most in dict.fromkeys(looked)
    }
    return [by_look[most][i] for i, most in enumerate(looked)]


def analysed(results: Results, most: int) -> pd.DataFrame:
    """The trials that a verdict after this number of replicates rests on, as they were then."""
    return at_look(results.judged, factors_of(results), most, results.facts.failed_at)


def factors_of(results: Results) -> Factors:
    """The labels of each factor, the baseline's first."""
    return results.facts.labels_by_factor


def _looked(results: Results, made: list[Look]) -> list[int]:
    """By claim, the replicates at the look that decided it, else at the last look."""
    if not made:
        most = results.trials["replicate"].max()
        return [0 if pd.isna(most) else int(most)] * len(results.facts.tested_claims)
    return [_deciding(made, i).replicates or results.facts.replicates for i in range(len(results.facts.tested_claims))]


def _levels(results: Results, made: list[Look]) -> list[float]:
    """By claim, the confidence level of its interval: every look spends a share of alpha."""
    if not made:
        return [1 - ALPHA] * len(results.facts.tested_claims)
    shares = look_shares(results.facts.look_schedule)
    return [1 - ALPHA * shares[max(_deciding(made, i).index, 0)] for i in range(len(results.facts.tested_claims))]


def _deciding(made: list[Look], claim: int) -> Look:
    return next((look for look in made if look.verdicts[claim].verdict != "undecided"), made[-1])


def _numbers(results: Results) -> list[int]:
    """The numbers of the claims that are judged with an interval."""
    return [number for number, claim in enumerate(results.facts.claims, start=1) if claim.by_replicate]


def _sides(results: Results, entered: Sequence[tuple[float, Labels]]) -> str:
    names = names_of(results)
    plus, minus = (list(dict.fromkeys(names[c] for s, c in entered if s * sign > 0)) for sign in (1, -1))
    return "; ".join(plus) + (f" against {'; '.join(minus)}" if minus else "")


def _runs(results: Results, number: int, contrast: Contrast[Labels], most: int) -> Iterator[dict[str, object]]:
    claim, names = results.facts.claims[number - 1], names_of(results)
    rows = counted(analysed(results, most), results.facts.failures)
    columns = (rows[name] for name in ("cell", "replicate", claim.metric, "key", "run_id"))
    trials = {(cell, replicate): values for cell, replicate, *values in zip(*columns, strict=True)}
    used = (
        (sign, cell, replicate) for own in contrast.matched for sign, cell in own.cells for replicate in own.differences
    )
    for sign, cell, replicate in dict.fromkeys(used):
        value, key, run_id = trials[names[cell], replicate]
        yield {
            "number": number,
            "claim": claim.claim,
            "side": "cells" if sign > 0 else "against",
            "cell": names[cell],
            "replicate": replicate,
            "metric": claim.metric,
            "value": value,
            "key": key,
            "run_id": run_id,
        }
