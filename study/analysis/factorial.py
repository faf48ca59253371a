"""Main effects and two-factor interactions, for designs whose cells change several factors at once."""

import math
from dataclasses import replace

import pandas as pd

from study.analysis.facts import StudyFacts
from study.analysis.results import Results
from study.analysis.stats.anova import COLUMNS, TIMES
from study.analysis.stats.effects import EFFECT_COLUMNS, INTERACTION_COLUMNS, Effects, estimate
from study.analysis.stats.failed import note

ALPHA = 0.05
MOST = 8  # interactions that are drawn
AT_LEAST = 2  # that are drawn if none is distinguishable
NO_ANOVA = pd.DataFrame(columns=COLUMNS)
NO_EFFECTS = pd.DataFrame(columns=EFFECT_COLUMNS)
NO_INTERACTIONS = pd.DataFrame(columns=[*INTERACTION_COLUMNS, "term", "share", "p_value", "p_adjusted"])


def is_factorial(facts: StudyFacts) -> bool:
    """Whether main effects and interactions can be fitted: the design suits it and cells change several factors."""
    return facts.suits_factorial_fit and any(len(cell.changed) > 1 for cell in facts.included)


def fit(results: Results) -> Effects:
    """The least-squares fit of test accuracy to all trials that count; see `study.analysis.stats.effects`.

    If trials failed and the study does not state how they count, nothing is tested: every row rests on all trials.
    """
    run = {level for cell in results.facts.included for level in cell.labels.items()}  # others are no comparison
    factors = {
        factor.name: [level.label for level in factor.levels if (factor.name, level.label) in run]
        for factor in results.facts.factors
    }
    rule, failed = results.facts.failures, list(results.failed.values())
    found = estimate(results.counted, factors, "test_accuracy")
    if not failed:
        return found
    reason = note(failed, rule)
    found = replace(found, notes=(*found.notes, reason), effects=_noted(found.effects, reason))
    return (
        replace(found, anova=_untested(found.anova), effects=_untested(found.effects)) if rule == "undecided" else found
    )


def _noted(rows: pd.DataFrame, reason: str) -> pd.DataFrame:
    return rows.assign(note=["; ".join(filter(None, (own, reason))) for own in rows["note"]])


def _untested(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(**{name: math.nan for name in ("p_value", "p_adjusted") if name in rows})


def anova(fit: Effects) -> pd.DataFrame:
    """The analysis of variance, a row per term as in `study.analysis.stats.effects.Effects`.

    Sums of squares are in squared shares; `eta_squared` of the error is the share of variance due to chance.
    """
    table = fit.anova
    if table.empty:
        return table
    by_kind = table.groupby("kind")["ss"].sum()
    within = float(by_kind["total"] - by_kind.get("replicate", 0.0))
    if not within > 0:
        return table
    return table.assign(eta_squared=table["eta_squared"].where(table["kind"] != "error", table["ss"] / within))


def aliases(facts: StudyFacts) -> dict[str, str]:
    """By term of a fractional design: the other terms that it is aliased with, with signs."""
    if facts.aliases is None:
        return {}
    letters = facts.aliases.letters
    order = {name: i for i, name in enumerate(facts.factor_names)}
    found = {}
    for chain in facts.aliases.aliased:
        signed = [(-1 if effect.startswith("-") else 1, effect.removeprefix("-")) for effect in chain.split(" = ")]
        named = [
            (sign, f" {TIMES} ".join(sorted((letters[letter] for letter in effect), key=order.__getitem__)))
            for sign, effect in signed
        ]
        for sign, name in named:
            others = [("" if sign == own else "minus ") + other for own, other in named if other != name]
            found[name] = " or ".join(others)
    return found


def main_effects(fit: Effects) -> pd.DataFrame:
    """A row per level of each factor: its least-squares mean, and its difference from the factor's first level."""
    return _bounded(fit.effects)


def interactions(fit: Effects, table: pd.DataFrame) -> pd.DataFrame:
    """The largest two-factor interactions in descending order: a row per pair of levels, with its least-squares mean.

    Those with p below 0.05 before Holm's correction, at most `MOST`; if there are none, the `AT_LEAST` largest.
    `table` is the analysis of variance; `share` is the share of variance, eta squared.
    """
    table = table[(table["kind"] == "interaction") & (table["df"] > 0)]
    ranked = table.sort_values("eta_squared", ascending=False, kind="stable")
    clear = ranked[ranked["p_value"] < ALPHA]
    chosen = clear.head(MOST) if len(clear) else ranked.head(AT_LEAST)
    means = _bounded(fit.interactions)
    by_term = dict(list(means.groupby(means["factor_a"] + f" {TIMES} " + means["factor_b"], sort=False)))
    found = [
        by_term[row["term"]].assign(
            term=row["term"], share=row["eta_squared"], p_value=row["p_value"], p_adjusted=row["p_adjusted"]
        )
        for _, row in chosen.iterrows()
        if row["term"] in by_term  # a pooled term has no means
    ]
    return pd.concat(found, ignore_index=True) if found else NO_INTERACTIONS


def _bounded(means: pd.DataFrame) -> pd.DataFrame:
    """Intervals cut at 0 and 1, as those of cells."""
    return means.assign(low=means["low"].clip(lower=0.0), high=means["high"].clip(upper=1.0))
