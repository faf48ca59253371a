"""The notebook's content in order: the answers, then the results that support them, then every trial.

Plots and tables are placed by their own `section` and `order`. `SECTIONS` has the headings and texts around them.
"""

import json
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from study.analysis import items
from study.analysis.analysis import Analysis
from study.analysis.facts import IMPORTANCE_METHODS, FactorFacts, Origin, StudyFacts, TuningFacts
from study.analysis.failures import attempt
from study.analysis.results import GRID_FILE
from study.analysis.tuned_values import edge_sentences
from study.report import claim_method, claim_wording, coverage, design_notes, failed_trials, fit_sentences, notebook_api
from study.report.mixed_provenance import mixture, short_commit
from study.report.notebook_api import FIGURES, Shown
from study.report.placement import Section
from study.report.plots import PLOTS
from study.report.tables import TABLES
from study.utils import escape
from study.utils.command_line import Invocation
from study.utils.provenance import NO_COMMIT
from study.utils.text import plural
from study.vit import subject


@dataclass(frozen=True)
class Text:
    """A cell of Markdown; with a title, it opens a section. `failure` is set if it replaces something that failed."""

    source: str
    title: str = ""
    level: int = 2  # of the heading; those of level 2 are the notebook's sections
    failure: str = ""

    @property
    def written(self) -> str:
        return f"{'#' * self.level} {self.title}\n\n{self.source}".rstrip() if self.title else self.source


@dataclass(frozen=True)
class Code:
    """A cell of Python; `show` gives its output without a kernel, and writes its files to a folder."""

    written: str
    show: Callable[[Analysis, Path], Shown] | None = None


Cell = Text | Code

AGAIN = Invocation("again.yaml")  # a copy of the grid in a clone of the project, on any machine

SETUP = """\
# Reads the files beside this notebook; needs the package `study`, see the project's README.
from study.report import analyse, answers, figure, read, table

analysis = analyse(read("."))"""


def outline(analysis: Analysis) -> list[Cell]:
    """All cells of the notebook. Whatever raises is replaced by one sentence."""
    cells: list[Cell] = [_title(analysis), *_notices(analysis), Code(SETUP)]
    for section in Section:
        failures: list[str] = []
        found = attempt(failures, f"The section '{section}' could not be written", _section, analysis, section)
        cells += found or ()
        cells += [_failed(sentence) for sentence in failures]
    return cells


def _title(analysis: Analysis) -> Text:
    facts, statuses = analysis.facts, analysis.results.trials["status"]
    replicates = plural(facts.replicates, "replicate")
    if facts.replicates_until:
        replicates = f"{facts.replicates} to {plural(facts.replicates_until, 'replicate')}"
    size = (
        f"{plural(len(facts.included), 'cell')} by {replicates}: "
        f"{(statuses == 'done').sum():,} of {plural(int((statuses != 'excluded').sum()), 'trial')} finished. "
        f"Design `{facts.design_name}`: {escape.markdown(facts.description)}."
    )
    text = f"# {escape.markdown(facts.study)}\n\n**{escape.markdown(facts.question)}**\n\n{size}"
    return Text("\n\n".join([text, *_coverage(facts)]))


def _coverage(facts: StudyFacts) -> Iterator[str]:
    """What the intervals cover, if any cell is to have some."""
    if (facts.replicates_until or facts.replicates) > 1:
        yield escape.markdown(coverage.sentence(facts))
        if facts.replicates_until:
            yield coverage.after_stopping(facts)


def _notices(analysis: Analysis) -> Iterator[Cell]:
    """The first section, if there are any."""
    if analysis.facts.notices:
        listed = "\n".join(f"- **{escape.markdown(sentence)}**" for sentence in analysis.facts.notices)
        yield Text(f"These concern all numbers that follow.\n\n{listed}", "Notices")


def _nothing(analysis: Analysis) -> Iterator[Cell]:
    yield from ()


