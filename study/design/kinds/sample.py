"""Samples of a product that is too large to run in full: the first N cells of a fixed sequence.

A larger sample therefore contains a smaller one. The sequence depends only on the grid's seed, the numbers of levels
and the excluded cells.
"""

import itertools
import math
import random
from collections.abc import Callable, Iterator, Sequence

from study.design.kinds.design import Codes

MAX_LISTED = 100_000  # a product up to this size is shuffled in full; cells of a larger one are drawn
MAX_REJECTED = 100_000  # consecutive draws without a new cell before giving up
MAX_POOL = 10_000  # candidates of space_filling_cells

IsIncluded = Callable[[Codes], bool]


def random_cells(levels: Sequence[int], seed: int, is_included: IsIncluded) -> Iterator[Codes]:
    """The baseline, then all included cells in uniformly random order.

    Ends after the last one; in a product too large to list, after MAX_REJECTED consecutive draws without a new cell.
    """
    baseline = (0,) * len(levels)
    yield baseline
    numbers = random.Random(f"sample of a product, seed {seed}")  # random() is stable across Python versions
    if math.prod(levels) <= MAX_LISTED:
        yield from (codes for codes in _shuffled(levels, numbers) if codes != baseline and is_included(codes))
    else:
        yield from _drawn(levels, numbers, is_included)


def space_filling_cells(levels: Sequence[int], seed: int, is_included: IsIncluded) -> Iterator[Codes]:
    """The baseline, then repeatedly the cell with the largest Hamming distance to its nearest predecessor.

    Ties are broken by the largest sum of distances to all predecessors, which favours the levels used least. This is a
    greedy maximin distance design (Johnson, Moore & Ylvisaker 1990, J. Stat. Plan. Inference 26:131; sequential as in
    Kennard & Stone 1969, Technometrics 11:137), chosen from the first MAX_POOL cells in random order.
    """
    import numpy as np  # local: loading a grid without a sample does not need it

    pool = np.array(list(itertools.islice(random_cells(levels, seed, is_included), MAX_POOL)), dtype=np.int32)
    nearest, total = np.full(len(pool), len(levels) + 1), np.zeros(len(pool), dtype=np.int64)
    position, most = 0, len(levels) * len(pool) + 1
    for _ in range(len(pool)):
        yield tuple(int(code) for code in pool[position])
        distance = (pool != pool[position]).sum(axis=1)
        nearest, total = np.minimum(nearest, distance), total + distance
        position = int((nearest * most + total).argmax())  # by nearest, then by sum, then in random order


def _shuffled(levels: Sequence[int], numbers: random.Random) -> list[Codes]:
    keyed = [(numbers.random(), codes) for codes in itertools.product(*map(range, levels))]
    return [codes for _, codes in sorted(keyed)]


def _drawn(levels: Sequence[int], numbers: random.Random, is_included: IsIncluded) -> Iterator[Codes]:
    """Distinct included cells other than the baseline, drawn with replacement from the product."""
    seen: set[Codes] = {(0,) * len(levels)}
    rejected = 0
    while rejected < MAX_REJECTED:
        codes = tuple(int(numbers.random() * count) for count in levels)
        new = codes not in seen and is_included(codes)
        rejected = 0 if new else rejected + 1
        seen.add(codes)
        if new:
            yield codes
