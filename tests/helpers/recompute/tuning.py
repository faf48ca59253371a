"""Searches and tunings: the Pareto front of a search, and the best trial of each tuning."""

import math
from collections.abc import Iterator

import pandas as pd
from helpers.recompute.files import Expected, Raw

TRIALS, FRONT, ACCURACY = "tuning.csv", "figures/search_front.csv", "val_accuracy"


def _trials(raw: Raw) -> pd.DataFrame:
    found = raw.derived(TRIALS)
    numbers = [name for name in (ACCURACY, "params", "macs", "latency", "epochs") if name in found]
    return found.assign(**{name: pd.to_numeric(found[name]) for name in numbers})


def front(raw: Raw) -> Iterator[Expected]:
    """Finished trials with the cost that is drawn, and those that no other trial is better than."""
    if not raw.has(FRONT):
        return
    done = _trials(raw)
    done = done[done["status"] == "done"]
    objectives = raw.grid["search"]["objectives"]
    cost = next((name for name in objectives if name != ACCURACY), "params")
    signed = done[objectives].assign(**{name: -done[name] for name in objectives if name != ACCURACY})
    for at, trial in done.iterrows():
        own = signed.loc[at]
        beaten = ((signed >= own).all(axis=1) & (signed > own).any(axis=1)).any()
        row = {"cost": cost, "value": trial[cost], ACCURACY: trial[ACCURACY], "front": not beaten}
        yield from (Expected(FRONT, {"trial": trial["trial"]}, *pair) for pair in row.items())


def best(raw: Raw) -> Iterator[Expected]:
    """The first of the trials of a tuning or search with the highest validation accuracy."""
    if not raw.has(TRIALS):
        return
    trials = _trials(raw)
    places = [name for name in ("cell", "replicate") if name in trials]
    for _, own in trials.groupby(places, sort=False):
        known = own[(own["status"] == "done") & own[ACCURACY].notna()]
        first = known[ACCURACY].idxmax() if len(known) else math.nan
        for at, trial in own.iterrows():
            place = {name: trial[name] for name in (*places, "trial")}
            yield Expected(TRIALS, place, "best", "yes" if at == first else "")
