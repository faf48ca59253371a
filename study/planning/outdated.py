"""Stored results that other code computed: code whose files differ from those of this process.

Keys cover settings, not code, so that old results stay valid when a study grows. Results that were stored before the
code was recorded are not compared.
"""

from dataclasses import dataclass, replace

from study.design.stages import Stage
from study.planning import tuning_state
from study.planning.state import StudyState
from study.store import code
from study.store.code import Code
from study.store.results import Store


@dataclass(frozen=True)
class Outdated:
    """The stored results of a study that other code computed, directly or by way of their pre-training."""

    stages: list[Stage]
    files: list[str]  # that differ; empty if the store does not have their digests
    stored: int  # results that were looked at
    unrecorded: int  # of these, results without a digest of the code


def outdated(state: StudyState) -> Outdated:
    """Compare the stored results of a study, tuning trials included, with the present code. Raises StoreError."""
    origins = state.observed.origins(state.all_stages.values())
    comparison = _Comparison(state.store, code.present_code())
    found: dict[str, Stage] = {}
    for key, origin in origins.items():  # parents before children
        stage = state.all_stages[key]
        differs = [comparison.differs(stage.kind, origin.get("code", ""))]
        if stage.parent is not None:
            differs += [comparison.differs(stage.parent.kind, origin.get("parent_code", "")), stage.parent.key in found]
        if any(differs):
            found[key] = stage
    unrecorded = sum("code" not in origin for origin in origins.values())
    return Outdated(list(found.values()), sorted(comparison.files), len(origins), unrecorded)


def discard(state: StudyState) -> list[Stage]:
    """Remove the results of other code, and those excluded because of other data, from the store.

    Starts tunings over that used any. Returns the stages. Raises StoreError.
    """
    keys = {stage.key for stage in outdated(state).stages} | state.other_data.excluded.keys()
    stages = [stage for key, stage in state.all_stages.items() if key in keys]  # parents before children
    for tuning in state.tunings:
        trials = tuning_state.suggested_trials([tuning])
        if keys & {stage.key for trial in trials for stage in state.stages_of(trial)}:
            tuning_state.save(replace(tuning, trials=()), state.store)
    for stage in reversed(stages):  # children first: what is left after an interruption is still outdated
        state.store.discard(stage)
    return stages


class _Comparison:
    """Compares recorded digests with the present code, and collects the files that differ."""

    def __init__(self, store: Store, present: Code) -> None:
        self.files: set[str] = set()
        self._store, self._present = store, present
        self._known: dict[str, Code | None] = {}

    def differs(self, kind: str, digest: str) -> bool:
        """Whether code with this digest may give other results for a kind of stage. False without a digest."""
        if digest in ("", self._present.digest):
            return False
        if digest not in self._known:
            self._known[digest] = code.read(self._store, digest)
        recorded = self._known[digest]
        if recorded is None:
            return True
        files = recorded.differing(self._present, kind)
        self.files |= set(files)
        return bool(files)