@dataclass(frozen=True)
class Frame:
    """The texts of a section, around its plots and tables. It is shown if any of these are, or `always`.

    Without a title, the titles of its plots and tables are sections of their own.
    """

    title: str = ""
    introduction: Callable[[Analysis], str] | str = ""
    closing: Callable[[Analysis], Iterable[Cell]] = _nothing
    always: bool = False


def _section(analysis: Analysis, section: Section) -> list[Cell]:
    frame = SECTIONS.get(section, Frame())
    cells = _placed(analysis, section, level=3 if frame.title else 2)
    if not cells and not frame.always:
        return []
    introduction = frame.introduction if isinstance(frame.introduction, str) else frame.introduction(analysis)
    opening = [Text(introduction, frame.title)] if frame.title else []
    return [*opening, *cells, *frame.closing(analysis)]


def _placed(analysis: Analysis, section: Section, level: int) -> list[Cell]:
    """The plots and tables of a section, by their order."""
    placed: list[tuple[int, list[Cell]]] = []
    for name, plot in PLOTS.items():
        if plot.section == section:
            placed.append((plot.order, _plot(analysis, name, level)))
    for name, table in TABLES.items():
        if table.section == section:
            placed.append((table.order, _table(analysis, name, level)))
    return [cell for _, cells in sorted(placed, key=lambda pair: pair[0]) for cell in cells]


def _plot(analysis: Analysis, name: str, level: int) -> list[Cell]:
    """Heading, caption and figure; a placeholder if its results are expected; nothing for other studies."""
    plot, failures = PLOTS[name], list[str]()
    shown = attempt(failures, f"The figure '{name}' could not be drawn", plot.is_shown, analysis)
    if failures:
        return [_failed(failures[0], plot.title, level)]
    if shown:
        code = Code(f'figure(analysis, "{name}")', lambda made, to: notebook_api.figure(made, name, to / FIGURES))
        return [Text(plot.caption_for(analysis), plot.title, level), code]
    if plot.expected(analysis.facts):
        return [Text("Nothing to draw yet: no trial for this figure has finished.", plot.title, level)]
    return []


def _table(analysis: Analysis, name: str, level: int) -> list[Cell]:
    table, failures = TABLES[name], list[str]()
    shown = attempt(failures, f"The table '{name}' could not be computed", table.is_shown, analysis)
    if failures:
        return [_failed(failures[0], table.title, level)]
    if not shown:
        return []
    heading = [Text("", table.title, level)] if table.title else []
    return [*heading, Code(f'table(analysis, "{name}")', lambda made, to: notebook_api.table(made, name))]


def _failed(sentence: str, title: str = "", level: int = 2) -> Text:
    return Text(escape.markdown(sentence), title, level, failure=escape.line(sentence))


def _answers(analysis: Analysis) -> Iterator[Cell]:
    yield Code("answers(analysis)", lambda made, to: notebook_api.answers(made))


def _test_images(analysis: Analysis) -> str:
    """What intervals over replicates and test images cover, and which cells have none."""
    notes = coverage.of_test_images(analysis), items.unavailable(analysis.results, analysis.predicted)
    return escape.markdown(" ".join(filter(None, notes)))


def _claims(analysis: Analysis) -> Iterator[Cell]:
    """The method of the verdicts, and where it was checked."""
    facts = analysis.facts
    if not facts.claims:
        return
    if not facts.tested_claims:
        yield Text(
            "Claims on sizes and on exported models have one number per cell. They are judged by the difference "
            "itself, without interval: a claim is *supported* if the difference is inside the region where the claim "
            f"holds, and *refuted* if it is outside.{claim_wording.registration(analysis)}"
        )
        return
    notes = list(claim_method.sentences(analysis))
    if len(facts.tested_claims) < len(facts.claims):
        notes.append(
            "Claims on sizes and on exported models have one number per cell: they are judged by the difference "
            "itself, without interval, and are not among the claims that p-values are adjusted for."
        )
    if facts.replicates_until:
        notes.append(
            f"Replicates were added from {facts.replicates} to at most {facts.replicates_until}, only to cells of "
            "undecided claims. Every look spends a share of the 5 % (Lan and DeMets 1983, Biometrika 70:659; the "
            "power family of Kim and DeMets 1987, Biometrika 74:149, with exponent 2), and claims that are still "
            "undecided are adjusted among themselves (Maurer and Bretz 2013, Stat. Biopharm. Res. 5:311)."
        )
    notes.append(
        "The error rates were checked on simulated studies with known truth: `reports/calibration/calibration.md` of "
        "the project (`nox -s calibrate`). The runs behind every verdict are in `claim_runs.csv`."
    )
    yield Text("How claims are judged:\n\n" + "\n".join(f"- {note}" for note in notes))


