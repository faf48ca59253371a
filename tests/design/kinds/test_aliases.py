"""Fractions of two-level products against published tables and against products of +1/-1 columns.

Sources: [BHH] Box, Hunter & Hunter, Statistics for Experimenters, 2nd edition 2005, chapter 6; [M] Montgomery, Design
and Analysis of Experiments, 8th edition 2013, chapter 8 (its table of selected fractions) and its appendix of alias
relationships; [CSW] Chen, Sun & Wu 1993, A catalogue of two-level and three-level fractional factorial designs with
small runs, International Statistical Review 61:131-145.
"""

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from study.design.kinds.aliases import LETTERS, Aliases, alias_table
from study.design.kinds.generators import MAX_FACTORS, choose_columns, defining_words, num_base

Integers = npt.NDArray[np.int64]


def bits(letters: str) -> int:
    return sum(1 << LETTERS.index(letter) for letter in letters)


def columns_of(base: int, *generators: str) -> tuple[int, ...]:
    """The columns of published generators: columns_of(3, "ABC") is D = ABC."""
    return (*(1 << i for i in range(base)), *map(bits, generators))


def table(columns: tuple[int, ...]) -> Aliases:
    return alias_table([f"factor {i}" for i in range(len(columns))], columns)


def unsigned(texts: Sequence[str]) -> set[frozenset[str]]:
    """Chains without their signs and order."""
    return {frozenset(text.replace("-", "").split(" = ")) for text in texts}


def chains(text: str) -> set[frozenset[str]]:
    """AB=CD, AC=BD -> {{AB, CD}, {AC, BD}}"""
    return {frozenset(chain.split("=")) for chain in text.split(", ")}


def plus_minus(columns: Sequence[int]) -> Integers:
    """(cells, factors) of +1 and -1; the baseline, at -1 throughout, comes first."""
    base = num_base(columns)
    codes = [
        [sum(run >> i & 1 for i in range(base) if column >> i & 1) % 2 for column in columns] for run in range(2**base)
    ]
    return np.array(codes) * 2 - 1


# --- textbook designs ---


def test_2_4_1_resolution_iv() -> None:
    """[BHH], [M]: D = ABC, so I = ABCD."""
    found = table(columns_of(3, "ABC"))
    assert (found.generators, found.relation, found.resolution) == (["D = ABC"], "I = ABCD", 4)
    assert found.aliased == ["AB = CD", "AC = BD", "AD = BC"]
    assert found.clear == ["A", "B", "C", "D"]


def test_2_5_1_resolution_v() -> None:
    """[BHH], [M]: E = ABCD; no main effect or two-factor interaction is aliased. Odd words have the sign -."""
    found = table(columns_of(4, "ABCD"))
    assert (found.generators, found.relation, found.resolution) == (["E = -ABCD"], "I = -ABCDE", 5)
    assert found.aliased == []
    assert len(found.clear) == 5 + 10


def test_2_5_2_resolution_iii() -> None:
    """[M], appendix: D = AB, E = AC; I = ABD = ACE = BCDE."""
    found = table(columns_of(3, "AB", "AC"))
    assert found.relation == "I = -ABD = -ACE = BCDE"
    assert found.resolution == 3
    assert unsigned(found.aliased) == chains("A=BD=CE, B=AD, C=AE, D=AB, E=AC, BC=DE, BE=CD")
    assert found.clear == []


def word_lengths(words: Sequence[int], factors: int) -> tuple[int, ...]:
    """The number of words of each length from 0 to the number of factors."""
    lengths = [word.bit_count() for word in words]
    return tuple(lengths.count(length) for length in range(factors + 1))


def test_2_7_4_resolution_iii() -> None:
    """[BHH], [M]: D = AB, E = AC, F = BC, G = ABC."""
    found = table(columns_of(3, "AB", "AC", "BC", "ABC"))
    assert found.resolution == 3
    assert unsigned(found.aliased) == chains(
        "A=BD=CE=FG, B=AD=CF=EG, C=AE=BF=DG, D=AB=CG=EF, E=AC=BG=DF, F=BC=AG=DE, G=CD=BE=AF"
    )
    assert found.clear == []
    assert word_lengths(found.words, 7) == (0, 0, 0, 7, 7, 0, 0, 1)
    assert unsigned([found.relation]) == chains(
        "I=ABD=ACE=BCF=AFG=BEG=CDG=DEF=ABCG=ABEF=ACDF=ADEG=BCDE=BDFG=CEFG=ABCDEFG"
    )


