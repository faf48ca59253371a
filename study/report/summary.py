"""The findings of a study in plain sentences with numbers: first in the report, and printed by the command line."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import pandas as pd

from study.analysis.accuracy_intervals import named_margin, smallest_of_interest
from study.analysis.analysis import Analysis
from study.analysis.budgets import differences
from study.analysis.failures import attempt
from study.analysis.findings import ALPHA, NOT_TESTED, SMALLER, count_sizes, in_words, no_interval
from study.analysis.pretraining import SCRATCH
from study.analysis.stats.error_choice import UNEQUAL
from study.analysis.tuned_values import edge_sentences
from study.design.metrics import Source, unit_of
from study.planning.other_data import OTHER_DATA
from study.report import (
    claim_wording,
    data_set_findings,
    error_wording,
    failed_trials,
    fit_sentences,
    outlying_runs,
    precision,
    replication,
)
from study.report.answer import Answer
from study.report.mixed_provenance import mixture
from study.report.tables import captions
from study.utils import formats
from study.utils.formats import PERCENT
from study.utils.text import plural, points

INTERVALS_AFTER_STOPPING = (
    "The 95 % intervals of cells, effects and comparisons allow for a fixed number of replicates only, so their "
    "coverage is not exactly 95 %; those of the claims allow for the looks."
)
DOUBT = " Results are skewed and equal spread is not accepted, so the 5 % limit of false verdicts may not hold."
MOST = 6  # levels, cells or interactions listed one by one


def answers(analysis: Analysis) -> list[Answer]:
    """All findings, in the order of `FINDINGS`. One that raises is replaced by the reason."""
    if analysis.results.done.empty:
        return [Answer("No result yet", f"none of the {_requested(analysis)} has finished.")]
    found: list[Answer] = []
    for name, finding in FINDINGS.items():
        failures: list[str] = []
        found += attempt(failures, f"The finding '{name}' could not be computed", _listed, finding, analysis) or ()
        found += [Answer("Not computed", sentence, failed=True) for sentence in failures]
    return found


def _listed(finding: Callable[[Analysis], Iterator[Answer]], analysis: Analysis) -> list[Answer]:
    return list(finding(analysis))


def _mixed_provenance(analysis: Analysis) -> Iterator[Answer]:
    """The first finding, since it concerns all numbers that follow."""
    if found := list(mixture(analysis.facts)):
        yield Answer("Mixed provenance", f"{' '.join(found)} Differences between cells may be due to this.")


def _replication(analysis: Analysis) -> Iterator[Answer]:
    """Whether the verdicts of the replicated study held."""
    if text := replication.sentence(analysis):
        yield Answer("Replication", text)


def _search(analysis: Analysis) -> Iterator[Answer]:
    found, facts = analysis.search, analysis.facts.tuning
    if facts is None or not facts.searches:
        return
    front = found[found["on_front"]]
    trials = [
        f"trial {row['trial']} ({formats.short(row['params'])} parameters, validation accuracy "
        f"{formats.percent(row['val_accuracy'])}{PERCENT}, test accuracy "
        f"{formats.percent(row['test_accuracy'])}{PERCENT})"
        for _, row in front.head(MOST).iterrows()
    ]
    tuning = analysis.results.tuning
    stopped = int((tuning["status"] == "stopped").sum())
    early = f" and {stopped} stopped early" if stopped else ""
    failed = tuning[tuning["status"] == "failed"]
    lost = f", {len(failed)} failed (the first: {failed['reason'].iloc[0]})" if len(failed) else ""
    what = f"on the Pareto front of {' and '.join(facts.objectives)}" if len(facts.objectives) > 1 else "the best"
    biased = " As the best of many, their validation accuracies are too high by chance." if trials else ""
    yield Answer(
        "Search",
        f"{len(found)} of {plural(facts.budget, 'trial')} finished{early}{lost}; {what}, selected on validation data: "
        f"{'; '.join(trials) or 'none yet'}{_more(len(front))}.{biased}",
    )


def _claims(analysis: Analysis) -> Iterator[Answer]:
    """The verdict on every claim, with its numbers, and why it is undecided."""
    unequal = differences(analysis.budgets)
    for _, row in analysis.verdicts.iterrows():
        text = f"{row['verdict']}."
        if not pd.isna(row["estimate"]):
            text = (
                f"{row['verdict']}; the difference is {_estimate(row)}, and the claim holds if it is "
                f"{claim_wording.region(row)}."
            )
        name = f"\N{LEFT DOUBLE QUOTATION MARK}{row['claim']}\N{RIGHT DOUBLE QUOTATION MARK}"
        note = f" {row['note'][0].upper()}{row['note'][1:]}." if row["note"] else ""
        given = f" The two sides were not given the same: {differ}." if (differ := unequal.get(row["number"])) else ""
        doubt = DOUBT if row["condition"] == UNEQUAL and row["verdict"] != "undecided" else ""
        yield Answer(f"Claim {name}", f"{text}{note}{doubt}{given}")


def _estimate(row: pd.Series) -> str:
    unit = unit_of(row["metric"])
    text = f"{unit.signed(row['estimate'])} {unit.name}"
    if row["source"] != Source.TRIALS:
        return f"{text} (exact)" if row["source"] == Source.SETTINGS else text
    if not row["low"] < row["high"]:
        return f"{text} (n = {row['n']})"
    interval = f"{unit.signed(row['low'])} to {unit.signed(row['high'])}"
    if pd.isna(row["p_adjusted"]):
        return f"{text} ({interval}, n = {row['n']}, not tested)"
    p_value = formats.p_value(row["p_adjusted"])
    return f"{text} ({interval}, n = {row['n']}, adjusted p {p_value if p_value[0] == '<' else f'= {p_value}'})"


def _after_results(analysis: Analysis) -> Iterator[Answer]:
    """What it cost that claims or replicates were changed after results."""
    if found := analysis.registration_cost:
        yield Answer("Changed after results", " ".join(found))


def _looks(analysis: Analysis) -> Iterator[Answer]:
    """The looks (interim analyses) of a study with adaptive replicates, and the replicates of its cells."""
    if not analysis.looks:
        return
    made = [f"{look.replicates}" for look in analysis.looks if look.index >= 0]
    after = f"after {' and '.join(made)} {'replicate' if made == ['1'] else 'replicates'}"
    if not made:
        after = f"the first is after {plural(analysis.facts.look_schedule[0], 'replicate')}"
    trials = analysis.results.trials
    by_cell = trials[trials["status"] != "excluded"].groupby("cell")["replicate"].max()
    counts = sorted(Counter(by_cell.astype(int).tolist()).items())
    cells = "; ".join(f"{plural(count, 'cell')} with {plural(replicates, 'replicate')}" for replicates, count in counts)
    text = f"added until claims are decided; {plural(len(made), 'look')}, {after}; {cells}. {INTERVALS_AFTER_STOPPING}"
    yield Answer("Replicates", text)


def _baseline(analysis: Analysis) -> Iterator[Answer]:
    row = analysis.cells.iloc[0]
    if row["n"] == 0:
        yield Answer("Baseline", "none of its trials has finished, so nothing can be compared with it.")
        return
    sizes = f"{formats.short(row['params'])} parameters and {formats.short(row['macs'])} multiply-adds"
    yield Answer("Baseline", f"{_mean(row)} test accuracy with {sizes}.")


def _mean(row: pd.Series) -> str:
    mean = f"{formats.percent(row['mean'])}{PERCENT}"
    if row["n"] == 1:
        return f"{mean} (n = 1, so no interval)"
    if row["low"] == row["high"]:
        other = f"; 95{PERCENT} interval {_over_images(row)}" if _over_images(row) else ""
        return f"{mean} (in each of {row['n']} replicates{other})"  # never one
    interval = formats.percent_range(row["low"], row["high"])
    if _over_images(row).startswith(f"{interval} "):
        other = ", not wider over replicates and test images"
    else:
        other = f" over replicates, {_over_images(row)}" if _over_images(row) else ""
    return f"{mean} (95{PERCENT} interval {interval}{other}, n = {row['n']})"


def _over_images(row: pd.Series) -> str:
    """The interval that also covers the choice of the test images; empty if it is not known."""
    if pd.isna(row["item_low"]):
        return ""
    return f"{formats.percent_range(row['item_low'], row['item_high'])} over replicates and test images"


def _changes(analysis: Analysis) -> Iterator[Answer]:
    """How many changes are distinguishable from the baseline, after the correction, and how many exceed the margin."""
    if analysis.facts.tuning is not None and analysis.facts.tuning.searches:  # no cells to compare
        return
    compared = analysis.effects[analysis.effects["n"] > 0]
    lost = int(((analysis.effects["n"] == 0) & (analysis.effects["note"] != "")).sum())
    about = "Distinguishable changes"
    if analysis.effects.empty and analysis.data_sets is not None:
        yield Answer(about, "none: the cells differ in their data set only, and are not compared across data sets.")
    elif compared.empty:
        yield Answer(about, f"no change is {NOT_TESTED.removeprefix('not ') if lost else 'compared yet'}.")
    elif compared["low"].isna().all() and (compared["n"] > 1).any():
        yield Answer(about, "no estimate of the error, so no change can be distinguished from chance.")
    elif compared["low"].isna().all():
        yield Answer(about, "one replicate each, so no interval: no change can be distinguished from chance.")
    else:
        yield Answer(about, " ".join(_counted(compared, lost, named_margin(analysis.facts))))


def _counted(compared: pd.DataFrame, lost: int, margin: str) -> Iterator[str]:
    """Untested changes first, `lost` of them without a difference; then the others, and their size by the margin."""
    tested = compared["p_adjusted"].notna() | ~(compared["low"] < compared["high"])
    if untested := lost + int((~tested).sum()):
        yield f"{plural(untested, 'change')} {'is' if untested == 1 else 'are'} {NOT_TESTED}."
        compared = compared[tested]
        if compared.empty:
            return
    clear, others = compared[compared["distinguishable"]], compared[~compared["distinguishable"]]
    where = f": {', '.join(clear['factor'].unique())}" if len(clear) else ""
    yield (
        f"{formats.subject(len(clear), len(compared), 'change')} distinguishable from the baseline after the "
        f"correction for all comparisons{where}."
    )
    if sizes := count_sizes(clear["size"].tolist()):
        yield f"Compared with {margin}: {sizes}."
    if within := int((others["size"] == SMALLER).sum()):
        yield f"Not distinguishable and smaller than {margin if clear.empty else 'that'}: {plural(within, 'change')}."
    names = [name for name in compared["factor"].unique() if name not in set(clear["factor"])]
    if names and len(clear):
        yield f"Not distinguishable at any level: {', '.join(names)}."


def _factors(analysis: Analysis) -> Iterator[Answer]:
    for name, levels in analysis.effects.groupby("factor", sort=False):
        yield _factor(name, levels, analysis.is_matched, points(analysis.margin))


def _factor(name: object, levels: pd.DataFrame, matched: bool, margin: str) -> Answer:
    """A factor's levels, the clearest first."""
    order = levels.assign(extent=levels["difference"].abs()).sort_values(
        ["distinguishable", "extent"], ascending=False, kind="stable"
    )
    listed = "; ".join(_level(row, margin) for _, row in order.head(MOST).iterrows())
    more = f"; {len(order) - MOST} more in the table of effects" if len(order) > MOST else ""
    counts = sorted({int(number) for number in levels["combinations"] if number})
    averaged = " or ".join(str(number) for number in counts)  # exclusions leave some levels fewer
    over = f"averaged over {averaged} combinations of the other factors: " if counts and counts[-1] > 1 else ""
    over = over if matched else "adjusted for the other factors: "
    return Answer(str(name), f"{over}{listed}{more}.")