def _data_sets(analysis: Analysis) -> str:
    found = analysis.data_sets
    if found is None:
        return ""
    names = ", ".join(escape.markdown(one.name) for one in found.sets)
    return (
        f"The levels of **{escape.markdown(found.factor)}** are fine-tuned on {plural(len(found.sets), 'data set')}: "
        f"{names}. Accuracies on different data sets differ in how hard these are, so cells are compared within each. "
        "An effect or a claim over several data sets is the mean of these differences over all matched sets of cells, "
        "with equal weights: it describes these data sets, and can hide that the differences are not alike."
    )


def _interactions(analysis: Analysis) -> str:
    return (
        "From a least-squares fit of all finished trials: replicates, factors and two-factor interactions. "
        f"{fit_sentences.section(analysis)}"
    )


def _search(analysis: Analysis) -> Iterator[Cell]:
    facts = analysis.facts.tuning
    if facts is None:
        return
    if facts.unavailable_importances:
        yield Text(_unavailable_importances(facts))
    sampler = {"tpe": "a tree-structured Parzen estimator", "nsga2": "NSGA-II"}[facts.sampler]
    yield Text(
        f"{plural(facts.budget, 'trial')}, suggested by {sampler} (Optuna) for: {', '.join(facts.objectives)}. "
        "No test data were used. All trials have the same seed, so they differ only in their settings, and the spread "
        "over seeds is not known; the baseline was run with seeds of its own. `tuning.csv` has every trial."
    )
    if facts.rungs:
        yield Text(_early_stopping(analysis, facts.rungs))


def _unavailable_importances(facts: TuningFacts) -> str:
    """Which importances could not be computed, and why."""
    reasons = (
        f"{IMPORTANCE_METHODS.get(method, method)} of {objective} ({escape.markdown(reason)})"
        for objective, methods in facts.unavailable_importances.items()
        for method, reason in methods.items()
    )
    return f"Importances that could not be computed: {'; '.join(reasons)}."


def _early_stopping(analysis: Analysis, rungs: tuple[int, ...]) -> str:
    """The rule for stopping trials early, and how many were stopped when."""
    tuning = analysis.results.tuning
    after = Counter(tuning.loc[tuning["status"] == "stopped", "epochs"].astype(int).tolist())
    counts = [f"{count} after {plural(epochs, 'epoch')}" for epochs, count in sorted(after.items())]
    stopped = f"{plural(after.total(), 'trial')} stopped: {', '.join(counts)}" if counts else "no trial was stopped"
    return (
        "Early stopping by asynchronous successive halving (ASHA, Li et al. 2020): after "
        f"{plural(rungs[0], 'epoch') if len(rungs) == 1 else 'epochs ' + ', '.join(map(str, rungs))}, only trials "
        f"in the best quarter of those that had reached the same epoch continued; {stopped}. Which trials are stopped "
        "depends on the order in which they finish, so a repeated search may differ. The last accuracies of stopped "
        "trials are in `tuning.csv`; the table, the best trial and the importances use only trials that ran to the end."
    )


def _tuning(analysis: Analysis) -> str:
    facts = analysis.facts.tuning
    if facts is None:
        return ""
    start = "the cells were tuned independently"
    if facts.warm_start:
        start = "the baseline was tuned first, and its best values were the first trial of all other cells"
    each, use = "Every cell", "Replicates use the best values, with seeds that no tuning trial had."
    if facts.tunings > 1:
        each = "Every replicate of every cell"
        use = (
            "Each replicate had a tuning of its own, with other suggestions and seeds than the other replicates, and "
            "used the best values of that, with a seed that no tuning trial had. So the spread over replicates "
            "includes that of tuning."
        )
    return (
        f"{each} had the same budget, {plural(facts.budget, 'tuning trial')}, and was tuned on validation data "
        f"only; {start}. {use} Failed trials count towards the budget. `tuning.csv` has every tuning trial."
    )


