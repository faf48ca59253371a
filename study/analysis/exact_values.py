"""The numbers of each cell that do not differ by replicate: sizes, and measurements of its exported model."""

import pandas as pd

from study.analysis.results import Results
from study.analysis.stats.exact_rule import Measured
from study.design.comparison import Labels
from study.design.metrics import Metric, Source


def names_of(results: Results) -> dict[Labels, str]:
    """The included cells: labels, and name."""
    return {tuple(cell.labels.values()): cell.name for cell in results.facts.included}


def exact_values(results: Results, metric: Metric) -> dict[Labels, Measured]:
    """The value of each cell that has one."""
    rows = results.device if metric.source == Source.EXPORT else results.done.drop_duplicates("cell")
    places = rows["processor"] if metric.source == Source.EXPORT else [""] * len(rows)
    found = {
        cell: Measured(float(value), place)
        for cell, value, place in zip(rows["cell"], rows[metric.name], places, strict=True)
        if not pd.isna(value)
    }
    return {labels: found[name] for labels, name in names_of(results).items() if name in found}
