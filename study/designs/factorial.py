"""The full product of all levels."""

import itertools
import math
from collections.abc import Iterator

from study.designs.ask import Ask, Codes


def check(ask: Ask) -> None:
    """Any levels will do."""


def count(ask: Ask) -> int:
    return math.prod(ask.levels)


def cells(ask: Ask) -> Iterator[Codes]:
    yield from itertools.product(*(range(number) for number in ask.levels))