def test_2_7_3_resolution_iv() -> None:
    """[BHH], [M], appendix: E = ABC, F = BCD, G = ACD."""
    found = table(columns_of(4, "ABC", "BCD", "ACD"))
    assert unsigned([found.relation]) == chains("I=ABCE=BCDF=ACDG=ADEF=BDEG=ABFG=CEFG")
    assert unsigned(found.aliased) == chains("AB=CE=FG, AC=BE=DG, AD=CG=EF, AE=BC=DF, AF=BG=DE, AG=BF=CD, BD=CF=EG")
    assert found.clear == list("ABCDEFG")


# --- published generators and their words ---

PUBLISHED = [  # factors, requested resolution, cells, resolution, generators
    (3, 3, 4, 3, ["AB"]),
    (4, 4, 8, 4, ["ABC"]),
    (5, 3, 8, 3, ["AB", "AC"]),
    (5, 5, 16, 5, ["ABCD"]),
    (6, 3, 8, 3, ["AB", "AC", "BC"]),
    (6, 4, 16, 4, ["ABC", "BCD"]),
    (6, 5, 32, 6, ["ABCDE"]),
    (7, 3, 8, 3, ["AB", "AC", "BC", "ABC"]),
    (7, 4, 16, 4, ["ABC", "BCD", "ACD"]),
    (7, 5, 64, 7, ["ABCDEF"]),
    (8, 4, 16, 4, ["BCD", "ACD", "ABC", "ABD"]),
    (8, 5, 64, 5, ["ABCD", "ABEF"]),
    (9, 3, 16, 3, ["ABC", "BCD", "ACD", "ABD", "ABCD"]),
    (9, 4, 32, 4, ["BCDE", "ACDE", "ABDE", "ABCE"]),
    (9, 5, 128, 6, ["ACDFG", "BCEFG"]),
    (10, 3, 16, 3, ["ABC", "BCD", "ACD", "ABD", "ABCD", "AB"]),
    (10, 4, 32, 4, ["ABCD", "ABCE", "ABDE", "ACDE", "BCDE"]),
    (10, 5, 128, 5, ["ABCG", "BCDE", "ACDF"]),
    (11, 3, 16, 3, ["ABC", "BCD", "ACD", "ABD", "ABCD", "AB", "AC"]),
    (11, 4, 32, 4, ["ABC", "BCD", "CDE", "ACD", "ADE", "BDE"]),
    (11, 5, 128, 5, ["ABCG", "BCDE", "ACDF", "ABCDEFG"]),
]  # [M], the table of selected fractions; [BHH] has the same


@pytest.mark.parametrize(("factors", "requested", "cells", "resolution", "generators"), PUBLISHED)
def test_the_chosen_fraction_matches_the_published_one(
    factors: int, requested: int, cells: int, resolution: int, generators: list[str]
) -> None:
    """Equal numbers of cells and of words of each length: minimum aberration."""
    chosen = choose_columns(factors, requested)
    assert chosen is not None
    published = columns_of(factors - len(generators), *generators)
    assert 2 ** num_base(chosen) == cells
    assert table(chosen).resolution == resolution
    assert word_lengths(defining_words(chosen), factors) == word_lengths(defining_words(published), factors)


@pytest.mark.parametrize(
    ("factors", "resolution", "lengths"),
    [  # [CSW]: words of length 3, 4, 5, ...
        (9, 4, (0, 6, 8, 0, 0, 1, 0)),
        (10, 4, (0, 10, 16, 0, 0, 5, 0, 0)),
        (11, 4, (0, 25, 0, 27, 0, 10, 0, 1, 0)),
        (12, 3, (16, 39, 48, 48, 48, 39, 16, 0, 0, 1)),
        (15, 3, (35, 105, 168, 280, 435, 435, 280, 168, 105, 35, 0, 0, 1)),
    ],
)
def test_word_lengths_match_the_catalogue(factors: int, resolution: int, lengths: tuple[int, ...]) -> None:
    chosen = choose_columns(factors, resolution)
    assert chosen is not None
    assert word_lengths(defining_words(chosen), factors)[3:] == lengths


