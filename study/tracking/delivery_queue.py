"""Delivers to someone who may be slow, away for a while, or gone: in order, in a thread of its own, with patience."""

import queue
import threading
import time
from collections.abc import Callable

Delivery = Callable[[], None]

FIRST_WAIT = 1.0  # seconds before the first new attempt; each one that fails doubles them ...
LONGEST_WAIT = 30.0  # ... up to these


class Courier:
    """Runs deliveries one after the other.

    `connect` is run first, and again after every failure, with pauses that grow; then `catch_up` shall bring over all
    that waits: what is sent while the receiver is away is dropped, and what failed is not repeated.
    """

    def __init__(self, connect: Delivery, catch_up: Delivery) -> None:
        self.problem: Exception | None = None  # why the receiver is away; None while it is there
        self.hurried = threading.Event()  # set once time is up: long deliveries look at it and end early
        self._connect, self._catch_up = connect, catch_up
        self._wait, self._retry_at = FIRST_WAIT, 0.0
        self._waiting: queue.SimpleQueue[Delivery | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="courier", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def send(self, delivery: Delivery) -> None:
        """Have something delivered when its turn comes, if the receiver is there then."""
        self._waiting.put(lambda: self._pass_on(delivery, drop=self.hurried.is_set()))

    def flush(self, seconds: float | None) -> bool:
        """Wait until all is delivered, for `seconds` at the most (None: as long as it takes). A receiver that is away
        is tried once more. Whether all was delivered."""
        done = threading.Event()
        self._waiting.put(lambda: self._settle(done))
        if not done.wait(seconds):
            self.hurried.set()
            return False
        return self.problem is None

    def stop(self, last: Delivery, seconds: float) -> bool:
        """Deliver one last thing and end, within `seconds`. Whether the end was reached; if not, the thread is left
        to itself and ends with the process."""
        self._waiting.put(lambda: self._pass_on(last))
        self._waiting.put(None)
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        self._reach()
        while True:
            try:
                delivery = self._waiting.get(timeout=self._until_retry())
            except queue.Empty:
                self._reach()
                continue
            if delivery is None:
                return
            delivery()

    def _until_retry(self) -> float | None:
        return max(0.0, self._retry_at - time.monotonic()) if self.problem else None

    def _settle(self, done: threading.Event) -> None:
        if self.problem is None:
            self._attempt(self._catch_up)
        else:
            self._reach()
        done.set()

    def _pass_on(self, delivery: Delivery, drop: bool = False) -> None:
        if self.problem is None and not drop:
            self._attempt(delivery)

    def _reach(self) -> None:
        if self._attempt(self._connect) and self._attempt(self._catch_up):
            self.problem, self._wait = None, FIRST_WAIT

    def _attempt(self, delivery: Delivery) -> bool:
        try:
            delivery()
        except Exception as error:  # whatever a server or its client may raise
            self.problem, self._retry_at = error, time.monotonic() + self._wait
            self._wait = min(2 * self._wait, LONGEST_WAIT)
            return False
        return True
