"""The notebook's content, from top to bottom: the answer first, then the evidence, then every trial.

A section is a function from the results to its cells; it gives none where a study has nothing of the kind.
"""

import json
import shlex
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from study.analysis.effects import is_matched
from study.analysis.factorial import is_factorial
from study.analysis.facts import IMPORTANCE_METHODS, FactorFacts, StudyFacts, TuningFacts
from study.analysis.results import GRID_FILE, Results
from study.analysis.tuned_values import edge_sentences
from study.report import design_notes
from study.report.mixed_provenance import mixture, short_commit
from study.report.plots import PLOTS
from study.report.reference_models import dataset_of
from study.utils import escape, formats


@dataclass(frozen=True)
class Text:
    """A cell of Markdown; with a title it opens a section."""

    source: str
    title: str = ""
    level: int = 2  # of the heading; those of level 2 are the notebook's sections

    @property
    def written(self) -> str:
        return f"{'#' * self.level} {self.title}\n\n{self.source}".rstrip() if self.title else self.source


@dataclass(frozen=True)
class Code:
    """A cell of Python that shows one thing."""

    written: str


Section = Callable[[Results], Iterator[Text | Code]]

SETUP = """\
# Reads the files beside this notebook; needs the package `study`, see the project's README.
from study.report import answers, figure, read, table

results = read(".")"""


def outline(results: Results) -> list[Text | Code]:
    """All cells of the notebook."""
    return [cell for section in SECTIONS for cell in section(results)]


def _title(results: Results) -> Iterator[Text | Code]:
    facts = results.facts
    counts = results.trials["status"].value_counts()
    wanted = int((results.trials["status"] != "excluded").sum())
    replicates = formats.plural(facts.replicates, "replicate")
    if facts.replicates_until:
        replicates = f"{facts.replicates} to {formats.plural(facts.replicates_until, 'replicate')}"
    size = (
        f"{formats.plural(len(facts.included), 'cell')} by {replicates}: "
        f"{counts.get('done', 0):,} of {formats.plural(wanted, 'trial')} finished. "
        f"Design `{facts.design_name}`: {escape.markdown(facts.description)}."
    )
    yield Text(f"# {escape.markdown(facts.study)}\n\n**{escape.markdown(facts.question)}**\n\n{size}")
    yield Code(SETUP)


def _answer(results: Results) -> Iterator[Text | Code]:
    yield Text("Test accuracy throughout, measured once per trial, after all choices were made.", "Answer")
    if results.facts.claims:
        yield Code('table(results, "claims")')
    yield Code("answers(results)")


def _claims(results: Results) -> Iterator[Text | Code]:
    if not results.facts.claims:
        return
    yield from _plot(results, "claims")
    yield from _plot(results, "claims_seconds")
    yield Text(_method(results))


def _method(results: Results) -> str:
    """How verdicts come about, how sure they are, and where that was checked."""
    facts = results.facts
    text = (
        "A claim is *supported* when the interval of its difference lies wholly where the claim holds, *refuted* when "
        "it lies wholly outside, else *undecided*; p-values are Holm-adjusted over all claims, so that any false "
        "verdict in this study has a chance of 5 % at most."
    )
    if facts.replicates_until:
        text += (
            f" Replicates were added from {facts.replicates} to at most {facts.replicates_until}, to the cells of "
            "undecided claims only. Every look spends a share of the 5 % (Lan and DeMets 1983, Biometrika 70:659; the "
            "power family of Kim and DeMets 1987, Biometrika 74:149, with exponent 2), and claims that are still "
            "open are adjusted among themselves (Maurer and Bretz 2013, Stat. Biopharm. Res. 5:311)."
        )
    checked = "`reports/calibration/calibration.md`"
    if facts.calibration:
        checked = f"[reports/calibration/calibration.md]({facts.calibration})"
    text += f" How often such statements are right was checked on simulated studies of known truth: {checked}"
    return f"{text} of the project (`nox -s calibrate`). The runs behind every verdict are in `claim_runs.csv`."


def _parameters(results: Results) -> Iterator[Text | Code]:
    yield from _plot(results, "parameters", always=True)
    yield Code('table(results, "cells")')


def _device(results: Results) -> Iterator[Text | Code]:
    if len(results.device):
        yield Text(
            "ONNX files of each cell's model, in float32 and with int8 weights (activations are quantised as they "
            "come), run by onnxruntime on one core of the processor named.",
            "On the device",
        )
        yield Code('table(results, "device")')


def _effects(results: Results) -> Iterator[Text | Code]:
    if not results.facts.factors:  # a search in a space of its own
        return
    yield from _plot(results, "effects", always=True)
    if len(results.effects):
        yield Code('table(results, "effects")')


def _interactions(results: Results) -> Iterator[Text | Code]:
    """Main effects and interactions, where several factors change at once."""
    if not is_factorial(results.facts):
        return
    like = "Above, only like was compared with like; here all" if is_matched(results.facts) else "All"
    yield Text(
        "From a least-squares fit of all finished trials: replicates, factors, and interactions of two factors. "
        f"{like} cells share one error, which tells more with few replicates and supposes that results spread alike "
        "everywhere.",
        "Main effects and interactions",
    )
    if len(results.done):
        yield Code('table(results, "anova")')
    for name in ("variance", "main_effects", "interactions"):
        yield from _plot(results, name, level=3)


