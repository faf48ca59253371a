"""Sentences that several captions share."""

import pandas as pd

from study.analysis.accuracy_intervals import any_cut, named_margin
from study.analysis.analysis import Analysis
from study.analysis.cells import VALIDATION, selected_on, skewed
from study.analysis.facts import StudyFacts
from study.analysis.items import unavailable
from study.report import error_wording
from study.utils import formats

ON_ITS_DATA_SET = (
    "A cell on another data set than the baseline's is compared with the cell there that has the baseline's levels of "
    "all other factors."
)
MOST_CELLS = 5  # listed in a caption
NEEDED = (
    "Numbers of replicates in the findings are for 80 % power to detect a true difference of the size named, at a "
    "two-sided level of 5 % for this comparison alone; they range over the 80 % interval of the row's SD."
)
EFFECT_SIZE = (
    "g: standardised effect size (Hedges' g_av), the difference divided by the mean SD of both sides, corrected for "
    "small n."
)


def tests(analysis: Analysis, rows: pd.DataFrame) -> str:
    """How the differences of a table were tested, and what the findings mean."""
    return f"{errors(analysis, rows)} {EFFECT_SIZE} {finding(analysis.facts)}"


def errors(analysis: Analysis, rows: pd.DataFrame) -> str:
    """The intervals, tests and error of a family of differences, and why the error was chosen."""
    why = f" {error_wording.choice(analysis.error)}" if analysis.error.n > 1 else ""
    return (
        f"In brackets: 95 % intervals, {error_wording.of_rows(rows)}, each for this comparison alone. p: t-test, alone "
        f"and with {error_wording.adjustment(rows)} for all comparisons in the table.{why}"
    )


def finding(facts: StudyFacts) -> str:
    """What the findings of a table of comparisons mean."""
    return (
        "Findings: distinguishable from zero after the correction, and whether the difference is larger or smaller "
        f"than {named_margin(facts)}, by intervals that hold for all comparisons of the table together. {NEEDED}"
    )


def notices(analysis: Analysis) -> str:
    """The notices on the study, before the rest of a caption."""
    return "".join(f"{sentence} " for sentence in analysis.facts.notices)


def front(analysis: Analysis) -> str:
    """How the Pareto front was selected; empty without one."""
    if not analysis.cells["front"].any():
        return ""
    if selected_on(analysis.cells) == VALIDATION:
        return "The Pareto front was selected on validation accuracy; test accuracies are only reported."
    return (
        "The Pareto front was selected on test accuracy, since no validation accuracy is stored: the accuracies on "
        "it are too high by chance."
    )


def data_set_of_images(analysis: Analysis) -> str:
    """Whose test images are shown, after a caption; empty if there is one data set."""
    found = analysis.data_sets
    return f" The images are those of {found.sets[0].name}, the data set of the baseline." if found else ""


def basis(analysis: Analysis) -> str:
    """What the means of cells are based on, and which of their intervals may be unreliable."""
    rows = analysis.cells
    counts = sorted({int(n) for n in rows["n"]})
    if counts == [0]:
        return "No trial has finished yet."
    if counts == [1]:
        return " ".join(["One replicate (n = 1), so there are no intervals.", *_test_images(analysis)])
    span = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    kind = error_wording.of_rows(rows) if not error_wording.is_mixed(rows) else "with the error named in cells.csv"
    notes = [f"Means of n = {span} replicates; differences are {kind}."]  # never one
    if analysis.data_sets is not None:
        notes.append(f"{ON_ITS_DATA_SET} Pareto fronts are those of each data set.")
    if any_cut(rows["low"], rows["high"]):
        notes.append("Intervals are cut at 0 and 100 %, the limits of an accuracy.")
    notes += _test_images(analysis)
    if analysis.bootstrap.failure:
        notes.append(bootstrap_failure(analysis))
    if len(suspect := skewed(rows)):
        listed = [f"{row['cell']} ({_bootstrap(row)})" for _, row in suspect.head(MOST_CELLS).iterrows()]
        more = f"; and {len(suspect) - MOST_CELLS} more, see cells.csv" if len(suspect) > MOST_CELLS else ""
        notes.append(
            "Bootstrap (BCa) intervals that differ clearly from these, a sign of skewed results or outliers: "
            f"{'; '.join(listed)}{more}."
        )
    return " ".join(notes)


def _test_images(analysis: Analysis) -> list[str]:
    """What the intervals for other test images are, and for which cells there are none."""
    notes = []
    if analysis.cells["item_low"].notna().any():
        notes.append(
            "Intervals for other images too: over replicates and test images, as if both were drawn anew (crossed "
            "components of variance, logit scale); they contain the interval over replicates."
        )
    if lacking := unavailable(analysis.results, analysis.predicted):
        notes.append(f"Intervals for other images, and comparisons image by image: {lacking[0].lower()}{lacking[1:]}")
    return notes


def bootstrap_failure(analysis: Analysis) -> str:
    """The sentence for a failed bootstrap."""
    return f"The bootstrap intervals could not be computed: {analysis.bootstrap.failure}."


def _bootstrap(row: pd.Series) -> str:
    return f"{formats.percent(row['bootstrap_low'])} to {formats.percent(row['bootstrap_high'])}"
