"""Notice: the study has results on own data of the same path, but of another content."""

from collections.abc import Iterator

from study.design.stages import stages_of
from study.planning.state import StudyState
from study.utils.text import plural


def earlier_content(state: StudyState) -> Iterator[str]:
    """One sentence per data set. Raises StoreError."""
    names = {stage.dataset for stage in state.all_stages.values() if stage.content is not None}
    for name in sorted(names):
        others = [None, *(one for one in state.contents.recorded(name) if one != state.contents.of(name))]
        keys = set().union(*(_keys(state, name, content) for content in others))
        if count := len((keys & state.stored) - state.all_stages.keys()):
            were = "was" if count == 1 else "were"
            yield (
                f"{plural(count, 'stored stage')} {were} trained on other files of {name!r} than the present ones. "
                "Not used."
            )


def _keys(state: StudyState, name: str, content: str | None) -> set[str]:
    """The keys that the study's stages would have with another content of a data set; None: by its path."""
    trials = [*state.trials, *state.tuning_trials]
    return {
        stage.key
        for trial in trials
        for stage in stages_of(trial, lambda one: content if one == name else state.contents.of(one))
        if name in (stage.dataset, stage.parent.dataset if stage.parent else None)
    }
