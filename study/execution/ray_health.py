"""Notices that Ray has died under a driver: the GCS, which runs a cluster, or the raylet of the driver's machine.

By itself Ray reports the stages as failed meanwhile, and ends the process after up to a minute, without a message.
"""

import contextlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType

import ray

from study.execution.ray_cluster import disconnect
from study.utils.errors import RayLostError

PROBE_SECONDS = 0.5  # between probes
CONNECT_SECONDS = 2.0  # for one connection
OWN_SECONDS = 1.0  # nothing listens for so long: Ray of this process has died, because nobody starts it again
CLUSTER_SECONDS = 5.0  # likewise a cluster
LEAVE_SECONDS = 5.0  # for the main thread to react: calls of Ray may wait for the GCS for a minute
UNREACHABLE_SECONDS = 40.0  # no answer, as after a power cut or without a network; Ray itself gives up after 60 s

Endpoint = tuple[str, int]  # host and port


class _LostSignal(BaseException):  # no Exception: Tune must not take it for the error of a trial
    """Raised in the main thread wherever it is."""


@contextlib.contextmanager
def watched(own: bool) -> Iterator[None]:
    """Raise RayLostError if Ray dies inside this context. `own`: this process started it.

    If a call of Ray does not return, the process prints the error and exits instead. Nothing is watched outside the
    main thread, because only there a signal interrupts Ray.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    watch = _Watch(_endpoints(), OWN_SECONDS if own else CLUSTER_SECONDS)
    previous = signal.signal(signal.SIGUSR2, watch.interrupt)
    watch.start()
    try:
        yield
    except _LostSignal:
        raise RayLostError(watch.lost) from None
    except Exception as error:
        if watch.lost_soon():  # Ray raised first
            raise RayLostError(watch.lost) from error
        raise
    finally:
        watch.stop()
        signal.signal(signal.SIGUSR2, previous)


def _endpoints() -> dict[str, Endpoint]:
    context = ray.get_runtime_context()
    host, _, port = context.gcs_address.rpartition(":")
    found = {"GCS": (host.strip("[]"), int(port))}
    for node in ray.nodes():  # type: ignore[no-untyped-call]  # Ray leaves it untyped
        if node["NodeID"] == context.get_node_id():
            found["raylet"] = (node["NodeManagerAddress"], int(node["NodeManagerPort"]))
    return found


class _Watch(threading.Thread):
    """Connects to the GCS and the raylet again and again; interrupts the main thread if one of them is lost."""

    def __init__(self, endpoints: dict[str, Endpoint], refused_seconds: float) -> None:
        super().__init__(name="ray-health", daemon=True)
        self.lost = ""  # what was lost
        self._endpoints, self._refused_seconds = endpoints, refused_seconds
        self._ended = threading.Event()

    def run(self) -> None:
        since: dict[str, float] = {}  # when a part was first not reached
        while not self._ended.wait(PROBE_SECONDS):
            for name, endpoint in self._endpoints.items():
                limit = self._limit(endpoint)
                if limit is None:
                    since.pop(name, None)
                elif time.monotonic() - since.setdefault(name, time.monotonic()) >= limit:
                    self._report(name, endpoint)
                    return

    def interrupt(self, number: int, frame: FrameType | None) -> None:
        """The handler of the signal."""
        if self.lost and not self._ended.is_set():
            raise _LostSignal

    def lost_soon(self) -> bool:
        """Whether a part is lost, which may be noticed only some seconds after an error of Ray."""
        if any(self._limit(endpoint) is not None for endpoint in self._endpoints.values()):
            self.join(self._refused_seconds + 2 * (PROBE_SECONDS + CONNECT_SECONDS))
        return bool(self.lost)

    def stop(self) -> None:
        self._ended.set()

    def _limit(self, endpoint: Endpoint) -> float | None:
        """None if something listens, otherwise for how many seconds that is tolerated."""
        try:
            socket.create_connection(endpoint, timeout=CONNECT_SECONDS).close()
        except ConnectionRefusedError:
            return self._refused_seconds
        except OSError:
            return UNREACHABLE_SECONDS
        return None

    def _report(self, name: str, endpoint: Endpoint) -> None:
        self.lost = f"{name} at {endpoint[0]}:{endpoint[1]}"
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR2)
        if not self._ended.wait(LEAVE_SECONDS):
            disconnect(lost=True)
            print(f"\nerror: {RayLostError(self.lost)}", file=sys.stderr, flush=True)
            os._exit(RayLostError.EXIT_CODE)
