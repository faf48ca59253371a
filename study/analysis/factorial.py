"""Main effects and two-factor interactions, where the cells of a design change several factors at once."""

from typing import TYPE_CHECKING

import pandas as pd

from study.analysis.facts import StudyFacts
from study.analysis.stats.anova import COLUMNS, TIMES
from study.analysis.stats.effects import Effects, estimate

if TYPE_CHECKING:
    from study.analysis.results import Results

ALPHA = 0.05
MOST = 8  # interactions that are drawn
AT_LEAST = 2  # that are drawn where none is distinguishable
SHARES = ("mean", "low", "high")


def is_factorial(facts: StudyFacts) -> bool:
    """Whether main effects and interactions can be fitted: the design suits it and cells change several factors."""
    return facts.suits_factorial_fit and any(len(cell.changed) > 1 for cell in facts.included)


def fit(results: "Results") -> Effects:
    """The least-squares fit of test accuracy to all finished trials; see `study.analysis.stats.effects`."""
    factors = {factor.name: [level.label for level in factor.levels] for factor in results.facts.factors}
    return estimate(results.trials, factors, "test_accuracy")


def anova(results: "Results") -> pd.DataFrame:
    """The analysis of variance, a row per term as in `study.analysis.stats.effects.Effects`; empty for other designs.

    Sums of squares are in squared shares; `eta_squared` of the error is what chance explains.
    """
    table = results.fit.anova if is_factorial(results.facts) else pd.DataFrame(columns=COLUMNS)
    if table.empty:
        return table
    by_kind = table.groupby("kind")["ss"].sum()
    within = float(by_kind["total"] - by_kind.get("replicate", 0.0))
    if not within > 0:
        return table
    return table.assign(eta_squared=table["eta_squared"].where(table["kind"] != "error", table["ss"] / within))


def aliases(facts: StudyFacts) -> dict[str, str]:
    """For each term of a fractional design that has any: the other terms that it cannot be told from, with signs."""
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
            others = [("" if sign == own else "less ") + other for own, other in named if other != name]
            found[name] = " or ".join(others)
    return found


def main_effects(results: "Results") -> pd.DataFrame:
    """A row per level of each factor: its least-squares mean and its difference from the first; empty if none."""
    return _in_shares(results.fit.effects) if is_factorial(results.facts) else results.fit.effects.iloc[:0]


def interactions(results: "Results") -> pd.DataFrame:
    """The two-factor interactions that matter, the largest first: a row per pair of levels, with its mean.

    Those distinguishable on their own (p below 0.05, before Holm's correction), at most `MOST`; where there are none,
    the `AT_LEAST` largest, for a reader to see that. `share` is the share of variance, eta squared.
    """
    table = anova(results)
    table = table[(table["kind"] == "interaction") & (table["df"] > 0)]
    if table.empty:
        return pd.DataFrame()
    ranked = table.sort_values("eta_squared", ascending=False, kind="stable")
    clear = ranked[ranked["p_value"] < ALPHA]
    chosen = clear.head(MOST) if len(clear) else ranked.head(AT_LEAST)
    means = _in_shares(results.fit.interactions)
    by_term = dict(list(means.groupby(means["factor_a"] + f" {TIMES} " + means["factor_b"], sort=False)))
    found = [
        by_term[row["term"]].assign(
            term=row["term"], share=row["eta_squared"], p_value=row["p_value"], p_adjusted=row["p_adjusted"]
        )
        for _, row in chosen.iterrows()
        if row["term"] in by_term  # a sum of interactions has no means of its own
    ]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()


def _in_shares(means: pd.DataFrame) -> pd.DataFrame:
    """Intervals cut at 0 and 1, as those of cells are."""
    return means.assign(low=means["low"].clip(lower=0.0), high=means["high"].clip(upper=1.0))
