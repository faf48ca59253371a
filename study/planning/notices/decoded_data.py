"""The descriptions of the data sets that a study uses and that are decoded on this machine."""

from collections.abc import Iterator

from study.planning.state import StudyState
from study.utils.errors import StudyError
from study.vit import subject


def decoded_data(state: StudyState) -> Iterator[subject.DatasetInfo]:
    """One per data set and image size; those that cannot be described are left out."""
    used = {(stage.settings.dataset, stage.settings.encoder.image_size) for stage in state.stages.values()}
    for name, size in sorted(used):
        try:
            info = subject.described_after_decoding(name, size)
        except StudyError:
            continue
        if info is not None:
            yield info
