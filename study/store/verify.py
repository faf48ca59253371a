"""Verifies stored stages: the checksum of every file, and the data sets that they were trained on."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from study.design.stages import Stage
from study.store.results import CorruptError, NewerVersionError, Store, UnusableError

THREADS = 16  # reading and hashing release the GIL; object storage has latency

DataDigest = Callable[[Stage], str | None]
"""The digest of a stage's training data now; None if the data cannot change or are not on this machine."""


@dataclass(frozen=True)
class Verified:
    """Counts of stages, and the stages with a problem, each with the reason."""

    checked: int
    missing: int  # not stored
    damaged: list[tuple[Stage, str]]
    outdated: list[tuple[Stage, str]]  # undamaged, but trained on data that changed since
    newer: list[tuple[Stage, str]]  # undamaged, but written by a newer version that this one cannot read

    @property
    def ok(self) -> int:
        return self.checked - len(self.damaged) - len(self.outdated) - len(self.newer)


def verify(stages: Iterable[Stage], store: Store, data_digest: DataDigest, weights: bool = True) -> Verified:
    """Read those of the stages that are stored. Without `weights` only the small files. Raises StoreError."""
    stages, stored = list(stages), store.keys()
    present = [stage for stage in stages if stage.key in stored]
    with ThreadPoolExecutor(THREADS) as pool:
        problems = list(zip(present, pool.map(lambda stage: _problem(stage, store, weights), present), strict=True))
    damaged = [(stage, problem.reason) for stage, problem in problems if isinstance(problem, CorruptError)]
    newer = [(stage, problem.reason) for stage, problem in problems if isinstance(problem, NewerVersionError)]
    usable = [stage for stage, problem in problems if problem is None]
    return Verified(len(present), len(stages) - len(present), damaged, _outdated(usable, store, data_digest), newer)


def _problem(stage: Stage, store: Store, weights: bool) -> UnusableError | None:
    try:
        if store.find(stage) is not None and weights:
            store.check(stage)
    except UnusableError as error:
        return error
    return None


def _outdated(stages: list[Stage], store: Store, data_digest: DataDigest) -> list[tuple[Stage, str]]:
    """Stages whose data changed under the same path, and stages that start from such a stage."""
    present: dict[tuple[str, int], str | None] = {}
    found = []
    for stage in stages:
        for one in filter(None, (stage.parent, stage)):
            if (data := one.settings.data) not in present:
                present[data] = data_digest(one)
            if present[data] and _trained_on(one, store) not in (None, present[data]):
                found.append((stage, f"{one.dataset} changed after it was computed"))
                break
    return found


def _trained_on(stage: Stage, store: Store) -> str | None:
    try:
        result = store.find(stage)
    except UnusableError:
        return None
    return str(result.provenance["data"]) if result is not None and "data" in result.provenance else None
