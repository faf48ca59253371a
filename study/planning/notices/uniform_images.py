"""Notice: the images of a data set are nearly all of one colour."""

from collections.abc import Iterator

from study.planning.state import StudyState
from study.utils.errors import StudyError
from study.utils.text import plural
from study.vit import subject


def uniform_images(state: StudyState) -> Iterator[str]:
    """One sentence per data set of which at least half of the decoded images have one colour each.

    Data sets that are not decoded on this machine, or cannot be described, are left out.
    """
    used = {(stage.settings.dataset, stage.settings.encoder.image_size) for stage in state.stages.values()}
    for name, size in sorted(used):
        info = _decoded(name, size)
        images = sum(info.splits.values()) if info and info.splits else 0
        if info and info.uniform_images and 2 * info.uniform_images >= images:
            yield (
                f"{info.uniform_images:,} of {plural(images, 'image')} of data set {name!r} are of nearly one colour; "
                "look at some of them: they may be blank, or store values in a range that their format does not record."
            )


def _decoded(name: str, size: int) -> subject.DatasetInfo | None:
    try:
        return subject.described_after_decoding(name, size)
    except StudyError:
        return None
