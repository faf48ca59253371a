"""Samples of large products: seeded, nested, space-filling or random."""

import itertools
import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from study.design.kinds.design import Codes
from study.design.kinds.sample import MAX_POOL, random_cells, space_filling_cells

METHODS = [random_cells, space_filling_cells]
HUGE = [10] * 40  # too many cells to list

products = st.lists(st.integers(2, 4), min_size=1, max_size=5)


def everything(codes: Codes) -> bool:
    return True


def distance(one: Codes, other: Codes) -> int:
    return sum(a != b for a, b in zip(one, other, strict=True))


def take(method: object, levels: list[int], cells: int, seed: int = 0) -> list[Codes]:
    return list(itertools.islice(method(levels, seed, everything), cells))  # type: ignore[operator]


@pytest.mark.parametrize("method", METHODS)
@given(products, st.integers(0, 3))
@hypothesis_settings(deadline=None, max_examples=40)
def test_a_sample_as_large_as_the_product_is_the_product(method: object, levels: list[int], seed: int) -> None:
    found = take(method, levels, math.prod(levels) + 1, seed)
    assert found[0] == (0,) * len(levels)
    assert sorted(found) == list(itertools.product(*map(range, levels)))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("levels", [[3, 4, 5, 2], HUGE], ids=["small", "huge"])
def test_a_larger_sample_contains_the_smaller_one(method: object, levels: list[int]) -> None:
    large = take(method, levels, 60)
    assert len(set(large)) == 60
    assert all(0 <= code < number for codes in large for code, number in zip(codes, levels, strict=True))
    assert take(method, levels, 20) == large[:20]
    assert take(method, levels, 20, seed=1) != large[:20]


def test_samples_do_not_change_between_versions() -> None:
    """Stored results stay valid: these cells were drawn by the first version."""
    assert take(random_cells, [3, 2, 4], 5) == [(0, 0, 0), (2, 0, 1), (2, 1, 1), (0, 0, 1), (1, 0, 1)]
    assert take(random_cells, HUGE, 2)[1][:10] == (7, 1, 4, 6, 3, 5, 4, 1, 6, 1)
    assert take(space_filling_cells, [3, 2, 4], 5) == [(0, 0, 0), (2, 1, 1), (1, 1, 3), (1, 0, 2), (2, 0, 3)]


def test_random_samples_are_uniform() -> None:
    """2,000 samples of 3 of 11 cells (without the baseline): each cell is in 3/11 of them, within 4 SD."""
    counts = Counter(codes for seed in range(2000) for codes in take(random_cells, [3, 2, 2], 4, seed)[1:])
    expected = 2000 * 3 / 11
    assert len(counts) == 11
    assert all(abs(count - expected) < 4 * math.sqrt(expected * 8 / 11) for count in counts.values())


@given(st.lists(st.integers(2, 4), min_size=2, max_size=4), st.integers(0, 5))
@hypothesis_settings(deadline=None, max_examples=30)
def test_each_cell_maximises_the_distance_to_its_predecessors(levels: list[int], seed: int) -> None:
    """Against an exhaustive reference: first the distance to the nearest, then the sum of distances."""
    found = take(space_filling_cells, levels, math.prod(levels), seed)
    for i in range(1, min(len(found), 12)):
        chosen, rest = found[:i], found[i:]

        def merit(codes: Codes, chosen: list[Codes] = chosen) -> tuple[int, int]:
            apart = [distance(codes, other) for other in chosen]
            return min(apart), sum(apart)

        assert merit(found[i]) == max(merit(codes) for codes in rest)


def test_a_space_filling_sample_balances_the_levels() -> None:
    """16 of 4 x 4 x 4 x 4 cells: each level 4 times, +/- 1; its minimum distance exceeds that of a random sample."""
    found = take(space_filling_cells, [4] * 4, 16)
    counts = [Counter(column) for column in zip(*found, strict=True)]
    assert all(3 <= count[level] <= 5 for count in counts for level in range(4))
    nearest = min(distance(one, other) for one, other in itertools.combinations(found, 2))
    at_random = take(random_cells, [4] * 4, 16)
    assert nearest > min(distance(one, other) for one, other in itertools.combinations(at_random, 2))


@pytest.mark.parametrize("method", METHODS)
def test_excluded_cells_are_not_sampled(method: object) -> None:
    def odd(codes: Codes) -> bool:
        return sum(codes) % 2 == 1

    found = list(method([3, 3, 3], 0, odd))  # type: ignore[operator]
    assert found[0] == (0, 0, 0)
    assert sorted(found[1:]) == [codes for codes in itertools.product(range(3), repeat=3) if odd(codes)]


def test_sampling_ends_if_included_cells_are_too_rare() -> None:
    assert list(random_cells(HUGE, 0, lambda codes: not any(codes))) == [(0,) * 40]


def test_the_pool_of_a_large_product_is_limited() -> None:
    levels = [10] * 6
    assert len(take(space_filling_cells, levels, 50)) == 50
    assert math.prod(levels) > MAX_POOL
