"""Every use of randomness has its own stream, and the caller's random state is restored."""

import hashlib

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from study.vit.training.seeds import generator, own_random_state, seed_global, seed_of

CPU = torch.device("cpu")
AXES = st.lists(st.one_of(st.text(max_size=5), st.integers(0, 9)), max_size=3).map(tuple)


def test_a_seed_is_the_first_63_bits_of_a_hash_of_its_axes() -> None:
    digest = hashlib.sha256(b'[7,"order",3]').hexdigest()
    assert seed_of(7, "order", 3) == int(digest[:16], 16) // 2


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**63), AXES, st.integers(0, 2**63), AXES)
def test_different_axes_have_different_seeds(
    seed: int, axes: tuple[str | int, ...], other: int, rest: tuple[str | int, ...]
) -> None:
    assert (seed_of(seed, *axes) == seed_of(other, *rest)) == ((seed, axes) == (other, rest))


def test_text_and_number_are_different_axes() -> None:
    assert seed_of(1, "2") != seed_of(1, 2) != seed_of(12)


def test_a_stream_does_not_depend_on_earlier_draws() -> None:
    torch.rand(100, generator=generator(CPU, 1, "order", 1))
    later = torch.rand(4, generator=generator(CPU, 1, "order", 2))
    assert torch.equal(later, torch.rand(4, generator=generator(CPU, 1, "order", 2)))


def test_the_callers_random_state_is_restored() -> None:
    before = torch.get_rng_state()
    with own_random_state(CPU):
        seed_global(CPU, 1, "parameters")
        first = torch.rand(3)
        seed_global(CPU, 1, "parameters")
        assert torch.equal(first, torch.rand(3))
    assert torch.equal(before, torch.get_rng_state())


def test_the_callers_random_state_is_restored_after_an_error() -> None:
    before = torch.get_rng_state()
    try:
        with own_random_state(CPU):
            torch.rand(3)
            raise KeyError
    except KeyError:
        pass
    assert torch.equal(before, torch.get_rng_state())