def _level(row: pd.Series, margin: str) -> str:
    change = f"{row['level']} instead of {row['baseline']}"
    if row["n"] == 0:
        return f"{change} is {NOT_TESTED if row['note'] else 'not compared yet'}"
    change = f"{change} changes accuracy by {formats.points(row['difference'])} points"
    if pd.isna(row["low"]):
        return f"{change} ({no_interval(row['n'])})"
    if row["low"] == row["high"]:
        return f"{change} (in each of {row['n']} replicates, so no test)"  # never one
    interval = f"{formats.points(row['low'])} to {formats.points(row['high'])}, n = {row['n']}"
    return f"{change} ({interval}), {in_words(row, margin)}"


def _variance(analysis: Analysis) -> Iterator[Answer]:
    """The shares of variance, and which factors interact."""
    table = analysis.anova
    tested = table[table["kind"].isin(["main", "interaction"]) & (table["df"] > 0)]
    if tested.empty or tested["p_adjusted"].isna().all():
        return
    ranked = tested.sort_values("eta_squared", ascending=False, kind="stable")
    shares = [f"{row['term']} {formats.percent(row['eta_squared'])}{PERCENT}" for _, row in ranked.iterrows()]
    chance = table.loc[table["kind"] == "error", "eta_squared"].iloc[0]
    several = analysis.data_sets
    hard = f" The share of {several.factor} includes how hard each data set is." if several else ""
    yield Answer("Shares of variance", f"{', '.join(shares[:MOST])}; chance {formats.percent(chance)}{PERCENT}.{hard}")
    pairs = ranked[ranked["kind"] == "interaction"]
    if pairs.empty:
        return
    clear = pairs[pairs["p_adjusted"] < ALPHA]
    terms = [f"{row['term']} (p {formats.p_value(row['p_adjusted'])})" for _, row in clear.head(MOST).iterrows()]
    found = f": {', '.join(terms)}; the effect of one factor depends on the other" if terms else ""
    which = formats.subject(len(clear), len(pairs), "two-factor interaction")
    yield Answer("Interactions", f"{which} distinguishable from chance after Holm's correction{found}.")


