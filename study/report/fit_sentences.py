"""Which error a fitted design was tested with and why, in sentences."""

from collections.abc import Iterable, Iterator

from study.analysis.analysis import Analysis


def sentences(notes: Iterable[str]) -> str:
    """Notes without capital letter and full stop as sentences."""
    return " ".join(f"{note[0].upper()}{note[1:]}." for note in notes)


def error(analysis: Analysis) -> tuple[str, ...]:
    """The error of main effects and what was tested, each without a full stop; empty without a fit."""
    return analysis.fit.error.sentences if analysis.fit.error else ()


def answer(analysis: Analysis) -> Iterator[str]:
    """The finding on the assumptions of a fitted design: one paragraph, or none."""
    found = analysis.fit.error if analysis.is_factorial else None
    if found is None:
        return
    yield sentences(found.sentences)


def section(analysis: Analysis) -> str:
    """How the fit's error compares with that of the table of effects."""
    if not analysis.is_matched:
        return "The table of effects above is from the same fit."
    return (
        "The effects above are matched comparisons, each with the variation of its own difference over replicates. "
        "Here, the error is common to all cells unless stated otherwise below."
    )
