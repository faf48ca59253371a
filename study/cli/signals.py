"""Ctrl-C, SIGTERM and a closed terminal during a sweep: the first stops it in order, a second at once.

Both can be resumed.
"""

import os
import signal
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from rich.console import Console

STOPPING = (
    "stopping: delivering finished stages to MLflow; running stages resume from their last checkpoint when you run the "
    "same command again; press Ctrl-C again to stop now"
)
STOPPED = "stopped: finished stages are stored; run the same command again to resume"


@contextmanager
def stop_in_order(console: Console) -> Iterator[Callable[[], None]]:
    """Inside this context, the first signal stops Ray Tune in order, and every further one raises KeyboardInterrupt.

    Ray Tune stops in order on SIGUSR1. Before it has installed its handler, the first signal raises, too. A terminal
    that is closed may send SIGHUP twice: the second is ignored, and under `nohup` all are.

    Yields a function that takes the signals back after Ray has installed handlers of its own.
    """
    received = 0

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal received
        if number == signal.SIGHUP:
            _leave_terminal()
            if received:
                return
        received += 1
        if received > 1 or not callable(signal.getsignal(signal.SIGUSR1)):
            raise KeyboardInterrupt
        console.print(STOPPING, style="yellow")
        signal.raise_signal(signal.SIGUSR1)

    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        numbers.append(signal.SIGHUP)

    def take() -> None:
        for number in numbers:
            signal.signal(number, handle)

    previous = {number: signal.getsignal(number) for number in numbers}
    take()
    try:
        yield take
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _leave_terminal() -> None:
    """Discard the output to a terminal that was closed, because writing to it fails; files still receive theirs."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        if stat.S_ISCHR(os.fstat(stream.fileno()).st_mode):
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
