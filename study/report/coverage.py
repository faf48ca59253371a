"""What the intervals of a study cover: which sources of chance differ between its replicates, and which do not.

A new source is a line in `SOURCES`.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from study.analysis.analysis import Analysis
from study.analysis.facts import StudyFacts
from study.design.study import Study
from study.utils.errors import StudyError
from study.utils.text import plural
from study.vit import subject

AFTER_STOPPING = (
    "Replicates were added until claims were decided, so the coverage of these 95 % intervals is not exactly 95 % "
    "(reports/calibration has measured values); those of the claims allow for it."
)


@dataclass(frozen=True)
class Source:
    """A source of chance; `present`: whether results of the study depend on it; `varies`: whether replicates do."""

    name: str
    present: Callable[[Study], bool]
    varies: Callable[[Study], bool]


def _always(study: Study) -> bool:
    return True


def _never(study: Study) -> bool:
    return False


def _any_cell(test: Callable[[subject.Settings], bool]) -> Callable[[Study], bool]:
    return lambda study: any(cell.settings is not None and test(cell.settings) for cell in study.included)


def _any_stage(test: Callable[[subject.StageSettings], bool]) -> Callable[[Study], bool]:
    return _any_cell(lambda settings: any(test(stage) for stage in subject.stages_of(settings)))


def _routes_with_noise(settings: subject.Settings) -> bool:
    """Whether any layer that is trained chooses between experts with noise."""
    decoder = [settings.pretrain.decoder.num_experts] if settings.pretrain else []
    return settings.encoder.router_noise and max([*settings.encoder.num_experts, *decoder]) > 1


def _drawn(split: str) -> Callable[[Study], bool]:
    """Whether the images of a split are drawn anew for each replicate, in every cell."""
    return lambda study: (
        "split" in study.grid.resample
        and all(
            split in _drawn_splits(subject.stages_of(cell.settings)[-1].dataset)
            for cell in study.included
            if cell.settings
        )
    )


def _drawn_splits(name: str) -> dict[str, float]:
    """Where the data are not at hand, those that are drawn of most data: a test split is usually given."""
    try:
        return subject.drawn_splits(name)
    except StudyError:
        return {"train": 0.9, "validation": 0.1}


def drawn_for_testing(study: Study) -> float | None:
    """The share of the images that each replicate draws for testing, the largest of all cells; None if none does."""
    if not _drawn("test")(study):
        return None
    data = {subject.stages_of(cell.settings)[-1].dataset for cell in study.included if cell.settings}
    return max(_drawn_splits(name)["test"] for name in data)


def _draws_subsets(study: Study) -> bool:
    return "train_images" in study.grid.resample or _drawn("train")(study)


def _only_validation_drawn(study: Study) -> bool:
    return _drawn("validation")(study) and not _drawn("test")(study)


SOURCES = (
    Source("initialisation", _always, _always),
    Source("the order of training images", _always, _always),
    Source("augmentation", _any_stage(lambda stage: bool(stage.recipe.augment.changed())), _always),
    Source("masks", _any_cell(lambda settings: settings.pretrain is not None), _always),
    Source("router noise", _any_cell(_routes_with_noise), _always),
    Source("the test images", lambda study: not _drawn("test")(study), _never),
    Source("the images of the data set", _drawn("test"), _never),
    Source("the split into training and validation images", _only_validation_drawn, _always),
    Source(
        "the split into training, validation and test images",
        lambda study: not _only_validation_drawn(study),
        _drawn("test"),
    ),
    Source("the training subset", _any_stage(lambda stage: stage.recipe.train_images is not None), _draws_subsets),
    Source(
        "the tuning run",
        lambda study: study.space is not None and not study.space.searches,
        lambda study: study.space is not None and study.space.tunings > 1,
    ),
)


def covered(study: Study) -> tuple[str, ...]:
    """The sources of chance that differ between replicates."""
    return tuple(source.name for source in SOURCES if source.present(study) and source.varies(study))


def not_covered(study: Study) -> tuple[str, ...]:
    """The sources of chance that are the same in all replicates."""
    return tuple(source.name for source in SOURCES if source.present(study) and not source.varies(study))


def sentence(facts: StudyFacts) -> str:
    """What the study's intervals cover."""
    differ, same = _listed(facts.covered, "and"), _listed(facts.not_covered, "or")
    beyond = f", and not that of {same}, which all replicates share" if same else ""
    return f"Intervals over replicates cover the chance of {differ}{beyond}.{_other_images(facts)}"


def _other_images(facts: StudyFacts) -> str:
    """How much wider an interval over drawn splits would be for new images, which replicates share in part.

    Two replicates share a share s of their test images, so the error of a mean over replicates is that of n
    independent ones times sqrt(1 + n s / (1 - s)) (Nadeau and Bengio 2003, doi:10.1023/A:1024068626366). `nox -s
    calibrate` has the coverage.
    """
    share, n = facts.drawn_for_testing, facts.replicates
    if share is None or n < 2:
        return ""
    factor = math.sqrt(1 + n * share / (1 - share))
    return (
        f" For other images of the same kind, an interval over {plural(n, 'replicate')} would have to be about "
        f"{factor:.1f} times as wide, since replicates share images (Nadeau and Bengio 2003)."
    )


def _listed(names: Sequence[str], last: str) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {last} {names[-1]}" if names else ""


def of_test_images(analysis: Analysis) -> str:
    """What the intervals over replicates and test images cover; empty if there are none."""
    if analysis.cells["item_low"].isna().all():
        return ""
    return (
        "Intervals over replicates and test images also cover the chance of the test images, taken as drawn at random "
        "from all images of their kind."
    )


def after_stopping(facts: StudyFacts) -> str:
    """The mark on ordinary intervals of a study with adaptive replicates; empty for other studies."""
    return AFTER_STOPPING if facts.replicates_until else ""
