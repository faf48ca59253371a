"""Notice: the images of a data set are nearly all of one colour."""

from collections.abc import Iterator

from study.planning.notices.decoded_data import decoded_data
from study.planning.state import StudyState
from study.utils.text import plural


def uniform_images(state: StudyState) -> Iterator[str]:
    """One sentence per data set of which at least half of the decoded images have one colour each."""
    for info in decoded_data(state):
        images = sum(info.splits.values()) if info.splits else 0
        if info.uniform_images and 2 * info.uniform_images >= images:
            yield (
                f"{info.uniform_images:,} of {plural(images, 'image')} of data set {info.name!r} are of nearly one "
                "colour; look at some of them: they may be blank, or store values in a range that their format does "
                "not record."
            )
