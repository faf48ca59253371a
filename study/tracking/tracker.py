"""What a sweep tells its mirror, as it runs."""

from collections.abc import Mapping
from pathlib import Path

from study.design.stages import Stage
from study.design.study import Study, Trial
from study.planning.events import Listener, Outcome
from study.store.results import Store
from study.tracking.delivery_queue import Courier
from study.tracking.mirror import Mirror
from study.tracking.server import is_file
from study.utils.redact import masked

FLUSH_SECONDS = 60.0  # that the end of a sweep waits for a slow server, before it leaves the rest to `study sync`;
# a file of this machine takes as long as it takes: thousands of runs of very short stages, some minutes
LAST_SECONDS = 15.0  # that the end of a sweep waits for its own run to be closed


class Tracker(Listener):
    """Delivers a sweep as it runs. Use as a context manager; nothing here raises because of the server.

    Running stages are shown as they run. A stage that has ended before the server came to its start is delivered at one
    go, in half as many calls: so a slow server, or a sweep of very short stages, does not fall behind. A server that is
    away is tried again and again while the sweep goes on; what it missed waits in the store.
    """

    def __init__(self, study: Study, store: Store, uri: str, tags: Mapping[str, str]) -> None:
        self.uri = uri
        self._mirror = Mirror(study, store, uri, tags)
        self._courier = Courier(self._mirror.connect, self._mirror.catch_up)
        self._mirror.hurried = self._courier.hurried.is_set
        self._late = False  # the server did not take everything in the time it was given

    @property
    def problem(self) -> str | None:
        """Why the server does not have everything; None where it has."""
        error = self._courier.problem
        if error is not None:
            return masked(f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")
        if self._mirror.unreadable:
            return next(iter(self._mirror.unreadable.values()))
        return "it is too slow" if self._late else None

    def __enter__(self) -> "Tracker":
        self._courier.start()
        return self

    @property
    def patience(self) -> float | None:
        """Seconds that the end of a sweep waits for the server."""
        return None if is_file(self.uri) else FLUSH_SECONDS

    def expect(self, trials: list[Trial]) -> None:
        """Trials that are wanted now; more may be than when the sweep began."""
        self._mirror.expect(trials)

    def on_start(self, stage: Stage) -> None:
        self._courier.send(lambda: None if stage.key in self._mirror.ended else self._mirror.start(stage))

    def on_epochs(self, stage: Stage, rows: list[dict[str, float]]) -> None:
        self._courier.send(lambda: self._mirror.epochs(stage, rows))

    def on_lost(self, stage: Stage, reason: str) -> None:
        self._courier.send(lambda: self._mirror.lose(stage, reason))

    def on_done(self, outcome: Outcome) -> None:
        if outcome.elsewhere:
            return  # whoever ran it delivers it; what is missing at the end is delivered then
        self._mirror.ended.add(outcome.stage.key)
        if outcome.status != "done":
            self._mirror.unstored[outcome.stage.key] = outcome  # the store keeps less of it: it waits here
        self._courier.send(lambda: self._mirror.end(outcome))

    def flush(self, seconds: float | None = None) -> None:
        """Wait until all finished stages are delivered, those of earlier sweeps too, or the server has failed; for
        `seconds` at the most."""
        self._late = not self._courier.flush(seconds) and self._courier.problem is None

    def finish(self, status: str, report: Path | None) -> None:
        """Close the parent run as FINISHED, FAILED or KILLED, with the report if there is one. Nothing can follow."""
        self._late |= not self._courier.stop(lambda: self._mirror.close(status, report), LAST_SECONDS)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._courier.stop(lambda: None, 0.0 if self._late or kind is not None else LAST_SECONDS)