def _fit_error(analysis: Analysis) -> Iterator[Answer]:
    """Which error main effects were tested with, and whether its assumptions held."""
    for text in fit_sentences.answer(analysis):
        yield Answer("Assumptions of the fit", text)


def _add_vs_remove(analysis: Analysis) -> Iterator[Answer]:
    """Parts with different worth in the full and in the bare model."""
    parts = analysis.add_vs_remove
    tested = parts[parts["p_adjusted"].notna()]
    if tested.empty:
        return
    differ = tested[tested["p_adjusted"] < ALPHA]
    sentences = [
        f"{row['part']} is worth {formats.points(row['full_gain'])} points in the full model and "
        f"{formats.points(row['bare_gain'])} in the bare one (difference {formats.points(row['difference'])}, p "
        f"{formats.p_value(row['p_adjusted'])} after the correction for all parts; "
        f"{in_words(row, points(analysis.margin))})"
        for _, row in differ.iterrows()
    ]
    others = [name for name in tested["part"] if name not in set(differ["part"])]
    if others:
        sentences.append(f"adding and removing are not distinguishably different for {', '.join(others)}")
    interacts = " A part with different worth interacts with the other parts." if len(differ) else ""
    yield Answer("Adding versus removing", f"{'; '.join(sentences)}.{interacts}")


