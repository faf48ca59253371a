"""What a search found: the trials that no other beats in everything."""

import pandas as pd

from study.analysis.facts import TuningFacts
from study.analysis.results import SEARCH_KINDS, TUNING_KINDS, Results, table

VAL_ACCURACY = "val_accuracy"
COST_NAMES = {"params": "parameters", "macs": "multiply-adds", "latency": "ms for one image"}


def searched(results: Results) -> pd.DataFrame:
    """Trials of a search that have a result, with `on_front`: whether no other is as good in all objectives and better
    in one. Chosen on validation accuracy; a front's test accuracies are only reported. Cheapest first."""
    facts = results.facts.tuning
    if facts is None or not facts.searches:
        return table([], {**TUNING_KINDS, **SEARCH_KINDS, "on_front": "bool"})
    done = results.tuning[results.tuning["status"] == "done"].reset_index(drop=True)
    goods = _goods(done, facts)
    front = [not any(beats(other, own) for other in goods) for own in goods]
    done = done.assign(on_front=pd.Series(front, dtype=bool))
    return done.sort_values([cost_of(facts), "trial"]).reset_index(drop=True)


def cost_of(facts: TuningFacts) -> str:
    """What accuracy is drawn against: the first objective that is a cost, else parameters."""
    return next((name for name in facts.objectives if name != VAL_ACCURACY), "params")


def _goods(done: pd.DataFrame, facts: TuningFacts) -> list[tuple[float, ...]]:
    """Per trial its objectives, more is better."""
    signs = [1.0 if name == VAL_ACCURACY else -1.0 for name in facts.objectives]
    rows = done[list(facts.objectives)].astype(float).itertuples(index=False)
    return [tuple(sign * value for sign, value in zip(signs, row, strict=True)) for row in rows]


def beats(other: tuple[float, ...], own: tuple[float, ...]) -> bool:
    """Whether one is as good in everything, and better in something; more is better."""
    return other != own and all(theirs >= mine for theirs, mine in zip(other, own, strict=True))
