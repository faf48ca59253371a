"""The report's tables, by name. A new one is a function here and a line in TABLES."""

import json
import math
from collections.abc import Callable, Iterable, Mapping

import pandas as pd

from study.analysis import factorial
from study.analysis.accuracy_intervals import any_cut, smallest_of_interest
from study.analysis.add_vs_remove import adding_and_removing
from study.analysis.cells import skewed
from study.analysis.effects import is_matched
from study.analysis.expert_load import loads
from study.analysis.facts import IMPORTANCE_METHODS
from study.analysis.findings import findings
from study.analysis.pretraining import pretraining
from study.analysis.results import Results
from study.analysis.search_front import searched
from study.analysis.tuned_values import EDGE, tuned
from study.analysis.units import Unit, unit_of
from study.design.factors import label_of
from study.report.design_notes import in_words
from study.report.mixed_provenance import short_commit
from study.report.reference_models import beside
from study.report.table import Column, Table
from study.utils import formats
from study.utils.text import points

MOST_LEFT_OUT = 10  # cells with the same reason that are told one by one
MOST_TOLD = 5  # cells named in a table's note
_NEEDED = (
    "Replicates that a finding names are those that would see a true difference of that size in its row four times in "
    "five, at the spread of this row and a two-sided level of 5 % for this comparison alone."
)
_TESTS = (
    "In brackets the 95 % interval, paired by replicate; p from the paired t-test, alone and corrected by Holm for all "
    "comparisons in the table. g is the standardised effect size, Hedges' g_av: the difference over the mean of both "
    f"sides' standard deviations, corrected for small n. {_NEEDED}"
)

_FITTED = (
    "No two cells, or few, differ in one factor alone, so this is the least-squares difference from the baseline's "
    "level, adjusted for the other factors; in brackets its 95 % interval from the error that all cells share, "
    f"replicates being blocks; p alone and corrected by Holm for all comparisons in the table. {_NEEDED}"
)


def cells(results: Results) -> Table:
    """The main table: size and accuracy of every cell."""
    rows = results.cells
    return Table(
        (
            Column.of("no.", str, rows["number"]),
            Column.text("cell", rows["cell"]),
            Column.of("parameters", formats.count, rows["params"]),
            Column.of("active", formats.count, rows["params_active"]),
            Column.of("multiply-adds", formats.short, rows["macs"]),
            Column.of("n", str, rows["n"]),
            _accuracy(rows),
            Column.of("against baseline, points", formats.points_with, *_difference(rows)),
            Column.text("Pareto front", ["yes" if front else "" for front in rows["front"]]),
        ),
        f"{results.facts.study}: size and test accuracy of every cell, with 95 % intervals. {_basis(rows)}",
        "cells.csv has them all",
    )


def device(results: Results) -> Table:
    """What each cell's model costs on a device."""
    rows = results.device
    kept = rows["fp32_accuracy"] - rows["int8_accuracy"] <= rows["tolerance"] + 1e-12
    tolerances = [points(value) for value in sorted(set(rows["tolerance"]))]
    return Table(
        (
            Column.text("cell", rows["cell"]),
            Column.of("float32 file", formats.megabytes, rows["fp32_bytes"]),
            Column.of("int8 file", formats.megabytes, rows["int8_bytes"]),
            Column.of("float32, ms", formats.significant, rows["fp32_ms"]),
            Column.of("int8, ms", formats.significant, rows["int8_ms"]),
            Column.of("float32 validation, %", formats.percent, rows["fp32_accuracy"]),
            Column.of("int8 validation, %", formats.percent, rows["int8_accuracy"]),
            Column.text("int8 keeps accuracy", ["yes" if keeps else "no" for keeps in kept]),
            Column.text("processor", rows["processor"]),
        ),
        f"Files and median milliseconds for one image on one core, of one replicate of each cell. int8 keeps its "
        f"accuracy where it loses at most {' or '.join(tolerances)} of validation accuracy.",
    )