def _pretraining(analysis: Analysis) -> Iterator[Answer]:
    """Averages over several sets of cells; a single set is already covered by the factors."""
    table = analysis.pretraining
    if table["group"].nunique() < 2:
        return
    scratch = {row["cell"] for _, row in table.iterrows() if row["kind"] == SCRATCH}
    compared = table[(table["pairs"] > 0) & (table["reference"] != table["cell"]) & table["reference"].isin(scratch)]
    for kind, rows in compared.groupby("kind", sort=False):
        yield Answer(
            "Transfer" if kind == "transfer" else "Pre-training on the same data",
            f"{formats.points(rows['difference'].mean())} points compared with training from scratch on average; "
            f"{_tested_pretraining(rows)}.",
        )


def _tested_pretraining(rows: pd.DataFrame) -> str:
    """How many comparisons of pre-training with training from scratch are distinguishable, of those with a test."""
    tested, clear = rows[rows["p_adjusted"].notna()], rows[rows["p_adjusted"] < ALPHA]
    if tested.empty:
        return "none of these comparisons has a test"
    better, worse = int((clear["difference"] > 0).sum()), int((clear["difference"] < 0).sum())
    noun = "comparison" if len(tested) == len(rows) else "tested comparison"
    return (
        f"distinguishably better in {better} and worse in {worse} of {plural(len(tested), noun)}, after the "
        "correction for all comparisons of pre-training"
    )