def _adding(results: Results) -> Iterator[Text | Code]:
    if _shows(results, "adding"):
        yield from _plot(results, "adding")
        yield Code('table(results, "adding")')


def _comparisons(results: Results) -> Iterator[Text | Code]:
    """Only where they are not the effects again."""
    if any(len(cell.changed) > 1 for cell in results.facts.included):
        yield Text("", "Every cell against the baseline")
        yield Code('table(results, "comparisons")')


def _pretraining(results: Results) -> Iterator[Text | Code]:
    if _shows(results, "pretraining"):
        yield from _plot(results, "pretraining")
        yield Code('table(results, "pretraining")')


def _curves(results: Results) -> Iterator[Text | Code]:
    yield from _plot(results, "finetune_curves")
    yield from _plot(results, "pretrain_curves")


def _load(results: Results) -> Iterator[Text | Code]:
    if _shows(results, "expert_load"):
        yield from _plot(results, "expert_load")
        yield Code('table(results, "expert_load")')


def _search(results: Results) -> Iterator[Text | Code]:
    facts = results.facts.tuning
    if facts is None or not facts.searches:
        return
    yield from _plot(results, "search_front", always=True)
    yield Code('table(results, "search")')
    if facts.importances:
        yield Code('table(results, "importances")')
    if facts.unavailable_importances:
        yield Text(_unavailable_importances(facts))
    sampler = {"tpe": "a tree-structured Parzen estimator", "nsga2": "NSGA-II"}[facts.sampler]
    yield Text(
        f"{formats.plural(facts.budget, 'trial')}, suggested by {sampler} (Optuna) for: {', '.join(facts.objectives)}. "
        "Test data took no part in it. All trials share one seed, so they differ by their settings, and by nothing "
        "that a second seed would show; the baseline was run with seeds of its own. `tuning.csv` has every trial."
    )
    if facts.rungs:
        yield Text(_stopping(results, facts.rungs))
    yield Code('table(results, "search_trials")')


def _unavailable_importances(facts: TuningFacts) -> str:
    """Which importances could not be computed, and why."""
    reasons = (
        f"{IMPORTANCE_METHODS.get(method, method)} of {objective} ({escape.markdown(reason)})"
        for objective, methods in facts.unavailable_importances.items()
        for method, reason in methods.items()
    )
    return f"Importances that could not be computed: {'; '.join(reasons)}."


def _stopping(results: Results, rungs: tuple[int, ...]) -> str:
    """How trials were stopped early, how many and when."""
    after = Counter(results.tuning.loc[results.tuning["status"] == "stopped", "epochs"].astype(int).tolist())
    counts = [f"{count} after {formats.plural(epochs, 'epoch')}" for epochs, count in sorted(after.items())]
    told = f"{formats.plural(after.total(), 'trial')} stopped: {', '.join(counts)}" if counts else "none was stopped"
    return (
        f"Trials that fell behind were stopped early by asynchronous successive halving (ASHA, Li et al. 2020): after "
        f"{formats.plural(rungs[0], 'epoch') if len(rungs) == 1 else 'epochs ' + ', '.join(map(str, rungs))}, those "
        f"went on that were among the best quarter of all that had come as far by then; {told}. Which trials these "
        "are depends on which came first, so running the search again need not give the same. Their last accuracies "
        "are in `tuning.csv`; the table, the best trial and the importances rest on trials that ran to their end."
    )


def _tuning(results: Results) -> Iterator[Text | Code]:
    facts = results.facts.tuning
    if facts is None or facts.searches:
        return
    crossed = "The baseline was tuned first, and the others began with its best values"
    alone = "nothing crossed from one cell to another"
    yield Text(
        f"Every cell had the same budget, {formats.plural(facts.budget, 'tuning trial')}, and was tuned on validation "
        f"data alone; {alone if not facts.warm_start else crossed[0].lower() + crossed[1:]}. Its replicates were run "
        "at its best values, with seeds that no tuning trial had. A trial that failed counts against the budget. "
        "`tuning.csv` has every tuning trial.",
        "Tuning",
    )
    yield Code('table(results, "tuning")')
    if warnings := list(edge_sentences(results)):
        lines = "\n".join(f"- {escape.markdown(sentence)}." for sentence in warnings)
        yield Text(f"**Ranges that may be too narrow:** better values may lie beyond.\n\n{lines}")


def _references(results: Results) -> Iterator[Text | Code]:
    if dataset_of(results.facts) is None:
        return
    if _shows(results, "references"):
        yield from _plot(results, "references")
    else:
        yield Text("", PLOTS["references"].title)
    yield Code('table(results, "references")')
    yield Text(
        "Every row was copied from the source named in it. Where the source is marked *second-hand*, the accuracy "
        "was read in another work that reports it, not in the paper itself."
    )


