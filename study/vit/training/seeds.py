"""Seeds from named axes: every use of randomness has its own stream, independent of what ran before.

`seed_of(7, "order", 3)` is the seed of epoch 3's data order in a stage with seed 7. Streams are independent of each
other and of the past, so a stage can resume at any epoch bit for bit, and switching one source of randomness off does
not change the others.
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
    """Restore the caller's global random state, of the CPU and of `device`, at the end."""
    indices = [] if device.type == "cpu" else [device.index or 0]
    with torch.random.fork_rng(devices=indices, device_type="cuda" if device.type == "cpu" else device.type):
        yield


def seed_global(device: torch.device, seed: int, *axes: str | int) -> None:
    """Start the stream of these axes in the global generators of the CPU and of `device`.

    For code that accepts no generator (parameter initialization, router noise); only inside `own_random_state`.
    Not `torch.manual_seed`, which seeds every GPU of the process, including those that the caller uses.
    """
    number = seed_of(seed, *axes)
    torch.default_generator.manual_seed(number)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(number)
