"""The contrasts that a grid asks for under `compare`: estimates with intervals, without verdicts."""

import math
from collections.abc import Sequence

import pandas as pd

from study.analysis.exact_values import exact_values, names_of
from study.analysis.results import Results
from study.analysis.stats import exact_rule
from study.analysis.stats.contrasts import Contrast, contrast, results_by_cell
from study.analysis.stats.error_choice import ErrorChoice, choose
from study.analysis.stats.failed import failed_by_cell
from study.analysis.stats.families import Tested, family_of
from study.analysis.validation_bias import marked
from study.analysis.verdicts import factors_of
from study.design.claim_wording import contrasted
from study.design.comparison import Labels, Selection, select_contrast
from study.design.metrics import Metric, metric_of, unit_of

COLUMNS = [
    *("number", "contrast", "metric", "unit", "source", "estimate", "low", "high", "p_value", "p_adjusted", "error"),
    *("df", "adjustment", "n", "sets", "note"),
]


def level_contrasts(results: Results) -> pd.DataFrame:
    """One row per contrast: the difference in the metric's own unit, and its 95 % interval, for this contrast alone.

    p_value and p_adjusted are of the two-sided test that the difference is 0; the latter is adjusted over the contrasts
    of metrics that have an interval. Claims are a family of their own. `error`, `df` and `adjustment` are as for
    claims. Exact numbers have neither interval nor test.
    """
    asked = [(metric_of(spec.metric), select_contrast(spec, factors_of(results))) for spec in results.facts.compare]
    family = iter(_family(results, [one for one in asked if one[0].by_replicate]))
    rows = []
    for number, (metric, found) in enumerate(asked, start=1):
        row = _tested(next(family)) if metric.by_replicate else _exact(results, metric, found)
        named = {"number": number, "contrast": contrasted(found), "metric": metric.name, "unit": metric.unit.name}
        marks = {"note": marked(results.facts, metric.name, str(row["note"]))}
        rows.append({**named, "source": str(metric.source), **row, **marks})
    return pd.DataFrame(rows, columns=COLUMNS)


def _family(results: Results, asked: Sequence[tuple[Metric, Selection]]) -> list[Tested[Labels]]:
    factors, rule = factors_of(results), results.facts.failures
    values = {metric.name: results_by_cell(results.counted, factors, metric.name) for metric, _ in asked}
    errors: dict[str, ErrorChoice[Labels]] = {name: choose(own, unit_of(name).is_share) for name, own in values.items()}
    failed = failed_by_cell(results.trials, factors)
    contrasts: list[Contrast[Labels]] = [
        contrast(found, values[metric.name], factors, failed, rule) for metric, found in asked
    ]
    return family_of(contrasts, [errors[metric.name] for metric, _ in asked])


def _tested(found: Tested[Labels]) -> dict[str, object]:
    low, high = found.estimate.interval()
    return {
        "estimate": found.estimate.mean,
        "low": low,
        "high": high,
        "p_value": found.p_value,
        "p_adjusted": found.p_adjusted,
        "error": found.error,
        "df": found.df,
        "adjustment": found.adjusted_by,
        "n": found.estimate.n,
        "sets": found.contrast.sets,
        "note": "; ".join(filter(None, (found.contrast.note, found.obstacle))),
    }


def _exact(results: Results, metric: Metric, found: Selection) -> dict[str, object]:
    values = exact_values(results, metric)
    made = exact_rule.difference(found, names_of(results), values, factors_of(results), metric.source)
    unknown = dict.fromkeys(("low", "high", "p_value", "p_adjusted", "df"), math.nan)
    texts = {"error": "", "adjustment": "", "note": made.note}
    return {"estimate": made.value, **unknown, **texts, "n": 1, "sets": made.sets}
