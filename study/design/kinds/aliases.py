"""Aliases: effects that a fraction of a two-level product cannot estimate separately.

Main effects and two-factor interactions are listed. Levels count as +1 (the factor's other level) and -1 (the baseline
level), so an effect is the mean at + minus the mean at -. In a regular fraction the columns of two effects are equal up
to sign, or orthogonal (Box, Hunter & Hunter 2005, Statistics for Experimenters, chapter 6; Montgomery 2013, Design and
Analysis of Experiments, chapter 8). The baseline, at -1 throughout, is one of the cells, so a word of odd length has
the sign -: for the fraction that a textbook writes as I = ABC, this module writes I = -ABC.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from study.design.kinds.generators import defining_words, num_base

LETTERS = "ABCDEFGHJKLMNOPQRSTU"  # no I, which by convention is the mean
MAX_WORDS = 15  # of the defining relation that are written out

Effect = tuple[int, ...]  # the positions of its factors


@dataclass(frozen=True)
class Aliases:
    """The alias table of a fraction. Positions index `factors`; letters name them in order."""

    factors: tuple[str, ...]
    cells: int
    columns: tuple[int, ...]
    words: tuple[int, ...]  # sets of factors as bits, the shortest first
    chains: tuple[tuple[Effect, ...], ...]  # effects that are aliases of each other; a clear effect is a chain of one

    @property
    def resolution(self) -> int:
        return self.words[0].bit_count()

    @property
    def letters(self) -> dict[str, str]:
        """Letter to factor."""
        return dict(zip(LETTERS, self.factors, strict=False))

    @property
    def generators(self) -> list[str]:
        """As in E = ABCD: the column of E is the product of the columns of A to D."""
        base = num_base(self.columns)
        return [
            f"{LETTERS[factor]} = {_signed(_positions(column), (factor,))}"
            for factor, column in enumerate(self.columns[base:], start=base)
        ]

    @property
    def relation(self) -> str:
        """The defining relation: all words, or the MAX_WORDS shortest and the number of the others."""
        shown = [_signed(_positions(word), ()) for word in self.words[:MAX_WORDS]]
        more = len(self.words) - MAX_WORDS
        return " = ".join(["I", *shown]) + (f", and {more} words of the same or greater length" if more > 0 else "")

    @property
    def aliased(self) -> list[str]:
        """As in AB = CD, one text per chain of two or more effects."""
        return [" = ".join(_signed(effect, chain[0]) for effect in chain) for chain in self.chains if len(chain) > 1]

    @property
    def clear(self) -> list[str]:
        """Effects with no alias among main effects and two-factor interactions."""
        return [_letters(chain[0]) for chain in self.chains if len(chain) == 1]

    @property
    def meaning(self) -> str:
        """What the resolution guarantees."""
        if self.resolution == 3:
            return "main effects are not aliased with each other, but with two-factor interactions"
        if self.resolution == 4:
            return "main effects are not aliased with two-factor interactions, but some of these with each other"
        return "main effects and two-factor interactions are not aliased with each other"


def alias_table(factors: Sequence[str], columns: tuple[int, ...]) -> Aliases:
    """The alias table of a fraction with these columns (see generators.py).

    Two effects are aliases if their factors' columns have the same sum (XOR). Effects of three or more factors are
    assumed to be zero, as is usual, and left out.
    """
    positions = range(len(columns))
    chains: dict[int, list[Effect]] = {}
    for effect in [*itertools.combinations(positions, 1), *itertools.combinations(positions, 2)]:
        total = 0
        for factor in effect:
            total ^= columns[factor]
        chains.setdefault(total, []).append(effect)
    return Aliases(
        tuple(factors),
        2 ** num_base(columns),
        columns,
        tuple(defining_words(columns)),
        tuple(tuple(chain) for chain in chains.values()),
    )


def _positions(word: int) -> Effect:
    return tuple(i for i in range(word.bit_length()) if word >> i & 1)


def _letters(effect: Effect) -> str:
    return "".join(LETTERS[factor] for factor in effect)


def _signed(effect: Effect, other: Effect) -> str:
    """An effect as an alias of another: their columns are equal, or opposite if their word has odd length."""
    return ("-" if (len(effect) + len(other)) % 2 else "") + _letters(effect)
