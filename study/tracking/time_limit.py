"""A time limit for a whole request: a server that sends a byte per second never exceeds the timeout of a socket."""

import threading
from collections.abc import Callable
from typing import TypeVar

from study.utils.errors import StudyError

Answer = TypeVar("Answer")

_unanswered: dict[str, threading.Thread] = {}  # by server: a request that exceeded its limit and still runs


def within(seconds: float, server: str, request: Callable[[], Answer]) -> Answer:
    """The result of a request that runs in a thread of its own. Raises what the request raises.

    Raises StudyError after the limit, and at once while an earlier request to the same server has not ended: a thread
    cannot be stopped, and one per server is left to end with its connection or with the process.
    """
    if (before := _unanswered.get(server)) is not None and before.is_alive():
        raise StudyError("the server has not completed its answer to an earlier request")
    answers: list[Answer] = []
    errors: list[Exception] = []

    def run() -> None:
        try:
            answers.append(request())
        except Exception as error:  # raised again below, in the thread that waits
            errors.append(error)

    thread = threading.Thread(target=run, name="mlflow-request", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        _unanswered[server] = thread
        raise StudyError(f"the server did not complete its answer within {seconds:.0f} s")
    if errors:
        raise errors[0]
    return answers[0]