def paper(results: Results) -> Table:
    """The main table for a paper: narrower, with half the width of each interval."""
    rows = results.cells
    return Table(
        (
            Column.text("cell", rows["cell"]),
            Column.of("params", formats.short, rows["params"]),
            Column.of("MACs", formats.short, rows["macs"]),
            Column.of("n", str, rows["n"]),
            Column.of("test accuracy, %", formats.percent_plus_minus, rows["mean"], rows["low"], rows["high"]),
            Column.of("difference, points", formats.points_plus_minus, *_difference(rows)),
        ),
        f"{results.facts.study}: parameters, multiply-adds, test accuracy and its difference from the baseline, with "
        f"half the width of 95 % intervals. {_basis(rows)}",
        "cells.csv has them all",
    )


def claims(results: Results) -> Table:
    """The verdict on every claim, with its numbers."""
    rows = results.verdicts
    return Table(
        (
            *_verdicts(rows, Unit.signed_with),
            Column.text("holds if", [holds(row) for _, row in rows.iterrows()]),
            Column.of("p, adjusted", formats.p_value, rows["p_adjusted"]),
            Column.of("n", str, rows["n"]),
            Column.of("sets", str, rows["sets"]),
            Column.text("note", rows["note"]),
        ),
        f"{results.facts.study}: verdicts on the claims written down before the run, with {interval_words(results)}, "
        f"{_adjusted(results)}; n: replicates; sets: matched sets of cells that are averaged over. The runs behind "
        "every verdict are listed in claim_runs.csv.",
    )


def paper_claims(results: Results) -> Table:
    """The verdicts for a paper: narrower, with half the width of each interval."""
    rows = results.verdicts
    return Table(
        (
            *_verdicts(rows, Unit.plus_minus),
            Column.text("holds if", [holds(row, with_unit=False) for _, row in rows.iterrows()]),
            Column.of("p", formats.p_value, rows["p_adjusted"]),
            Column.of("n", str, rows["n"]),
        ),
        f"{results.facts.study}: verdicts on claims written down before the run; differences of n replicates with half "
        f"the width of {interval_words(results)}, {_adjusted(results)}.",
    )


def _verdicts(rows: pd.DataFrame, write: Callable[[Unit, float, float, float], str]) -> Iterable[Column]:
    """What both tables of claims begin with; `write` writes a difference with its interval."""
    differences = zip(rows["metric"].map(unit_of), rows["estimate"], rows["low"], rows["high"], strict=True)
    yield Column.text("claim", rows["claim"])
    yield Column.text("verdict", rows["verdict"])
    yield Column.of("difference", str, [_with_unit(unit, write(unit, *ends)) for unit, *ends in differences])


def _adjusted(results: Results) -> str:
    looks = " and looks" if results.facts.replicates_until else ""
    return f"paired by replicate; p adjusted for all claims{looks}"


def holds(claim: pd.Series, with_unit: bool = True) -> str:
    """The true differences for which a claim holds, in words."""
    unit = unit_of(claim["metric"])
    name = f" {unit.name}" if with_unit else ""
    low, high = (unit.signed(claim[end]) for end in ("holds_above", "holds_below"))
    if math.isfinite(claim["holds_above"]) and math.isfinite(claim["holds_below"]):
        return f"{low} to {high}{name}" if claim["holds_between"] else f"under {low} or above {high}{name}"
    return f"above {low}{name}" if math.isfinite(claim["holds_above"]) else f"under {high}{name}"


def interval_words(results: Results) -> str:
    """What the intervals of claims are."""
    levels = sorted({100 * level for level in results.verdicts["level"]})
    if levels and levels[-1] > 95 + 1e-9:
        span = " to ".join(dict.fromkeys((f"{levels[0]:.4g}", f"{levels[-1]:.4g}")))
        return f"{span} % intervals (every look spends a share of 5 %)"
    return "95 % intervals"


def _with_unit(unit: Unit, text: str) -> str:
    return text if text == formats.NONE else f"{text} {unit.name}"


def effects(results: Results) -> Table:
    """Every level against the baseline's."""
    rows, matched = results.effects, is_matched(results.facts)
    return Table(
        (
            Column.text("factor", rows["factor"]),
            Column.text("level", rows["level"]),
            Column.text("against", rows["baseline"]),
            Column.of("n", str, rows["n"]),
            *_combinations(rows, "combinations" if matched else "cells"),
            Column.of("difference, points", formats.points_with, rows["difference"], rows["low"], rows["high"]),
            Column.of("p", formats.p_value, rows["p_value"]),
            Column.of("p, Holm", formats.p_value, rows["p_adjusted"]),
            *([Column.of("g", formats.hundredths, rows["effect_size"])] if matched else []),
            Column.text("finding", findings(rows, smallest_of_interest(results.facts))),
            *([Column.text("note", rows["note"])] if rows["note"].str.len().any() else []),
        ),
        f"Change of test accuracy at each level in percentage points. {_TESTS if matched else _FITTED}",
        "figures/effects.csv has them all",
    )


