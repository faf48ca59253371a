"""The hyper-parameters that tuning selected for each cell, and whether a range was too narrow."""

import itertools
import math
from collections.abc import Iterator
from typing import Any

import pandas as pd

from study.analysis.facts import ParameterFacts, TuningFacts
from study.analysis.results import Results
from study.utils import json_text

EDGE = 0.05  # share of a range, linear or logarithmic: a value this close to an end is at its edge
COLUMNS = ["cell", "replicate", "budget", "ended", "failed", "trial", "val_accuracy", "values", "edges"]


def tuned(results: Results) -> pd.DataFrame:
    """One row per tuning: its cell and replicate (0: all), its trials, the best trial (0 if none), the values of that
    by parameter, and `edges`.

    `edges` are the parameters whose best value is at an edge of the range although the field accepts values beyond it.
    """
    facts = results.facts.tuning
    if facts is None:
        return pd.DataFrame(columns=COLUMNS)
    rows = []
    replicates = range(1, facts.tunings + 1) if facts.tunings > 1 else [0]
    for cell, replicate in itertools.product(results.facts.included, replicates):
        trials = results.tuning[results.tuning["cell"] == cell.name]
        trials = trials[trials["replicate"] == replicate] if replicate else trials
        best = trials[trials["best"] == "yes"]
        values = _values(best.iloc[0], facts.parameters) if len(best) else {}
        rows.append(
            {
                "cell": cell.name,
                "replicate": replicate,
                "budget": facts.budget,
                "ended": int(trials["status"].isin(["done", "failed"]).sum()),
                "failed": int((trials["status"] == "failed").sum()),
                "trial": int(best["trial"].iloc[0]) if len(best) else 0,
                "val_accuracy": float(best["val_accuracy"].iloc[0]) if len(best) else math.nan,
                "values": values,
                "edges": [p.name for p in facts.parameters if p.name in values and edge(p, values[p.name])],
            }
        )
    return pd.DataFrame(rows, columns=COLUMNS)


def edge(parameter: ParameterFacts, value: Any) -> str:
    """`low` or `high` if a value is at that edge of its range and the field accepts values beyond it, else empty."""
    if parameter.low is None or parameter.high is None:
        return ""  # choices have no order
    scale = math.log if parameter.log else float
    share = (scale(value) - scale(parameter.low)) / (scale(parameter.high) - scale(parameter.low))
    if share <= EDGE and parameter.opens_below:
        return "low"
    return "high" if share >= 1 - EDGE and parameter.opens_above else ""


def edge_sentences(facts: TuningFacts, table: pd.DataFrame) -> Iterator[str]:
    """A sentence for each parameter whose best value is at an edge in some cell; `table` is that of `tuned`."""
    for parameter in facts.parameters:
        for end, word in (("low", "lower"), ("high", "upper")):
            cells = [
                row["cell"] + (f" (replicate {row['replicate']})" if row["replicate"] else "")
                for _, row in table.iterrows()
                if parameter.name in row["values"] and edge(parameter, row["values"][parameter.name]) == end
            ]
            if cells:
                span = f"{parameter.low:g} to {parameter.high:g}"
                yield f"{parameter.name} is at the {word} edge of its range ({span}) in {'; '.join(cells)}"


def _values(row: pd.Series, parameters: tuple[ParameterFacts, ...]) -> dict[str, Any]:
    return {p.name: json_text.parse(row[p.name]) for p in parameters if row[p.name]}
