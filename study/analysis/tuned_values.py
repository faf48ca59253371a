"""What tuning chose for each cell, and whether a range was too narrow."""

import json
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pandas as pd

from study.analysis.facts import ParameterFacts

if TYPE_CHECKING:
    from study.analysis.results import Results

EDGE = 0.05  # of a range, on its own scale, linear or logarithmic: nearer to an end than this is at its edge
COLUMNS = ["cell", "budget", "ended", "failed", "trial", "val_accuracy", "values", "edges"]


def tuned(results: "Results") -> pd.DataFrame:
    """One row per tuned cell: trials, the best one (0 where there is none yet), its values by parameter, and the
    names of those that sit on an edge beyond which the field could still go."""
    facts = results.facts.tuning
    if facts is None:
        return pd.DataFrame(columns=COLUMNS)
    rows = []
    for cell in results.facts.included:
        tried = results.tuning[results.tuning["cell"] == cell.name]
        best = tried[tried["best"] == "yes"]
        values = _values(best.iloc[0], facts.parameters) if len(best) else {}
        rows.append(
            {
                "cell": cell.name,
                "budget": facts.budget,
                "ended": int(tried["status"].isin(["done", "failed"]).sum()),
                "failed": int((tried["status"] == "failed").sum()),
                "trial": int(best["trial"].iloc[0]) if len(best) else 0,
                "val_accuracy": float(best["val_accuracy"].iloc[0]) if len(best) else math.nan,
                "values": values,
                "edges": [p.name for p in facts.parameters if p.name in values and edge(p, values[p.name])],
            }
        )
    return pd.DataFrame(rows, columns=COLUMNS)


def edge(parameter: ParameterFacts, value: Any) -> str:
    """`low` or `high` where a value sits on an edge of its range and the field could go further, else empty."""
    if parameter.low is None or parameter.high is None:
        return ""  # choices have no order
    scale = math.log if parameter.log else float
    share = (scale(value) - scale(parameter.low)) / (scale(parameter.high) - scale(parameter.low))
    if share <= EDGE and parameter.opens_below:
        return "low"
    return "high" if share >= 1 - EDGE and parameter.opens_above else ""


def edge_sentences(results: "Results") -> Iterator[str]:
    """One for each parameter whose best value sits on an edge in some cell."""
    facts = results.facts.tuning
    table = tuned(results)
    for parameter in facts.parameters if facts else ():
        for end, word in (("low", "lower"), ("high", "upper")):
            cells = [
                row["cell"]
                for _, row in table.iterrows()
                if parameter.name in row["values"] and edge(parameter, row["values"][parameter.name]) == end
            ]
            if cells:
                span = f"{parameter.low:g} to {parameter.high:g}"
                yield f"{parameter.name} sits on the {word} edge of its range ({span}) in {'; '.join(cells)}"


def _values(row: pd.Series, parameters: tuple[ParameterFacts, ...]) -> dict[str, Any]:
    return {p.name: json.loads(row[p.name]) for p in parameters if row[p.name]}