def comparisons(results: Results) -> Table:
    """Every cell against the baseline, paired by replicate."""
    rows = results.cells.iloc[1:]
    names = {"pairs": "n", "difference_low": "low", "difference_high": "high", "difference_sd": "sd"}
    tested = rows.drop(columns=["n", "low", "high", "sd"]).rename(columns=names)
    return Table(
        (
            Column.text("cell", rows["cell"]),
            Column.of("n", str, rows["pairs"]),
            Column.of("difference, points", formats.points_with, *_difference(rows)),
            Column.of("p", formats.p_value, rows["p_value"]),
            Column.of("p, Holm", formats.p_value, rows["p_adjusted"]),
            Column.of("g", formats.hundredths, rows["effect_size"]),
            Column.text("finding", findings(tested, smallest_of_interest(results.facts))),
        ),
        f"Test accuracy of every cell less the baseline's, in percentage points. {_TESTS}",
        "cells.csv has them all",
    )


def anova(results: Results) -> Table:
    """What each factor and interaction explains."""
    rows, aliased = factorial.anova(results), factorial.aliases(results.facts)
    notes = [_aliased(row, aliased) for _, row in rows.iterrows()]
    return Table(
        (
            Column.text("term", [_term(row) for _, row in rows.iterrows()]),
            Column.of("df", formats.count, rows["df"]),
            Column.of("sum of squares, points²", formats.significant, 1e4 * rows["ss"]),
            Column.of("share of variance, %", formats.percent, rows["eta_squared"]),
            Column.of("share beyond chance, %", formats.percent, rows["omega_squared"]),
            Column.of("F", formats.significant, rows["f"]),
            Column.of("p", formats.p_value, rows["p_value"]),
            Column.of("p, Holm", formats.p_value, rows["p_adjusted"]),
            *([Column.text("note", notes)] if any(notes) else []),
        ),
        "Analysis of variance of test accuracy: sums of squares of type II, replicates as blocks, F against the error "
        "within cells, p alone and corrected by Holm for all factors and interactions. Shares are of the variance "
        "between trials, replicates aside (eta squared), and the same less what chance alone would give (omega "
        f"squared). {_notes(results)}".rstrip(),
    )


def adding(results: Results) -> Table:
    """Each part's worth in the full and in the bare model."""
    rows = adding_and_removing(results)
    return Table(
        (
            Column.text("part", rows["part"]),
            Column.text("levels", map("{} against {}".format, rows["with"], rows["without"])),
            Column.of("n", str, rows["n"]),
            Column.of("in the full model, points", formats.points_with, *_gain(rows, "full")),
            Column.of("in the bare model, points", formats.points_with, *_gain(rows, "bare")),
            Column.of("full less bare, points", formats.points_with, rows["difference"], rows["low"], rows["high"]),
            Column.of("p", formats.p_value, rows["p_value"]),
            Column.of("p, Holm", formats.p_value, rows["p_adjusted"]),
            Column.text("finding", findings(rows, smallest_of_interest(results.facts))),
        ),
        "What each part is worth: the full model less the same without it, and the bare model with it less the bare "
        "model, in percentage points of test accuracy. Their difference is the part's interaction with the other parts "
        "together; p is of that, from the paired t-test, alone and corrected by Holm for all parts, and the finding "
        f"too. In brackets 95 % intervals, paired by replicate. {_NEEDED}",
    )


def with_and_without(results: Results) -> Table:
    """Cells that differ in their pre-training alone."""
    rows = pretraining(results)
    return Table(
        (
            Column.text("set", rows["group"]),
            Column.text("pre-training", rows["kind"]),
            Column.text("pre-trained on", [name or formats.NONE for name in rows["pretrain_dataset"]]),
            Column.text("fine-tuned on", rows["finetune_dataset"]),
            Column.text("cell", rows["cell"]),
            Column.of("n", str, rows["n"]),
            _accuracy(rows),
            Column.of("difference, points", formats.points_with, *_difference(rows)),
        ),
        "Cells that differ in their pre-training alone, by sets; differences are from the first cell of the set.",
    )


