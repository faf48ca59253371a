"""The finished trials of a search, and its Pareto front."""

import pandas as pd

from study.analysis.facts import TuningFacts
from study.analysis.results import SEARCH_KINDS, TUNING_KINDS, Results, table

VAL_ACCURACY = "val_accuracy"
COST_NAMES = {"params": "parameters", "macs": "multiply-adds", "latency": "ms for one image"}


def search(results: Results) -> pd.DataFrame:
    """Finished trials of a search, cheapest first; empty for other studies.

    `on_front`: whether no other trial is at least as good in all objectives and better in one. The front is selected on
    validation accuracy; test accuracies are only reported.
    """
    facts = results.facts.tuning
    if facts is None or not facts.searches:
        return table([], {**TUNING_KINDS, **SEARCH_KINDS, "on_front": "bool"})
    done = results.tuning[results.tuning["status"] == "done"].reset_index(drop=True)
    scores = _scores(done, facts)
    front = [not any(dominates(other, own) for other in scores) for own in scores]
    done = done.assign(on_front=pd.Series(front, dtype=bool))
    return done.sort_values([cost_of(facts), "trial"]).reset_index(drop=True)


def cost_of(facts: TuningFacts) -> str:
    """The cost that accuracy is plotted against: the first objective that is a cost, else parameters."""
    return next((name for name in facts.objectives if name != VAL_ACCURACY), "params")


def _scores(done: pd.DataFrame, facts: TuningFacts) -> list[tuple[float, ...]]:
    """The objectives of each trial, signed so that higher is better."""
    signs = [1.0 if name == VAL_ACCURACY else -1.0 for name in facts.objectives]
    rows = done[list(facts.objectives)].astype(float).itertuples(index=False)
    return [tuple(sign * value for sign, value in zip(signs, row, strict=True)) for row in rows]


def dominates(other: tuple[float, ...], own: tuple[float, ...]) -> bool:
    """Whether `other` is at least as good in all objectives and better in one; higher is better."""
    return other != own and all(a >= b for a, b in zip(other, own, strict=True))
