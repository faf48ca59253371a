"""Verifies stored stages: the checksum of every file."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from study.design.stages import Stage
from study.store.results import CorruptError, NewerVersionError, Store, UnusableError

THREADS = 16  # reading and hashing release the GIL; object storage has latency


@dataclass(frozen=True)
class Verified:
    """Counts of stages, and the damaged ones, each with the reason."""

    checked: int
    missing: int  # not stored
    damaged: list[tuple[Stage, str]]
    newer: list[tuple[Stage, str]]  # undamaged, but written by a newer version that this one cannot read

    @property
    def ok(self) -> int:
        return self.checked - len(self.damaged) - len(self.newer)


def verify(stages: Iterable[Stage], store: Store, weights: bool = True) -> Verified:
    """Read those of the stages that are stored. Without `weights` only the small files. Raises StoreError."""
    stages, stored = list(stages), store.keys()
    present = [stage for stage in stages if stage.key in stored]
    with ThreadPoolExecutor(THREADS) as pool:
        problems = list(zip(present, pool.map(lambda stage: _problem(stage, store, weights), present), strict=True))
    damaged = [(stage, problem.reason) for stage, problem in problems if isinstance(problem, CorruptError)]
    newer = [(stage, problem.reason) for stage, problem in problems if isinstance(problem, NewerVersionError)]
    return Verified(len(present), len(stages) - len(present), damaged, newer)


def _problem(stage: Stage, store: Store, weights: bool) -> UnusableError | None:
    try:
        if store.find(stage) is not None and weights:
            store.check(stage)
    except UnusableError as error:
        return error
    return None