def _unfinished(results: Results) -> Iterator[Text | Code]:
    if (results.trials["status"] != "done").any():
        yield Text(
            "No number above rests on these. A failed or missing trial is tried again by the next run; an excluded "
            "cell is left out by the grid file, with its reason.",
            "Failures and exclusions",
        )
        yield Code('table(results, "unfinished")')


def _trials(results: Results) -> Iterator[Text | Code]:
    yield Text(
        "Every number above comes from these. A trial's key begins the name of its folder in the store, under "
        "`finetune/` (its pre-training's under `pretrain/`), with settings, weights and history; its run begins the id "
        "of its run in MLflow. `results.csv` has keys, run ids and levels in full, and `cells.csv` the keys that each "
        "cell's numbers rest on.",
        "Every trial",
    )
    yield Code('table(results, "trials")')


def _design(results: Results) -> Iterator[Text | Code]:
    facts = results.facts
    design, *notes = design_notes.paragraphs(facts)
    yield Text(design, "Design")
    if facts.factors:
        rows = [_factor_line(factor) for factor in facts.factors]
        yield Text("Factors and their levels, the baseline level first:\n\n" + "\n".join(rows))
    for note in notes:
        yield Text(note)
    if facts.aliases is not None and facts.aliases.aliased:
        yield Code('table(results, "aliases")')
    settings = "\n".join(_setting_lines(facts.baseline))
    yield Text(f"All settings of the baseline:\n\n{escape.code_block(settings, 'text')}")


def _origins(results: Results) -> Iterator[Text | Code]:
    if not results.facts.origins:
        return
    commits = {origin.commit for origin in results.facts.origins}
    notes = [f"**{escape.markdown(sentence)}**" for sentence in mixture(results.facts)]
    if notes:
        notes.append("`results.csv` has every trial's commit and device.")
    if any(commit.endswith("-dirty") for commit in commits):
        notes.append("`-dirty` marks a commit with changes on top that it does not hold.")
    yield Text("\n\n".join(notes), "What ran where")
    yield Code('table(results, "origins")')


def _again(results: Results) -> Iterator[Text | Code]:
    facts = results.facts
    last = facts.origins[-1].commit.removesuffix("-dirty") if facts.origins else "unknown"
    checkout = [f"git checkout {shlex.quote(last)}"] if last != "unknown" else []
    copy = f"cp {shlex.quote(f'reports/{facts.study}/{GRID_FILE}')} again.yaml"  # a checkout may take the report away
    run = [copy, *checkout, "python -m pip install nox", "nox -s ablate -- again.yaml"]
    yield Text(
        f"`{GRID_FILE}` beside this report is the grid that was run ({escape.markdown(facts.grid)} at the time). In a "
        f"clone of the project, with this report's folder in its place under reports/:\n\n"
        + escape.code_block("\n".join(run), "sh")
        + f"\n\n{_checked_out(facts)}The last command runs what the store does not have, and writes this report anew. "
        "In an environment that has the package, the same, and the report alone from stored results:\n\n"
        + escape.code_block("python -m study run again.yaml\npython -m study report again.yaml", "sh")
        + "\n\nThe notebook report.ipynb can be executed again where it lies: it reads only the files beside it.",
        "How to run it again",
    )


def _checked_out(facts: StudyFacts) -> str:
    """What the commit in the commands leaves out."""
    commits = list(dict.fromkeys(short_commit(origin.commit) for origin in facts.origins))
    several = f"The commit is that of the latest stages, one of {escape.markdown(', '.join(commits))}. "
    dirty = "It lacks changes that were not committed when they ran. "
    return several * (len(commits) > 1) + dirty * (bool(commits) and commits[-1].endswith("-dirty"))


SECTIONS: tuple[Section, ...] = (
    _title,
    _answer,
    _search,
    _claims,
    _parameters,
    _device,
    _effects,
    _adding,
    _interactions,
    _comparisons,
    _pretraining,
    _curves,
    _load,
    _tuning,
    _references,
    _unfinished,
    _trials,
    _design,
    _origins,
    _again,
)


def _shows(results: Results, name: str) -> bool:
    return not PLOTS[name].compute(results).empty


def _plot(results: Results, name: str, always: bool = False, level: int = 2) -> Iterator[Text | Code]:
    """Heading, how to read the figure, the figure; nothing, or only a word, where there is nothing to draw yet."""
    plot = PLOTS[name]
    if _shows(results, name):
        yield Text(plot.caption, plot.title, level)
        yield Code(f'figure(results, "{name}")')
    elif always:
        yield Text("Nothing to draw yet: no trial that it would show has finished.", plot.title)


def _factor_line(factor: FactorFacts) -> str:
    levels = ", ".join(escape.markdown(level.label) for level in factor.levels)
    paths = dict.fromkeys(path for level in factor.levels for path in level.fields)
    return f"- **{escape.markdown(factor.name)}**: {levels} (sets {escape.markdown(', '.join(paths))})"


def _setting_lines(settings: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from _setting_lines(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}: {escape.line(value) if isinstance(value, str) else json.dumps(value)}"