def _edges(analysis: Analysis) -> Iterator[Cell]:
    facts: TuningFacts | None = analysis.facts.tuning
    if facts is not None and (warnings := list(edge_sentences(facts, analysis.tuned))):
        lines = "\n".join(f"- {escape.markdown(sentence)}." for sentence in warnings)
        yield Text(f"**Ranges that may be too narrow:** better values may be outside.\n\n{lines}")


def _unfinished(analysis: Analysis) -> str:
    counted = "Failed trials count as an accuracy of 0 in means and comparisons. The others are part of no number. "
    nowhere = "These are not part of any number above. "
    return (
        f"{counted if analysis.facts.failures == 'worst' else nowhere}The next run retries failed and missing trials; "
        "trials on other data are used only with `--accept-mixed-data`; excluded cells are excluded by the grid file, "
        "with a reason."
    )


def _references(analysis: Analysis) -> Iterator[Cell]:
    yield Text(
        "Every row was copied from its source. *second-hand* marks accuracies that were taken from another work that "
        "reports them, not from the paper itself."
    )


def _factors(analysis: Analysis) -> str:
    facts = analysis.facts
    rows = [_factor_line(factor) for factor in facts.factors]
    listed = ["Factors and their levels, the baseline level first:\n\n" + "\n".join(rows)] if rows else []
    design, *notes = design_notes.paragraphs(facts)
    return "\n\n".join([design, *listed, *notes, *_coverage(facts), *_failures(facts), *_data(facts)])


def _failures(facts: StudyFacts) -> Iterator[str]:
    """How failed replicates count, and which runs verdicts are conditional on; nothing for a search."""
    if facts.tuning is None or not facts.tuning.searches:
        yield escape.markdown(failed_trials.method(facts))


def _data(facts: StudyFacts) -> Iterator[str]:
    """How the data sets were read."""
    if facts.data:
        lines = "\n".join(f"- {escape.markdown(line)}" for line in facts.data)
        yield f"Data sets, as they were read for these results:\n\n{lines}"


def _factor_line(factor: FactorFacts) -> str:
    levels = ", ".join(escape.markdown(level.label) for level in factor.levels)
    paths = dict.fromkeys(path for level in factor.levels for path in level.fields)
    return f"- **{escape.markdown(factor.name)}**: {levels} (sets {escape.markdown(', '.join(paths))})"


def _baseline_settings(analysis: Analysis) -> Iterator[Cell]:
    settings = "\n".join(_setting_lines(analysis.facts.baseline))
    yield Text(f"All settings of the baseline:\n\n{escape.code_block(settings, 'text')}")


