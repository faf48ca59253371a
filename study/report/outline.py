"""The notebook's content, from top to bottom: the answer first, then the evidence, then every trial.

A section is a function from the results to its cells; it gives none where a study has nothing of the kind.
"""

import json
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from study.report import escape, formats
from study.report.facts import FactorFacts
from study.report.plots import PLOTS
from study.report.published import dataset_of
from study.report.results import Results
from study.report.tables import TABLES


@dataclass(frozen=True)
class Text:
    """A cell of Markdown."""

    source: str


@dataclass(frozen=True)
class Code:
    """A cell of Python that shows one thing."""

    source: str


Section = Callable[[Results], Iterator[Text | Code]]

SETUP = """\
# Reads the files beside this notebook; needs the package `study`, see the project's README.
from study.report import answers, figure, read, table

results = read(".")"""

DESIGNS = {
    "one_factor": "the baseline, and one change at a time",
    "factorial": "every combination of the factors' levels",
}


def outline(results: Results) -> list[Text | Code]:
    """All cells of the notebook."""
    return [cell for section in SECTIONS for cell in section(results)]


def headings(cells: list[Text | Code]) -> list[str]:
    """The titles of the sections, in order."""
    rows = (row for cell in cells if isinstance(cell, Text) for row in cell.source.split("\n"))
    return [row.removeprefix("## ") for row in rows if row.startswith("## ")]


def _title(results: Results) -> Iterator[Text | Code]:
    facts = results.facts
    counts = results.trials["status"].value_counts()
    wanted = len(facts.included) * facts.replicates
    size = (
        f"{formats.plural(len(facts.included), 'cell')} by {formats.plural(facts.replicates, 'replicate')}: "
        f"{counts.get('done', 0):,} of {formats.plural(wanted, 'trial')} finished. "
        f"Design `{facts.design}`: {DESIGNS.get(facts.design, 'see below')}."
    )
    yield Text(f"# {escape.markdown(facts.study)}\n\n**{escape.markdown(facts.question)}**\n\n{size}")
    yield Code(SETUP)


def _answer(results: Results) -> Iterator[Text | Code]:
    yield Text("## Answer\n\nTest accuracy throughout, measured once per trial, after all choices were made.")
    yield Code("answers(results)")


def _parameters(results: Results) -> Iterator[Text | Code]:
    yield from _plot(results, "parameters")
    yield Code('table(results, "cells")')


def _effects(results: Results) -> Iterator[Text | Code]:
    yield from _plot(results, "effects")
    if len(results.effects):
        yield Code('table(results, "effects")')


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


def _references(results: Results) -> Iterator[Text | Code]:
    if dataset_of(results.facts) is None:
        return
    if _shows(results, "references"):
        yield from _plot(results, "references")
    else:
        yield Text(f"## {PLOTS['references'].title}")
    yield Code('table(results, "references")')
    yield Text(
        "Every row was copied from the source named in it. Where the source is marked *second-hand*, the accuracy "
        "was read in another work that reports it, not in the paper itself."
    )


def _unfinished(results: Results) -> Iterator[Text | Code]:
    if (results.trials["status"] != "done").any():
        yield Text(
            "## Failures and exclusions\n\nNo number above rests on these. A failed or missing trial is tried again "
            "by the next run; an excluded cell is left out by the grid file, with its reason."
        )
        yield Code('table(results, "unfinished")')


def _trials(results: Results) -> Iterator[Text | Code]:
    yield Text(
        "## Every trial\n\nA trial's key names its folder in the store, with settings, weights and history; "
        "`results.csv` has the same rows in full."
    )
    yield Code('table(results, "trials")')


def _design(results: Results) -> Iterator[Text | Code]:
    facts = results.facts
    rows = [_factor_line(factor) for factor in facts.factors]
    yield Text("## Design\n\nFactors and their levels, the baseline's first:\n\n" + "\n".join(rows))
    settings = "\n".join(_setting_lines(facts.baseline))
    yield Text(f"All settings of the baseline:\n\n{escape.code_block(settings, 'text')}")


def _origins(results: Results) -> Iterator[Text | Code]:
    if not results.facts.origins:
        return
    text = "## What ran where"
    commits = {origin.commit for origin in results.facts.origins}
    if len(commits) > 1:
        text += "\n\n**These results come from more than one version of the code**; the last column says which cells."
    if any(commit.endswith("-dirty") for commit in commits):
        text += "\n\n`-dirty` marks a commit with changes that it does not hold: it alone does not give the code back."
    yield Text(text)
    yield Code('table(results, "origins")')


def _again(results: Results) -> Iterator[Text | Code]:
    facts = results.facts
    grid = shlex.quote(escape.line(facts.grid))
    last = facts.origins[-1].commit.removesuffix("-dirty") if facts.origins else "unknown"
    checkout = [f"git checkout {last}"] if last != "unknown" else []
    run = [*checkout, "python -m pip install nox", f"nox -s ablate -- {grid}"]
    yield Text(
        "## How to run it again\n\nIn a clone of the project; this runs what the store does not have, and writes this "
        f"report:\n\n{escape.code_block(chr(10).join(run), 'sh')}\n\n"
        "In an environment that has the package, the same, and the report alone from stored results:\n\n"
        + escape.code_block(f"python -m study run {grid}\npython -m study report {grid}", "sh")
        + "\n\nThis notebook can be executed again where it lies: it reads only the files beside it."
    )


SECTIONS: tuple[Section, ...] = (
    _title,
    _answer,
    _parameters,
    _effects,
    _pretraining,
    _curves,
    _load,
    _references,
    _unfinished,
    _trials,
    _design,
    _origins,
    _again,
)


def _shows(results: Results, name: str) -> bool:
    return not PLOTS[name].compute(results).empty


def _plot(results: Results, name: str) -> Iterator[Text | Code]:
    """Heading, figure, how to read it; the heading alone where there is nothing to draw yet."""
    plot = PLOTS[name]
    if not _shows(results, name):
        if name in TABLES or name == "parameters":
            yield Text(f"## {plot.title}\n\nNothing to draw yet: no trial that it would show has finished.")
        return
    yield Text(f"## {plot.title}\n\n{plot.caption}")
    yield Code(f'figure(results, "{name}")')


def _factor_line(factor: FactorFacts) -> str:
    levels = ", ".join(escape.markdown(level.label) for level in factor.levels)
    paths = dict.fromkeys(path for level in factor.levels for path in level.fields)
    return f"- **{escape.markdown(factor.name)}**: {levels} (sets {escape.markdown(', '.join(paths))})"


def _setting_lines(settings: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from _setting_lines(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}: {value if isinstance(value, str) else json.dumps(value)}"