def _front(analysis: Analysis) -> Iterator[Answer]:
    """The Pareto front of each data set by means: selected on validation, reported on test data."""
    if len(analysis.cells) > 1:
        how = f" {captions.front(analysis)} Selected by means only, without intervals."
        for name, cells in analysis.cells.groupby("data_set", sort=False):
            for answer in _front_of(str(name), cells[cells["front"]].sort_values(["params", "number"])):
                yield replace(answer, text=answer.text + how)
                how = ""  # it holds for all data sets


def _front_of(data_set: str, front: pd.DataFrame) -> Iterator[Answer]:
    """The smallest model first."""
    if front.empty:
        return
    shown = [
        f"{row['cell']} ({formats.short(row['params'])}, {formats.percent(row['mean'])}{PERCENT})"
        for _, row in front.head(MOST).iterrows()
    ]
    text = f"{'; '.join(shown)}{_more(len(front))}."
    yield Answer(f"Pareto front (parameters vs. accuracy{f', {data_set}' if data_set else ''})", text)


def _precision(analysis: Analysis) -> Iterator[Answer]:
    """What the replicates can detect."""
    compared = analysis.effects[analysis.effects["sd"] > 0]
    if compared.empty:
        return
    matched = analysis.is_matched
    mixed = "with the error of all cells or paired by replicate (the table of effects has which)"
    kind = mixed if error_wording.is_mixed(compared) else error_wording.of_rows(compared)
    why = f"{error_wording.choice(analysis.error)} " if matched else ""
    yield Answer(
        "Precision",
        f"intervals are 95 %, {kind if matched else 'from a fit of all cells'}, each for its comparison alone and not "
        f"adjusted for the others. {why}"
        f"{precision.sentences(compared, smallest_of_interest(analysis.facts))}",
    )


def _tuning(analysis: Analysis) -> Iterator[Answer]:
    facts = analysis.facts.tuning
    if facts is None or facts.searches:
        return
    warnings = "".join(f"; {sentence}" for sentence in edge_sentences(facts, analysis.tuned))
    each = "every replicate of every cell" if facts.tunings > 1 else "every cell"
    trials = plural(facts.budget, "trial")
    yield Answer("Tuning", f"{each} was tuned with {trials}, on validation data only{warnings}.")


def _failed(analysis: Analysis) -> Iterator[Answer]:
    """Which cells have failed trials, and how these count."""
    if text := failed_trials.sentences(analysis):
        yield Answer("Failed replicates", text)


def _outlying(analysis: Analysis) -> Iterator[Answer]:
    """Runs far from the median of their cell, and what the verdicts are conditional on."""
    if text := outlying_runs.sentences(analysis):
        yield Answer("Outlying runs", text)


def _unfinished(analysis: Analysis) -> Iterator[Answer]:
    counts = analysis.results.trials["status"].value_counts()
    named = {"failed": "failed", "missing": "missing", OTHER_DATA: "on other data"}
    parts = [f"{counts[status]:,} {name}" for status, name in named.items() if counts.get(status)]
    if parts:
        text = f"{' and '.join(parts)} of {_requested(analysis)}."
        yield Answer("Not finished", text)
    if counts.get("excluded"):
        yield Answer("Excluded by design", f"{plural(int(counts['excluded']), 'cell')}, with reasons below.")


def _requested(analysis: Analysis) -> str:
    """The number of trials that the study requests, as in `9 trials`."""
    return plural(int((analysis.results.trials["status"] != "excluded").sum()), "trial")


def _more(count: int) -> str:
    return f"; and {count - MOST} more" if count > MOST else ""


FINDINGS: Mapping[str, Callable[[Analysis], Iterator[Answer]]] = {
    "mixed provenance": _mixed_provenance,
    "replication": _replication,
    "search": _search,
    "claims": _claims,
    "claims on data sets": data_set_findings.claims,
    "cost of changes after results": _after_results,
    "looks": _looks,
    "failed": _failed,
    "outlying runs": _outlying,
    "baseline": _baseline,
    "changes": _changes,
    "factors": _factors,
    "data sets": data_set_findings.effects,
    "methods": data_set_findings.methods,
    "variance": _variance,
    "error of the fit": _fit_error,
    "adding versus removing": _add_vs_remove,
    "pre-training": _pretraining,
    "Pareto front": _front,
    "precision": _precision,
    "tuning": _tuning,
    "unfinished": _unfinished,
}
