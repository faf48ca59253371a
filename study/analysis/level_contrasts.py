"""The contrasts that a grid asks for under `compare`: estimates with intervals, without verdicts."""

import math

import pandas as pd

from study.analysis.exact_values import exact_values, names_of
from study.analysis.results import Results
from study.analysis.stats import exact_rule
from study.analysis.stats.adjust import holm
from study.analysis.stats.contrasts import contrast, results_by_cell
from study.analysis.stats.failed import failed_by_cell
from study.analysis.validation_bias import marked
from study.analysis.verdicts import factors_of
from study.design.claim_wording import contrasted
from study.design.comparison import Selection, select_contrast
from study.design.metrics import Metric, metric_of

COLUMNS = ["number", "contrast", "metric", "unit", "source", "estimate", "low", "high", "p_value", "p_adjusted", "n",
           "sets", "note"]  # fmt: skip


def level_contrasts(results: Results) -> pd.DataFrame:
    """One row per contrast: the difference in the metric's own unit, and its 95 % interval, for this contrast alone.

    p_value and p_adjusted are of the two-sided test that the difference is 0; the latter is Holm-adjusted over the
    contrasts with a test. Claims are a family of their own. Exact numbers have neither interval nor test.
    """
    rows = []
    for number, spec in enumerate(results.facts.compare, start=1):
        metric, found = metric_of(spec.metric), select_contrast(spec, factors_of(results))
        row = _tested(results, metric, found) if metric.by_replicate else _exact(results, metric, found)
        named = {"number": number, "contrast": contrasted(found), "metric": metric.name, "unit": metric.unit.name}
        marks = {"note": marked(results.facts, metric.name, str(row["note"]))}
        rows.append({**named, "source": str(metric.source), **row, **marks})
    table = pd.DataFrame(rows, columns=[name for name in COLUMNS if name != "p_adjusted"])
    tested = table["p_value"].notna()
    return table.assign(p_adjusted=_adjusted(table.loc[tested, "p_value"]).reindex(table.index))[COLUMNS]


def _adjusted(p_values: "pd.Series[float]") -> "pd.Series[float]":
    return pd.Series(holm(p_values.to_numpy(dtype=float)) if len(p_values) else [], p_values.index, dtype=float)


def _tested(results: Results, metric: Metric, found: Selection) -> dict[str, object]:
    factors, rule = factors_of(results), results.facts.failures
    values = results_by_cell(results.counted, factors, metric.name)
    made = contrast(found, values, factors, failed_by_cell(results.trials, factors), rule)
    estimate = made.estimate()
    low, high = estimate.interval()
    p_value = estimate.p_value() if estimate.error > 0 and not made.obstacle else math.nan
    numbers = {"estimate": estimate.mean, "low": low, "high": high, "p_value": p_value}
    return {**numbers, "n": estimate.n, "sets": made.sets, "note": made.note}


def _exact(results: Results, metric: Metric, found: Selection) -> dict[str, object]:
    values = exact_values(results, metric)
    made = exact_rule.difference(found, names_of(results), values, factors_of(results), metric.source)
    nan = math.nan
    numbers = {"estimate": made.value, "low": nan, "high": nan, "p_value": nan}
    return {**numbers, "n": 1, "sets": made.sets, "note": made.note}
