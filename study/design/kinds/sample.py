"""Some cells of a product that is too large to run whole: the first N of a fixed sequence, so a sample that grows keeps
the cells it had. The sequence depends on the grid's seed and the numbers of levels alone.
"""

import itertools
import math
import random
from collections.abc import Callable, Iterator, Sequence

from study.design.kinds.ask import Codes

MAX_LISTED = 100_000  # a product up to this size is shuffled as a whole
MAX_VAIN = 100_000  # draws in a row that bring nothing new, before giving up
MAX_POOL = 10_000  # cells among which space-filling chooses

Allowed = Callable[[Codes], bool]


def random_cells(levels: Sequence[int], seed: int, allowed: Allowed) -> Iterator[Codes]:
    """The baseline, then all allowed cells in random order, each as likely as any other to be next.

    Ends where there are no more; in a product too large to be listed, where they are too rare to be found.
    """
    baseline = (0,) * len(levels)
    yield baseline
    numbers = random.Random(f"sample of a product, seed {seed}")  # `random()` of equal seeds is equal in all versions
    if math.prod(levels) <= MAX_LISTED:
        yield from (codes for codes in _shuffled(levels, numbers) if codes != baseline and allowed(codes))
    else:
        yield from _drawn(levels, numbers, allowed)


def space_filling_cells(levels: Sequence[int], seed: int, allowed: Allowed) -> Iterator[Codes]:
    """The baseline, then again and again a cell that differs in the most factors from the nearest one before it.

    Among equals, that which differs from all before it in the most factors, summed: it has the levels used least. This
    is a greedy maximin distance design (Johnson, Moore & Ylvisaker 1990, J. Stat. Plan. Inference 26:131; point by
    point as in Kennard & Stone 1969, Technometrics 11:137), chosen from the first MAX_POOL cells in random order.
    """
    import numpy as np  # only here: plans are read without it

    pool = np.array(list(itertools.islice(random_cells(levels, seed, allowed), MAX_POOL)), dtype=np.int32)
    nearest, total = np.full(len(pool), len(levels) + 1), np.zeros(len(pool), dtype=np.int64)
    position, most = 0, len(levels) * len(pool) + 1
    for _ in range(len(pool)):
        yield tuple(int(code) for code in pool[position])
        distance = (pool != pool[position]).sum(axis=1)
        nearest, total = np.minimum(nearest, distance), total + distance
        position = int((nearest * most + total).argmax())  # by the nearest, then by the sum, then in random order


def _shuffled(levels: Sequence[int], numbers: random.Random) -> list[Codes]:
    keyed = [(numbers.random(), codes) for codes in itertools.product(*map(range, levels))]
    return [codes for _, codes in sorted(keyed)]


def _drawn(levels: Sequence[int], numbers: random.Random, allowed: Allowed) -> Iterator[Codes]:
    """Draws from a product, each cell once, the baseline apart."""
    seen: set[Codes] = {(0,) * len(levels)}
    vain = 0
    while vain < MAX_VAIN:
        codes = tuple(int(numbers.random() * count) for count in levels)
        new = codes not in seen and allowed(codes)
        vain = 0 if new else vain + 1
        seen.add(codes)
        if new:
            yield codes
