"""A verdict on every claim of a study, and the runs that each rests on."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pandas as pd

from study.analysis.stats.claims import contrasts_of, judge, verdict_table
from study.analysis.stats.contrasts import Contrast
from study.analysis.stats.sequential import Look, look_shares, looks
from study.analysis.units import unit_of
from study.design.comparison import Factors

if TYPE_CHECKING:
    from study.analysis.results import Results

ALPHA = 0.05  # chance of any false verdict among a study's claims
COLUMNS = [
    *("number", "claim", "kind", "metric", "unit", "verdict", "estimate", "low", "high", "level", "p_value"),
    *("p_adjusted", "n", "sets", "looked", "holds_above", "holds_below", "holds_between", "note", "cells"),
]
RUNS = ["number", "claim", "side", "cell", "replicate", "metric", "value", "key", "run_id"]


def looks_made(results: "Results") -> list[Look]:
    """The looks of a study whose replicates are added as they are needed, the state before any first; else none."""
    facts = results.facts
    if facts.replicates_until is None or not facts.claims:
        return []
    return looks(facts.claims, results.trials, factors_of(results), facts.replicates, facts.replicates_until, ALPHA)


def verdicts(results: "Results") -> pd.DataFrame:
    """One row per claim; estimates, ends and regions in the metric's own unit (accuracies: shares from 0 to 1).

    number, claim, kind, metric, unit    as written in the grid; the unit is the one that reports show it in
    verdict                              supported, refuted or undecided
    estimate, low, high, level           the difference, and its interval of that confidence, of this claim alone
    p_value, p_adjusted                  alone, and over all claims (and looks)
    n, sets                              replicates, and matched sets of cells that are averaged over
    looked                               replicates at the look that gave the verdict; all there are without looks
    holds_above, holds_below             ends of the true differences for which the claim holds, and whether it holds
    holds_between                        between them or beyond
    note                                 why undecided, what was left out
    cells                                cells compared, added and (after "against") subtracted
    """
    claims, made = results.facts.claims, looks_made(results)
    found = made[-1].verdicts if made else judge(claims, results.trials, factors_of(results), ALPHA)
    table = verdict_table(found)
    regions = [claim.region for claim in claims]
    table = table.assign(
        number=range(1, len(claims) + 1),
        metric=[claim.metric for claim in claims],
        unit=[unit_of(claim.metric).name for claim in claims],
        level=_levels(results, made),
        looked=_looked(results, made),
        holds_above=[region.low for region in regions],
        holds_below=[region.high for region in regions],
        holds_between=[region.inside for region in regions],
        cells=[_sides(results, contrast) for contrast in contrasts(results, made)],
    )
    return table[COLUMNS]


def runs(results: "Results") -> pd.DataFrame:
    """One row per claim and trial whose result entered its estimate: the side it is on, its value, key and MLflow run.

    A replicate enters only where all cells of the claim have it.
    """
    rows = [
        row
        for number, contrast in enumerate(contrasts(results, looks_made(results)), start=1)
        for row in _runs(results, number, contrast)
    ]
    return pd.DataFrame(rows, columns=RUNS)


def contrasts(results: "Results", made: list[Look]) -> list[Contrast]:
    """What each claim's verdict rests on: its difference by replicate, and the cells that it is made of."""
    factors, trials = factors_of(results), results.trials
    return [
        contrasts_of([claim], trials[(trials["replicate"] <= most).fillna(False)], factors)[0]
        for claim, most in zip(results.facts.claims, _looked(results, made), strict=True)
    ]


def factors_of(results: "Results") -> Factors:
    """The labels of each factor, the baseline's first."""
    return {factor.name: [level.label for level in factor.levels] for factor in results.facts.factors}


def _looked(results: "Results", made: list[Look]) -> list[int]:
    """By claim, the replicates at the look that decided it, at the last one where none did."""
    if not made:
        most = results.trials["replicate"].max()
        return [0 if pd.isna(most) else int(most)] * len(results.facts.claims)
    return [_deciding(made, i).replicates or results.facts.replicates for i in range(len(results.facts.claims))]


def _levels(results: "Results", made: list[Look]) -> list[float]:
    """By claim, the confidence of the interval shown: every look spends a share of alpha."""
    if not made:
        return [1 - ALPHA] * len(results.facts.claims)
    shares = look_shares(results.facts.look_schedule)
    return [1 - ALPHA * shares[max(_deciding(made, i).index, 0)] for i in range(len(results.facts.claims))]


def _deciding(made: list[Look], claim: int) -> Look:
    return next((look for look in made if look.verdicts[claim].verdict != "undecided"), made[-1])


def _names(results: "Results") -> dict[tuple[str, ...], str]:
    return {tuple(cell.labels.values()): cell.name for cell in results.facts.included}


def _sides(results: "Results", contrast: Contrast) -> str:
    names = _names(results)
    plus, minus = (list(dict.fromkeys(names[c] for s, c in contrast.entered if s == sign)) for sign in (1, -1))
    return "; ".join(plus) + (f" against {'; '.join(minus)}" if minus else "")


def _runs(results: "Results", number: int, contrast: Contrast) -> Iterator[dict[str, object]]:
    claim, names = results.facts.claims[number - 1], _names(results)
    trials = {(trial["cell"], trial["replicate"]): trial for _, trial in results.done.iterrows()}
    for sign, cell in dict.fromkeys(contrast.entered):
        for replicate in contrast.by_replicate:
            trial = trials[names[cell], replicate]
            yield {
                "number": number,
                "claim": claim.claim,
                "side": "cells" if sign > 0 else "against",
                "cell": names[cell],
                "replicate": replicate,
                "metric": claim.metric,
                "value": trial[claim.metric],
                "key": trial["key"],
                "run_id": trial["run_id"],
            }
