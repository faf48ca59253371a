"""Regular fractions of a two-level product, chosen by resolution (Box & Hunter 1961, Technometrics 3:311).

A fraction of k factors in 2^b cells is given by k columns: integers whose bits are a subset of the b base factors.
Factor i is at its other level if an odd number of the base factors in its column are. The first b columns are the base
factors themselves, so the baseline cell is always included. A word is a set of factors, as bits, whose columns sum to
zero (XOR); the resolution is the length of the shortest word.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache

MAX_FACTORS = 20  # an alias table of more factors is unreadable
MAX_EXACT = 11  # the search over generators is exhaustive up to this number of factors

Pattern = tuple[int, ...]  # the number of words of length 0, 1, 2, ...


@lru_cache
def choose_columns(factors: int, resolution: int) -> tuple[int, ...] | None:
    """The columns of the smallest fraction of at least this resolution, None if only the full product has it.

    Among fractions of equal size it has minimum aberration: the fewest shortest words, then the fewest of the next
    length, and so on (Fries & Hunter 1980, Technometrics 22:601). Above MAX_EXACT factors the search is greedy: the
    fraction has the resolution, but one of lower aberration may exist.
    """
    choose = _best if factors <= MAX_EXACT else _greedy
    for base in range(1, factors):
        if 2**base >= _fewest_cells(factors, resolution) and (found := choose(factors, base, resolution)):
            return found
    return None


def defining_words(columns: Sequence[int]) -> list[int]:
    """All words of a fraction as sets of factors (bits), the shortest first: 2^(factors - base) - 1 of them."""
    words = [0]
    base = num_base(columns)
    for factor, column in enumerate(columns[base:], start=base):
        word = column | 1 << factor  # base factors come first, so a column is also a set of factors
        words += [word ^ other for other in words]
    return sorted(words[1:], key=lambda word: (word.bit_count(), _members(word)))


def num_base(columns: Sequence[int]) -> int:
    """The number of base factors; the fraction has 2^base cells."""
    return max(column.bit_length() for column in columns)


def _members(word: int) -> list[int]:
    return [i for i in range(word.bit_length()) if word >> i & 1]


def _fewest_cells(factors: int, resolution: int) -> int:
    """A lower bound on the number of cells.

    The mean, each main effect and, in resolution 5, each two-factor interaction take one degree of freedom; resolution
    4 requires at least twice as many cells as factors.
    """
    if resolution == 4:
        return 2 * factors
    return 1 + factors + (factors * (factors - 1) // 2 if resolution == 5 else 0)


def _candidates(base: int, resolution: int) -> list[int]:
    """Columns whose word has at least this length, the longest first."""
    columns = [column for column in range(1, 2**base) if column.bit_count() >= resolution - 1]
    return sorted(columns, key=lambda column: (-column.bit_count(), column))


def _best(factors: int, base: int, resolution: int) -> tuple[int, ...] | None:
    """The generators of minimum aberration, by branch and bound."""
    return _Comparison(factors, base, resolution).run()


class _Comparison:
    """Depth-first search. A set keeps its words when a generator is added, so its pattern is a lower bound."""

    def __init__(self, factors: int, base: int, resolution: int) -> None:
        self.factors, self.base, self.resolution = factors, base, resolution
        self.candidates = _candidates(base, resolution)
        self.best: Pattern | None = None
        self.columns: tuple[int, ...] | None = None

    def run(self) -> tuple[int, ...] | None:
        self._extend((), [0], (0,) * (self.factors + 1), 0)
        return self.columns and tuple(1 << i for i in range(self.base)) + self.columns

    def _extend(self, chosen: tuple[int, ...], words: list[int], pattern: Pattern, start: int) -> None:
        if len(chosen) == self.factors - self.base:
            self.best, self.columns = pattern, chosen
            return
        for position in range(start, len(self.candidates)):
            column = self.candidates[position]
            if not chosen and column & (column + 1):
                continue  # base factors are interchangeable: the first generator uses the lowest ones
            word = column | 1 << (self.base + len(chosen))
            made = [word ^ other for other in words]
            if min(other.bit_count() for other in made) < self.resolution:
                continue
            longer = _added(pattern, made)
            if self.best is None or longer < self.best:
                self._extend((*chosen, column), words + made, longer, position + 1)


def _added(pattern: Pattern, words: list[int]) -> Pattern:
    counts = list(pattern)
    for word in words:
        counts[word.bit_count()] += 1
    return tuple(counts)


def _greedy(factors: int, base: int, resolution: int) -> tuple[int, ...] | None:
    candidates = _candidates(base, resolution)
    odd = [column for column in candidates if column.bit_count() % 2]  # with these all words are even: resolution 4
    return _grown(factors, base, resolution, candidates) or (_grown(factors, base, 4, odd) if resolution == 4 else None)


def _grown(factors: int, base: int, resolution: int, candidates: list[int]) -> tuple[int, ...] | None:
    """Repeatedly add the generator that creates the fewest words of three factors, then of four."""
    columns = [1 << i for i in range(base)]
    while len(columns) < factors:
        pairs, triples = _sums(columns, 2), _sums(columns, 3)
        made = {column: (pairs.get(column, 0), triples.get(column, 0)) for column in candidates}
        apart = [column for column in candidates if column not in columns and not any(made[column][: resolution - 3])]
        if not apart:
            return None
        columns.append(min(apart, key=lambda column: made[column]))
    return tuple(columns)


def _sums(columns: list[int], size: int) -> dict[int, int]:
    """The number of sets of `size` columns whose sum is a given column."""
    counts: dict[int, int] = {}
    for total in _totals(columns, size):
        counts[total] = counts.get(total, 0) + 1
    return counts


def _totals(columns: list[int], size: int) -> Iterator[int]:
    for i, column in enumerate(columns):
        if size == 1:
            yield column
        else:
            yield from (column ^ rest for rest in _totals(columns[i + 1 :], size - 1))