def tuning(results: Results) -> Table:
    """What tuning chose for each cell."""
    rows, facts = tuned(results), results.facts.tuning
    names = [parameter.name for parameter in facts.parameters] if facts else []
    return Table(
        (
            Column.text("cell", rows["cell"]),
            Column.of("trials", str, [f"{row.ended}/{row.budget}" for row in rows.itertuples()]),
            *([Column.of("failed", str, rows["failed"])] if rows["failed"].any() else []),
            Column.of("validation, %", formats.percent, rows["val_accuracy"]),
            *(Column.of(name, str, [_tuned_value(values.get(name)) for values in rows["values"]]) for name in names),
            Column.text("on an edge", [", ".join(edges) for edges in rows["edges"]]),
        ),
        f"Best values of every cell, chosen on validation data among {facts.budget if facts else 0} trials each. An "
        f"edge is the outermost {100 * EDGE:.0f} % of a range beyond which the field could still go.",
        "tuning.csv has them all",
    )


def search(results: Results) -> Table:
    """The Pareto front of a search."""
    rows = searched(results)
    caption = "The Pareto front, the cheapest first. Chosen on validation data; test accuracy, of one run each, is only"
    return _searched(results, rows[rows["on_front"]], f"{caption} reported.")


def search_trials(results: Results) -> Table:
    """Every finished trial of a search."""
    return _searched(results, searched(results), "Every finished trial, the cheapest first.")


def _searched(results: Results, rows: pd.DataFrame, caption: str) -> Table:
    facts = results.facts.tuning
    names = [parameter.name for parameter in facts.parameters] if facts and facts.searches else []
    latency = facts is not None and "latency" in facts.objectives
    return Table(
        (
            Column.of("trial", str, rows["trial"]),
            Column.of("parameters", formats.count, rows["params"]),
            Column.of("multiply-adds", formats.short, rows["macs"]),
            *([Column.of("ms for one image", formats.significant, rows["latency"])] if latency else []),
            Column.of("validation, %", formats.percent, rows["val_accuracy"]),
            Column.of("test, %", formats.percent, rows["test_accuracy"]),
            *(Column.of(name, str, [_written_value(text) for text in rows[name]]) for name in names),
            Column.text("key", rows["key"].str[:12]),
        ),
        caption,
        "tuning.csv has them all",
    )


def _written_value(text: str) -> str:
    return _tuned_value(json.loads(text) if text else None)


def importances(results: Results) -> Table:
    """Which parameters of a search matter."""
    found = results.facts.tuning.importances if results.facts.tuning else {}
    rows = [
        (objective, name, *(methods.get(method, {}).get(name, math.nan) for method in IMPORTANCE_METHODS))
        for objective, methods in found.items()
        for name in dict.fromkeys(name for shares in methods.values() for name in shares)
    ]
    return Table(
        (
            Column.text("objective", [row[0] for row in rows]),
            Column.text("parameter", [row[1] for row in rows]),
            *(
                Column.of(f"{title}, %", formats.percent, [row[2 + i] for row in rows])
                for i, title in enumerate(IMPORTANCE_METHODS.values())
            ),
        ),
        "Shares of an objective's variation that each parameter brings about: fANOVA over the whole space; PED-ANOVA, "
        "which asks what separates the best tenth of the trials from the rest, as a cross-check: with few trials that "
        "is one or two of them.",
    )


def _tuned_value(value: object) -> str:
    return formats.NONE if value is None else f"{value:.3g}" if isinstance(value, float) else label_of(value)


def expert_load(results: Results) -> Table:
    """How evenly tokens are spread over experts."""
    rows = loads(results)
    return Table(
        (
            Column.text("cell", rows["cell"]),
            Column.of("n", str, rows["n"]),
            Column.of("blocks with experts", str, rows["blocks"]),
            Column.of("variation, mean", formats.significant, rows["variation"]),
            Column.of("variation, worst block", formats.significant, rows["worst"]),
            Column.text("which block", rows["worst_block"]),
            Column.of("busiest expert", formats.significant, rows["busiest"]),
            Column.of("idle experts", formats.significant, rows["idle"]),
        ),
        "Evenness of expert load, means over replicates. Variation is the coefficient of variation of the shares in a "
        "block (0 is even); the busiest expert is given in even shares; an idle one gets less than a tenth of one.",
        "figures/expert_load.csv has every expert of all cells",
    )


