"""Columns that several tables share."""

from collections.abc import Callable, Iterator

import pandas as pd

from study.analysis.facts import TuningFacts
from study.analysis.short_keys import KEY_DIGITS
from study.design.metrics import Unit, unit_of
from study.report import error_wording
from study.report.tables.table import Column
from study.report.tables.values import json_value
from study.utils import formats


def accuracy(rows: pd.DataFrame) -> Column:
    """Mean test accuracy with its interval, from columns mean, low, high."""
    return Column.of("test accuracy, %", formats.percent_with, rows["mean"], rows["low"], rows["high"])


def item_interval(rows: pd.DataFrame) -> Iterator[Column]:
    """The interval over replicates and test images, if any row has one."""
    if rows["item_low"].notna().any():
        yield Column.of("for other images too, %", formats.percent_range, rows["item_low"], rows["item_high"])


def difference(rows: pd.DataFrame, title: str = "difference, points") -> Column:
    """A difference of accuracies with its interval, from columns difference, difference_low, difference_high."""
    return Column.of(title, formats.points_with, *difference_values(rows))


def difference_values(rows: pd.DataFrame) -> tuple["pd.Series[float]", ...]:
    """A difference and the ends of its interval."""
    return rows["difference"], rows["difference_low"], rows["difference_high"]


def p_values(rows: pd.DataFrame) -> Iterator[Column]:
    """Alone, and adjusted for the other rows."""
    yield Column.of("p", formats.p_value, rows["p_value"])
    yield Column.of("p, adjusted", formats.p_value, rows["p_adjusted"])


def error(rows: pd.DataFrame) -> Iterator[Column]:
    """The kind of error and its degrees of freedom, if rows differ in it."""
    if error_wording.is_mixed(rows):
        yield Column.text("error", [error_and_df(row) for _, row in rows.iterrows()])


def error_and_df(row: pd.Series) -> str:
    """As in: pooled, 12 df."""
    return f"{row['error']}, {formats.short(row['df'])} df" if row["error"] and row["df"] > 0 else formats.NONE


def note(rows: pd.DataFrame) -> Iterator[Column]:
    """The notes, if a row has one."""
    if rows["note"].str.len().any():
        yield Column.text("note", rows["note"])


def verdicts(rows: pd.DataFrame, write: Callable[[Unit, float, float, float], str]) -> Iterator[Column]:
    """Claim, verdict and difference; `write` formats a difference with its interval."""
    yield Column.text("claim", rows["claim"])
    yield Column.text("verdict", rows["verdict"])
    yield difference_in_unit(rows, write)


def difference_in_unit(
    rows: pd.DataFrame, write: Callable[[Unit, float, float, float], str] = Unit.signed_with
) -> Column:
    """A difference with its interval and the unit of its metric."""
    differences = zip(rows["metric"].map(unit_of), rows["estimate"], rows["low"], rows["high"], strict=True)
    return Column.of("difference", str, [_with_unit(unit, write(unit, *ends)) for unit, *ends in differences])


def _with_unit(unit: Unit, text: str) -> str:
    return text if text == formats.NONE else f"{text} {unit.name}"


def search_trials(rows: pd.DataFrame, facts: TuningFacts | None) -> Iterator[Column]:
    """Costs, accuracies and parameters of a search's trials."""
    yield Column.of("trial", str, rows["trial"])
    yield Column.of("parameters", formats.count, rows["params"])
    yield Column.of("multiply-adds", formats.short, rows["macs"])
    if facts is not None and "latency" in facts.objectives:
        yield Column.of("latency for one image, ms", formats.significant, rows["latency"])
    yield Column.of("validation accuracy, %", formats.percent, rows["val_accuracy"])
    yield Column.of("test accuracy, %", formats.percent, rows["test_accuracy"])
    for parameter in facts.parameters if facts is not None and facts.searches else ():
        yield Column.of(parameter.name, json_value, rows[parameter.name])
    yield Column.text("key", rows["key"].str[:KEY_DIGITS])
