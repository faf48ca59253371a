"""A background thread that delivers to a server, in order, with exponential back-off while the server is down."""

import queue
import threading
import time
from collections.abc import Callable

Delivery = Callable[[], None]

FIRST_WAIT = 1.0  # seconds before the first retry; doubled by each failed attempt ...
LONGEST_WAIT = 30.0  # ... up to this


class DeliveryQueue:
    """Runs deliveries one after the other.

    `connect` runs first, and again after every failure, with exponential back-off. After each connection `catch_up`
    delivers everything that is missing. So deliveries that are sent while the server is down are dropped, and failed
    ones are not repeated.
    """

    def __init__(self, connect: Delivery, catch_up: Delivery) -> None:
        self.problem: Exception | None = None  # the last error while the server is down; None while it is up
        self.timed_out = threading.Event()  # set when a flush timed out: long deliveries check it and return early
        self._connect, self._catch_up = connect, catch_up
        self._wait, self._retry_at = FIRST_WAIT, 0.0
        self._queue: queue.SimpleQueue[Delivery | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="delivery-queue", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def send(self, delivery: Delivery) -> None:
        """Queue a delivery. It is dropped if the server is down when its turn comes."""
        self._queue.put(lambda: self._deliver(delivery, drop=self.timed_out.is_set()))

    def flush(self, timeout: float | None) -> bool:
        """Wait until everything is delivered, at most `timeout` seconds (None: no limit). After a failure the server is
        tried once more. Returns whether everything was delivered."""
        done = threading.Event()
        self._queue.put(lambda: self._settle(done))
        if not done.wait(timeout):
            self.timed_out.set()
            return False
        return self.problem is None

    def stop(self, last: Delivery, timeout: float) -> bool:
        """Run one last delivery, retried once, and end the thread, within `timeout` seconds. Returns whether it ended;
        if not, the daemon thread ends with the process."""
        self._queue.put(lambda: self._deliver_last(last))
        self._queue.put(None)
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        self._reconnect()
        while True:
            try:
                delivery = self._queue.get(timeout=self._until_retry())
            except queue.Empty:
                self._reconnect()
                continue
            if delivery is None:
                return
            delivery()

    def _until_retry(self) -> float | None:
        return max(0.0, self._retry_at - time.monotonic()) if self.problem else None

    def _settle(self, done: threading.Event) -> None:
        if self.problem is not None or not self._attempt(self._catch_up):
            self._reconnect()  # also after one failed request: a server may close an idle connection at that moment
        done.set()

    def _deliver_last(self, last: Delivery) -> None:
        if self.problem is None and not self._attempt(last):
            self._reconnect()
            self._deliver(last)

    def _deliver(self, delivery: Delivery, drop: bool = False) -> None:
        if self.problem is None and not drop:
            self._attempt(delivery)

    def _reconnect(self) -> None:
        if self._attempt(self._connect) and self._attempt(self._catch_up):
            self.problem, self._wait = None, FIRST_WAIT

    def _attempt(self, delivery: Delivery) -> bool:
        try:
            delivery()
        except Exception as error:  # any error of a server or of its client
            self.problem, self._retry_at = error, time.monotonic() + self._wait
            self._wait = min(2 * self._wait, LONGEST_WAIT)
            return False
        return True
