"""Stages of a study that were trained on other data than the rest: same name, other images or labels.

The name of a data set of the table says nothing about its images: its code may have changed, or two machines may have
downloaded different files. Every result has the digest of the images and labels that it was trained on. All results on
one data set, at one size, are compared with those that this machine loads now. If it has not loaded the data set yet,
they are compared with the digest that most of them have: that leaves most of the study as it is.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from study.design.stages import Stage
from study.utils.text import plural

OTHER_DATA = "other data"  # the status of a trial that is excluded for this reason

Digest = Callable[[str, int], str | None]
"""The digest of a data set at an image size, as loaded now; None if that is unknown."""


@dataclass(frozen=True)
class OtherData:
    """The stages on other data."""

    reasons: Mapping[str, str]  # by the stage's key
    mixtures: tuple[str, ...]  # one clause per data set and size
    accepted: bool  # the user wants to compare them nevertheless

    @property
    def excluded(self) -> Mapping[str, str]:
        """The reasons for which stages are not used, by key."""
        return {} if self.accepted else self.reasons

    def reason(self, stages: list[Stage]) -> str | None:
        """Why a trial with these stages is on other data; None if it is not."""
        return next((self.reasons[stage.key] for stage in stages if stage.key in self.reasons), None)


def other_data(trained_on: Mapping[Stage, str], present: Digest, accepted: bool = False) -> OtherData:
    """The stages whose digest differs from that of their data set, and those that start from one.

    `trained_on`: the digest of each stored stage.
    """
    groups: dict[tuple[str, int], dict[Stage, str]] = {}
    for stage, digest in trained_on.items():
        groups.setdefault(stage.settings.data, {})[stage] = digest
    reasons: dict[str, str] = {}
    mixtures = []
    for (name, size), digests in groups.items():
        expected = present(name, size)
        others = "the present ones" if expected is not None else "most results of this study"
        expected = expected or Counter(digests.values()).most_common(1)[0][0]
        differing = [stage for stage, digest in digests.items() if digest != expected]
        what = f"trained on other images or labels of {name!r} than {others}"
        reasons |= {stage.key: f"{stage.kind} was {what}" for stage in differing}
        if differing:
            mixtures.append(
                f"{len(differing)} of {plural(len(digests), 'stored stage')} on {name!r} ({size} px): {what}"
            )
    for stage in trained_on:
        if stage.parent is not None and stage.parent.key in reasons:
            reasons.setdefault(stage.key, reasons[stage.parent.key])
    return OtherData(reasons, tuple(mixtures), accepted)
