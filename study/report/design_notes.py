"""What is particular to a study's design, for its report: collected, and written out."""

from collections.abc import Iterator
from typing import Any

from study.analysis.facts import AliasFacts, SampleFacts, StudyFacts
from study.design.study import Study
from study.utils import escape

DESIGNS = {
    "one_factor": "the baseline, and one change at a time",
    "leave_one_out": "the full model, and each part removed",
    "add_one": "the bare model, and each part added",
    "leave_one_out and add_one": "the full model, each part removed, the bare model, and each part added to it",
    "factorial": "every combination of the factors' levels",
    "fractional": "a part of all combinations, chosen so that effects can be told apart as its alias table says",
    "search": "settings that are suggested one after another, each with what was learnt from those before",
}


def designed(study: Study) -> dict[str, Any]:
    """The fields of StudyFacts that only some designs have."""
    aliases, sample = study.aliases, study.sample
    return {
        "aliases": aliases
        and AliasFacts(
            letters=aliases.letters,
            generators=tuple(aliases.generators),
            relation=aliases.relation,
            resolution=aliases.resolution,
            meaning=aliases.meaning,
            product=study.product,
            aliased=tuple(aliases.aliased),
            clear=tuple(aliases.clear),
        ),
        "sample": sample and SampleFacts(cells=sample.cells, product=study.product, method=sample.method),
        "paired": tuple(tuple(part.name for part in factor.parts) for factor in study.factors if factor.parts),
        "only": tuple(spec.reason for spec in study.grid.only),
    }


def in_short(facts: StudyFacts) -> str:
    """What its design is, as half a sentence."""
    if facts.sample is not None:
        return f"a sample of {facts.sample.cells:,} of {facts.sample.product:,} combinations of the factors' levels"
    return DESIGNS[facts.design_name]


def sentences(facts: StudyFacts) -> Iterator[str]:
    """Paragraphs of Markdown for the report's section on the design."""
    if facts.aliases is not None:
        yield _fraction(facts.aliases, len(facts.cells))
    if facts.sample is not None:
        yield _sample(facts.sample, facts.seed)
    for names in facts.paired:
        together = " and ".join(escape.markdown(name) for name in names)
        yield f"The levels of {together} move together, so the study sees their joint effect and cannot divide it."
    if facts.only:
        reasons = "".join(f"\n- {escape.markdown(reason)}" for reason in facts.only)
        yield f"Only some cells were kept, for these reasons:\n{reasons}"


def in_words(chain: str, letters: dict[str, str]) -> str:
    """A chain of aliases with names for letters: AB = -C becomes kv heads x width = -depth."""
    return " = ".join(_named(effect, letters) for effect in chain.split(" = "))


def _named(effect: str, letters: dict[str, str]) -> str:
    sign = "-" if effect.startswith("-") else ""
    return sign + " \N{MULTIPLICATION SIGN} ".join(letters[letter] for letter in effect.removeprefix("-"))


def _fraction(aliases: AliasFacts, cells: int) -> str:
    letters = ", ".join(f"{letter} {escape.markdown(name)}" for letter, name in aliases.letters.items())
    return (
        f"A fraction: {cells:,} of {aliases.product:,} combinations, resolution {aliases.resolution}: "
        f"{aliases.meaning}. Letters: {letters}. Generators: {', '.join(aliases.generators)}. "
        f"Defining relation: {aliases.relation}. In these, + is a factor's other level and - the baseline's. Effects "
        "that are aliases of one another cannot be told apart: what is estimated is their sum, with the signs shown. "
        "Interactions of three factors and more are taken to be nothing, and a cell that is left out or has no result "
        "leaves more effects entangled than shown."
    )


def _sample(sample: SampleFacts, seed: int) -> str:
    how = {"space_filling": "spread over it, each as far as possible from those before", "random": "drawn at random"}
    return (
        f"A sample: {sample.cells:,} of the {sample.product:,} combinations, {how.get(sample.method, sample.method)} "
        f"(seed {seed})."
    )