def references(results: Results) -> Table:
    """Published points for the data set at hand."""
    rows = beside(results.facts)
    return Table(
        (
            Column.text("model", rows["model"]),
            Column.text("family", rows["family"]),
            Column.of("parameters, M", formats.significant, rows["params_m"]),
            Column.of("top-1, %", formats.significant, rows["top1"], [4] * len(rows)),
            Column.text("epochs", ["" if pd.isna(epochs) else f"{epochs:.0f}" for epochs in rows["epochs"]]),
            Column.text("training", rows["training"]),
            Column.text("source", rows["source"]),
        ),
        "Published results, as their sources give them. Not run here; recipes and image sizes differ.",
    )


def unfinished(results: Results) -> Table:
    """What failed, is missing, or was left out, and why."""
    rows = _gathered(results.trials[results.trials["status"] != "done"])
    return Table(
        (
            Column.text("cell", rows["cell"]),
            Column.of("replicate", formats.count, rows["replicate"]),
            Column.text("status", rows["status"]),
            Column.text("reason", rows["reason"]),
        ),
        "Trials without a result, and cells left out by design.",
        "results.csv has them all",
    )


def _gathered(rows: pd.DataFrame) -> pd.DataFrame:
    """Where many cells are left out for the same reason: a row for all of them."""
    excluded = rows["status"] == "excluded"
    shares = rows["reason"].where(excluded).map(rows["reason"][excluded].value_counts()).fillna(0)
    many = rows[shares > MOST_LEFT_OUT]
    first = many.drop_duplicates("reason")
    counts = shares[first.index]
    names = [f"{count:,.0f} cells, the first {cell}" for count, cell in zip(counts, first["cell"], strict=True)]
    return pd.concat([rows[shares <= MOST_LEFT_OUT], first.assign(cell=names)])


def aliases(results: Results) -> Table:
    """Effects that a fractional design cannot tell apart."""
    found = results.facts.aliases
    chains, letters = (found.aliased, found.letters) if found else ((), {})
    return Table(
        (Column.text("aliases", chains), Column.text("in words", [in_words(chain, letters) for chain in chains])),
        "Main effects and two-factor interactions that are aliases: an estimate is of their sum, with these signs.",
    )


def trials(results: Results) -> Table:
    """Every trial; its key leads to its files in the store, its run to MLflow."""
    rows = results.trials[results.trials["status"] != "excluded"]
    columns = [
        Column.text("cell", rows["cell"]),
        Column.of("replicate", formats.count, rows["replicate"]),
        Column.text("status", rows["status"]),
        Column.of("test, %", formats.percent, rows["test_accuracy"]),
        Column.of("validation, %", formats.percent, rows["val_accuracy"]),
        Column.of("trained for", formats.duration, rows["train_seconds"]),
        Column.of("pre-trained for", formats.duration, rows["pretrain_seconds"]),
        Column.text("key", rows["key"].str[:12]),
        Column.text("pre-training", rows["pretrain_key"].str[:12]),
        Column.text("run", rows["run_id"].str[:8]),
    ]
    if rows["commit"].nunique() > 1:
        columns.append(Column.text("commit", [short_commit(commit) for commit in rows["commit"]]))
    kept = [column for column in columns if any(text not in ("", formats.NONE) for text in column.values)]
    return Table(tuple(kept), "Every trial. Full keys, runs and levels are in results.csv.", "results.csv has them all")


def origins(results: Results) -> Table:
    """What ran where, from which commit."""
    rows = results.facts.origins
    several = len(rows) > 1
    return Table(
        (
            Column.text("commit", [short_commit(row.commit) for row in rows]),
            Column.text("device", [row.device for row in rows]),
            Column.text("system", [row.platform for row in rows]),
            Column.text("threads", [formats.NONE if row.threads is None else row.threads for row in rows]),
            Column.of("stages", formats.count, [row.stages for row in rows]),
            Column.of("training time", formats.duration, [row.seconds for row in rows]),
            Column.text("from (UTC)", [_minute(row.first) for row in rows]),
            Column.text("to (UTC)", [_minute(row.last) for row in rows]),
            Column.text("versions", [_versions(row.versions) for row in rows]),
            *([Column.text("cells", [_some(row.cells) for row in rows])] if several else []),
        ),
        "Finished stages by the code, device and versions they were run with.",
    )


