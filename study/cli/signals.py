"""Ctrl-C and SIGTERM during a sweep: the first stops it in order, the second at once. Both can be resumed."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from rich.console import Console

STOPPING = (
    "stopping: delivering finished stages to MLflow; running stages resume from their last checkpoint when you run the "
    "same command again; press Ctrl-C again to stop now"
)
STOPPED = "stopped: finished stages are stored; run the same command again to resume"


@contextmanager
def stop_in_order(console: Console) -> Iterator[None]:
    """Inside this context, the first signal stops Ray Tune in order, and every further one raises KeyboardInterrupt.

    Ray Tune stops in order on SIGUSR1. Before it has installed its handler, the first signal raises, too.
    """
    received = 0

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal received
        received += 1
        if received > 1 or not callable(signal.getsignal(signal.SIGUSR1)):
            raise KeyboardInterrupt
        console.print(STOPPING, style="yellow")
        signal.raise_signal(signal.SIGUSR1)

    previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
