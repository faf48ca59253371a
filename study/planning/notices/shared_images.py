"""Notice: images of the validation or test split are also in train, so that accuracies are too high."""

from collections.abc import Iterator

from study.planning.notices.decoded_data import decoded_data
from study.planning.state import StudyState
from study.utils.text import plural


def shared_images(state: StudyState) -> Iterator[str]:
    """One sentence per data set and split."""
    found = {
        (info.name, split): (count, info.splits[split])
        for info in decoded_data(state)
        for split, count in (info.in_train or {}).items()
        if count and info.splits
    }
    for (name, split), (count, images) in found.items():
        verb = "is" if count == 1 else "are"
        yield (
            f"{count:,} of {plural(images, f'{split} image')} of data set {name!r} {verb} also in train (the same "
            f"bytes), so {split} accuracies may be too high."
        )
