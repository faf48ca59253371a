"""The stages of a study that have failed and have no result."""

from dataclasses import dataclass

from study.design.stages import Stage
from study.planning.state import StudyState
from study.store.results import Failure


@dataclass(frozen=True)
class FailedStage:
    """A stage that has failed, and the readable name under which its study knows it."""

    stage: Stage
    name: str
    failure: Failure


def failed_stages(state: StudyState) -> list[FailedStage]:
    """Those of tuning trials included, in the order of the study. Raises StoreError."""
    recorded = state.store.list_files("failed")
    found = []
    for key, stage in state.all_stages.items():
        if f"{key}.json" in recorded and key not in state.stored:
            failure = state.store.last_failure(stage)
            if failure is not None:
                found.append(FailedStage(stage, state.names[key], failure))
    return found