def _setting_lines(settings: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from _setting_lines(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}: {escape.line(value) if isinstance(value, str) else json.dumps(value)}"


def _provenance(analysis: Analysis) -> str:
    notes = [f"**{escape.markdown(sentence)}**" for sentence in mixture(analysis.facts)]
    if notes:
        notes.append("`results.csv` has the commit, code and device of every trial.")
    unrecorded = sum(origin.stages for origin in analysis.facts.origins if not origin.code)
    if unrecorded:
        notes.append(f"{plural(unrecorded, 'result')} of unrecorded code, stored before its digest was recorded.")
    if any(origin.commit.endswith("-dirty") for origin in analysis.facts.origins):
        notes.append("`-dirty` marks a commit with uncommitted changes.")
    return "\n\n".join(notes)


def _reproduce(analysis: Analysis) -> str:
    facts = analysis.facts
    last = facts.origins[-1].commit.removesuffix("-dirty") if facts.origins else NO_COMMIT
    checkout = [f"git checkout {shlex.quote(last)}"] if last != NO_COMMIT else []
    run = [*checkout, "python -m pip install nox", "nox -s ablate -- again.yaml"]
    return (
        f"`{GRID_FILE}` beside this report is a copy of the grid ({escape.markdown(facts.grid)} at the time). Copy it "
        f"to again.yaml in a clone of the project, {_own_data(facts)}and run there:\n\n"
        + escape.code_block("\n".join(run), "sh")
        + f"\n\n{_checked_out(facts)}The last command runs the stages that are not in the store, and rebuilds this "
        "report. If the package is installed, the equivalent commands for the run, and for the report alone, are:\n\n"
        + escape.code_block(f"{AGAIN.command('run')}\n{AGAIN.command('report')}", "sh")
        + f"{_replicating(facts)}\n\nreport.ipynb can be executed in place: it reads only the files beside it."
    )


def _replicating(facts: StudyFacts) -> str:
    """The command that tests the claims again, for a study with claims that replicates can decide."""
    if not facts.tested_claims:
        return ""
    fixed = facts.replicates_until is None
    number = () if fixed else ("--replicates", str(facts.replicates_until))
    return (
        "\n\nThis writes the grid of a study that tests the claims again, with new seeds"
        f"{'' if fixed else ' and a fixed number of replicates'}:\n\n"
        + escape.code_block(AGAIN.command("replicate", *number), "sh")
    )


def _own_data(facts: StudyFacts) -> str:
    """What to do with data that are no part of the project."""
    own = any(subject.is_own_data(line) for line in facts.data)
    return "correct the paths of its own data (their content is compared, not their path), " if own else ""


def _checked_out(facts: StudyFacts) -> str:
    """What the commit in the commands does not cover."""
    commits = list(dict.fromkeys(short_commit(origin.commit) for origin in facts.origins))
    if commits and commits[-1] == NO_COMMIT:
        return _without_commit(facts.origins[-1])
    several = f"The commit is that of the latest stages, one of {escape.markdown(', '.join(commits))}. "
    dirty = "It lacks changes that were uncommitted when they ran. "
    return several * (len(commits) > 1) + dirty * (bool(commits) and commits[-1].endswith("-dirty"))


def _without_commit(origin: Origin) -> str:
    """The version and the digest of code whose commit is unknown."""
    version = f"version {origin.version} of the package" if origin.version else "an unknown version of the package"
    code = f" with the code digest `{origin.code}`" if origin.code else ""
    return (
        f"The commit of the latest stages is not known: they were run by {version}{code}, installed or copied without "
        "its history. Use that version. "
    )


SECTIONS: dict[Section, Frame] = {
    Section.ANSWER: Frame(
        "Answer",
        "Accuracies are test accuracies unless named otherwise, measured once per trial after all selection on "
        "validation data.",
        _answers,
        always=True,
    ),
    Section.SEARCH: Frame(closing=_search),
    Section.CLAIMS: Frame(closing=_claims),
    Section.DEVICE: Frame(
        "On-device performance",
        "ONNX files of each cell's model, in float32 and with int8 weights (dynamic quantisation of activations), run "
        "by onnxruntime on one core of the named processor.",
    ),
    Section.DATA_SETS: Frame("Data sets", _data_sets),
    Section.INTERACTIONS: Frame("Main effects and interactions", _interactions),
    Section.TEST_IMAGES: Frame("Test images", _test_images),
    Section.TUNING: Frame("Tuning", _tuning, _edges),
    Section.REFERENCES: Frame(closing=_references),
    Section.UNFINISHED: Frame("Failures and exclusions", _unfinished),
    Section.TRIALS: Frame(
        "All trials",
        "Every number above comes from these. A key is the start of the name of the trial's folder in the store, under "
        "`finetune/` (pre-training: `pretrain/`), with settings, weights and history; a run is the start of an MLflow "
        "run id. `results.csv` has full keys, run ids and levels, `cells.csv` the keys behind each cell's numbers.",
    ),
    Section.DESIGN: Frame("Design", _factors, _baseline_settings, always=True),
    Section.PROVENANCE: Frame("Provenance", _provenance),
    Section.REPRODUCE: Frame("How to reproduce", _reproduce, always=True),
}