TABLES: Mapping[str, Callable[[Results], Table]] = {
    "claims": claims,
    "cells": cells,
    "device": device,
    "effects": effects,
    "comparisons": comparisons,
    "anova": anova,
    "adding": adding,
    "pretraining": with_and_without,
    "expert_load": expert_load,
    "tuning": tuning,
    "search": search,
    "search_trials": search_trials,
    "importances": importances,
    "references": references,
    "unfinished": unfinished,
    "aliases": aliases,
    "trials": trials,
    "origins": origins,
}


def _basis(rows: pd.DataFrame) -> str:
    counts = sorted({int(n) for n in rows["n"]})
    if counts == [0]:
        return "No trial has finished yet."
    if counts == [1]:
        return "One replicate (n = 1), so there are no intervals."
    span = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    notes = [f"Means of n = {span} replicates; differences are paired by replicate."]
    if any_cut(rows["low"], rows["high"]):
        notes.append("Intervals are cut at 0 and 100 %, beyond which no accuracy lies.")
    if len(unlike := skewed(rows)):
        told = [f"{row['cell']} ({_bootstrap(row)})" for _, row in unlike.head(MOST_TOLD).iterrows()]
        more = f"; and {len(unlike) - MOST_TOLD} more, see cells.csv" if len(unlike) > MOST_TOLD else ""
        notes.append(
            "A bootstrap (BCa) gives clearly other intervals, a sign of skewed results or outliers, for: "
            f"{'; '.join(told)}{more}."
        )
    return " ".join(notes)


def in_latex(results: Results) -> dict[str, Table]:
    """The tables that a paper may want besides the main one, by name, of those that this study has."""
    found = {"comparisons": comparisons(results), "effects": effects(results)}
    found |= {"anova": anova(results)} if factorial.is_factorial(results.facts) else {}
    found |= {"adding": adding(results)}
    return {name: table for name, table in found.items() if table.rows}


def _term(row: pd.Series) -> str:
    return {"replicate": "replicates", "error": "chance (error)"}.get(row["kind"], str(row["term"]))


def _aliased(row: pd.Series, aliased: Mapping[str, str]) -> str:
    """What stands in the way of a term, by the design's own alias table where it has one."""
    if row["df"] == 0 and row["term"] in aliased:
        return f"aliased with {aliased[row['term']]}"
    return str(row["note"])


def _notes(results: Results) -> str:
    """What the fit says of itself, as sentences."""
    notes = results.fit.notes if factorial.is_factorial(results.facts) else ()
    return " ".join(f"{note[0].upper()}{note[1:]}." for note in notes)


def _gain(rows: pd.DataFrame, end: str) -> tuple["pd.Series[float]", ...]:
    return rows[f"{end}_gain"], rows[f"{end}_low"], rows[f"{end}_high"]


def _accuracy(rows: pd.DataFrame) -> Column:
    return Column.of("test accuracy, %", formats.percent_with, rows["mean"], rows["low"], rows["high"])


def _difference(rows: pd.DataFrame) -> tuple["pd.Series[float]", ...]:
    return rows["difference"], rows["difference_low"], rows["difference_high"]


def _combinations(rows: pd.DataFrame, title: str) -> Iterable[Column]:
    if (rows["combinations"] > 1).any():
        yield Column.of(title, str, rows["combinations"])


def _bootstrap(row: pd.Series) -> str:
    return f"{formats.percent(row['bootstrap_low'])} to {formats.percent(row['bootstrap_high'])}"


def _minute(time: str) -> str:
    return time[:16].replace("T", " ")


def _versions(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {versions[name]}" for name in sorted(versions, key=lambda name: (name != "python", name)))


def _some(names: tuple[str, ...], most: int = 5) -> str:
    return "; ".join(names[:most]) + (f"; and {len(names) - most} more" if len(names) > most else "")
