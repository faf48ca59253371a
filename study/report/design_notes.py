"""A study's design in its report: what is collected about it, and its paragraphs."""

from collections.abc import Iterator
from typing import Any

from study.analysis.facts import AliasFacts, ReplicationFacts, SampleFacts, StudyFacts
from study.design.study import Study
from study.utils import escape


def design_facts(study: Study) -> dict[str, Any]:
    """The fields of StudyFacts that depend on the design, so that the report never looks the design up."""
    aliases, sample = study.aliases, study.sample
    return {
        "design": study.design.written,
        "description": study.description,
        "details": tuple(study.details),
        "suits_factorial_fit": study.design.suits_factorial_fit,
        "full": study.full and study.full.name,
        "bare": study.bare and study.bare.name,
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


def paragraphs(facts: StudyFacts) -> Iterator[str]:
    """Paragraphs of Markdown for the report's section on the design; the first describes it."""
    design = facts.description or f"design {facts.design_name}"
    sentences = [f"{design[0].upper()}{design[1:]}.", *facts.details]
    yield " ".join(escape.markdown(sentence) for sentence in sentences)
    if facts.replication is not None:
        yield _replicates(facts, facts.replication)
    for names in facts.paired:
        tied = " and ".join(escape.markdown(name) for name in names)
        yield f"The levels of {tied} change together, so only their joint effect can be estimated."
    if facts.only:
        reasons = "".join(f"\n- {escape.markdown(reason)}" for reason in facts.only)
        yield f"Only some cells are included, for these reasons:\n{reasons}"


def _replicates(facts: StudyFacts, original: ReplicationFacts) -> str:
    instead = f" instead of {original.seed}" if original.seed is not None else ""
    return (
        f"This study replicates **{escape.markdown(original.study)}**: it tests claims again with seeds of its own, "
        f"whose base is {facts.seed}{instead}."
    )


def in_words(chain: str, letters: dict[str, str]) -> str:
    """A chain of aliases with names for letters: AB = -C becomes kv heads x width = -depth."""
    return " = ".join(_named(effect, letters) for effect in chain.split(" = "))


def _named(effect: str, letters: dict[str, str]) -> str:
    sign = "-" if effect.startswith("-") else ""
    return sign + " \N{MULTIPLICATION SIGN} ".join(letters[letter] for letter in effect.removeprefix("-"))
