"""Seeds from named axes: every use of chance has a stream of its own, whatever ran before it.

`seed_of(7, "order", 3)` is the seed of epoch 3's data order in a stage whose seed is 7. Streams are independent of
each other and of the past, so that a stage can continue from any epoch bit for bit, and so that switching one source
of chance off leaves the others as they were.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def seed_of(seed: int, *axes: str | int) -> int:
    """The first 63 bits of SHA-256 over the canonical JSON of `[seed, *axes]`."""
    text = json.dumps([seed, *axes], separators=(",", ":"))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(device: torch.device, seed: int, *axes: str | int) -> torch.Generator:
    """A generator on `device` at the start of the stream of these axes."""
    return torch.Generator(device=device).manual_seed(seed_of(seed, *axes))


@contextmanager
def own_random_state(device: torch.device) -> Iterator[None]:
    """Leaves the caller's global random state, the CPU's and that of `device`, as it was found."""
    indices = [] if device.type == "cpu" else [device.index or 0]
    with torch.random.fork_rng(devices=indices, device_type="cuda" if device.type == "cpu" else device.type):
        yield


def seed_global(device: torch.device, seed: int, *axes: str | int) -> None:
    """Starts the stream of these axes in the global generators of the CPU and of `device`.

    For code that takes no generator (parameter initialisation, router noise), and only inside `own_random_state`.
    `torch.manual_seed` would not do: it seeds every GPU of the process, also those that the caller uses.
    """
    number = seed_of(seed, *axes)
    torch.default_generator.manual_seed(number)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(number)
