"""The stages of a study, without a store."""

from collections.abc import Iterable

from study.design.stages import Stage, stages_of
from study.design.study import Trial


def unique_stages(trials: Iterable[Trial]) -> list[Stage]:
    """The distinct stages of all trials, parents before children."""
    stages: dict[str, Stage] = {}
    for trial in trials:
        for stage in stages_of(trial):
            stages.setdefault(stage.key, stage)
    return list(stages.values())
