"""Stages, the units of work, and their dependencies.

Cells with the same pre-training share its key (see keys.py), so it is run once.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from study.design.keys import Content, by_name, identity_of, key_of
from study.design.study import Trial
from study.vit import subject


@dataclass(frozen=True)
class Stage:
    """One unit of work. `parent` is the stage whose weights initialise it; None: random initialisation.

    `content` is the digest of own data. It is None for other data sets, and for results that were stored before own
    data were identified by content; those are stored by path.
    """

    settings: subject.StageSettings
    seed: int
    parent: "Stage | None" = None
    content: str | None = None

    @property
    def kind(self) -> str:
        """As in pretrain, finetune."""
        return self.settings.kind

    @property
    def dataset(self) -> str:
        return self.settings.dataset

    @property
    def epochs(self) -> int:
        return self.settings.epochs

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Everything that the result depends on, as plain JSON."""
        return identity_of(self.settings, self.seed, self.parent.key if self.parent else None, self.content)

    @cached_property
    def key(self) -> str:
        """64 hexadecimal digits."""
        return key_of(self.identity)

    def spec(self) -> dict[str, Any]:
        """The complete stage as plain JSON, including defaults, as stored and as sent to workers."""
        return {
            "stage": self.kind,
            **self.settings.dump(),
            "seed": self.seed,
            "parent": self.parent.spec() if self.parent else None,
            **({} if self.content is None else {"content": self.content}),
        }

    @classmethod
    def from_spec(cls, spec: dict[str, Any]) -> "Stage":
        """The inverse of `spec`. Raises pydantic's ValidationError or KeyError for invalid data."""
        return cls(
            settings=subject.StageSettings.load(spec["stage"], spec),
            seed=spec["seed"],
            parent=cls.from_spec(spec["parent"]) if spec["parent"] else None,
            content=spec.get("content"),
        )


def stages_of(trial: Trial, content: Content = by_name) -> list[Stage]:
    """A trial's stages, parents before children; the last stage gives the trial's result."""
    *before, last = subject.stages_of(trial.settings, trial.resampling)
    stages: list[Stage] = []
    for settings in before:
        stages.append(_shared(settings, trial.seed, stages[-1] if stages else None, content(settings.dataset)))
    return [*stages, Stage(last, trial.seed, stages[-1] if stages else None, content(last.dataset))]


@lru_cache(maxsize=10_000)
def _shared(settings: subject.StageSettings, seed: int, parent: Stage | None, content: str | None) -> Stage:
    """One object for all trials that share the stage, so that its key is computed once."""
    return Stage(settings, seed, parent, content)
