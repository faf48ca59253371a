"""Ctrl-C and SIGTERM during a sweep: once ends it in order, twice at once; either way it can go on later."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from rich.console import Console

FIRST = (
    "stopping: what has finished is being delivered, what is running goes on from its last checkpoint when the same "
    "command is run again; press Ctrl-C again to stop now"
)
NOW = "stopped: what had finished is stored; run the same command again to go on"


@contextmanager
def heeded(console: Console) -> Iterator[None]:
    """While this lasts, the first signal ends the fan-out in order, and every further one raises KeyboardInterrupt.

    Ray Tune is asked by SIGUSR1, its own way to be told; where it is not at work yet, the first signal raises, too.
    """
    asked = 0

    def heed(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked += 1
        if asked > 1 or not callable(signal.getsignal(signal.SIGUSR1)):
            raise KeyboardInterrupt
        console.print(FIRST, style="yellow")
        signal.raise_signal(signal.SIGUSR1)

    before = {number: signal.signal(number, heed) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