def test_no_fraction_has_a_resolution_above_the_number_of_factors() -> None:
    assert [choose_columns(number, 5) for number in (1, 2, 3, 4)] == [None] * 4
    assert [choose_columns(number, 4) for number in (1, 2, 3)] == [None] * 3
    assert [choose_columns(number, 3) for number in (1, 2)] == [None] * 2


# --- any fraction ---

requests = st.tuples(st.integers(3, MAX_FACTORS), st.sampled_from([3, 4, 5])).filter(lambda pair: pair[0] >= pair[1])


@given(requests)
@hypothesis_settings(max_examples=60, deadline=None)
def test_every_chosen_fraction_is_orthogonal_and_has_its_resolution(pair: tuple[int, int]) -> None:
    """Main effects are orthogonal to the mean and to each other; in resolution 4 also to two-factor interactions; in 5
    these to each other."""
    factors, resolution = pair
    columns = choose_columns(factors, resolution)
    assert columns is not None
    x = plus_minus(columns)
    assert len(np.unique(x, axis=0)) == 2 ** num_base(columns) < 2**factors
    assert (x[0] == -1).all()
    pairs = np.stack([x[:, i] * x[:, j] for i, j in itertools.combinations(range(factors), 2)], axis=1)
    assert (x.T @ x == len(x) * np.eye(factors)).all()
    assert (x.sum(axis=0) == 0).all()
    assert (pairs.sum(axis=0) == 0).all()
    if resolution >= 4:
        assert (x.T @ pairs == 0).all()
    if resolution == 5:
        assert (pairs.T @ pairs == len(x) * np.eye(pairs.shape[1])).all()
    assert table(columns).resolution >= resolution


@st.composite
def fractions(draw: st.DrawFn) -> tuple[int, ...]:
    """Any regular fraction."""
    base = draw(st.integers(2, 5))
    columns = st.integers(1, 2**base - 1).filter(lambda column: column.bit_count() > 1)
    return (*(1 << i for i in range(base)), *draw(st.lists(columns, min_size=1, max_size=4, unique=True)))


@given(fractions())
@hypothesis_settings(deadline=None)
def test_alias_chains_match_products_of_columns(columns: tuple[int, ...]) -> None:
    """The reference multiplies the +1/-1 columns and compares every pair of effects with its sign."""
    x = plus_minus(columns)
    effects = [(i,) for i in range(len(columns))] + list(itertools.combinations(range(len(columns)), 2))
    values = {"".join(LETTERS[i] for i in effect): x[:, effect].prod(axis=1) for effect in effects}
    found = table(columns)
    together = [text.split(" = ") for text in found.aliased] + [[letter] for letter in found.clear]
    assert sorted(effect.lstrip("-") for chain in together for effect in chain) == sorted(values)
    for chain in together:
        for effect in chain:
            sign = -1 if effect.startswith("-") else 1
            assert (sign * values[effect.lstrip("-")] == values[chain[0]]).all()
    for one, other in itertools.combinations(together, 2):
        assert values[one[0]] @ values[other[0]] == 0


@given(fractions())
@hypothesis_settings(deadline=None)
def test_defining_words_are_the_sets_of_factors_with_constant_product(columns: tuple[int, ...]) -> None:
    """The reference checks all sets of factors; the product is -1 for a word of odd length, otherwise +1."""
    x = plus_minus(columns)
    sets = [s for size in range(1, len(columns) + 1) for s in itertools.combinations(range(len(columns)), size)]
    constant = {s: x[:, s].prod(axis=1) for s in sets if len(set(x[:, s].prod(axis=1))) == 1}
    assert sorted(defining_words(columns)) == sorted(sum(1 << i for i in s) for s in constant)
    assert all((product == (-1) ** len(s)).all() for s, product in constant.items())
    assert table(columns).resolution == min(map(len, constant))
