"""The units of work: a pre-training, a fine-tuning, and how they depend on each other.

A stage's key is the SHA-256 of the canonical JSON of what its result depends on: kind, version, the settings that
differ from their defaults, seed, and the key of its parent. Cells that share a pre-training share its key, so it is
computed once; device, paths and workers are no part of it.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, ClassVar, Literal, cast

from study.design.study import Trial
from study.vit.settings import Encoder, Finetune, Pretrain

Kind = Literal["pretrain", "finetune"]

VERSIONS: dict[Kind, int] = {"pretrain": 1, "finetune": 1}
"""Raised when a change to the code changes a stage's results, so that old results are not taken for new ones."""


@dataclass(frozen=True)
class Stage:
    """One unit of work. `parent` is the pre-training that a fine-tuning starts from, None from scratch."""

    encoder: Encoder
    recipe: Pretrain | Finetune
    seed: int
    parent: "Stage | None" = None

    RECIPES: ClassVar[dict[Kind, type[Pretrain] | type[Finetune]]] = {"pretrain": Pretrain, "finetune": Finetune}

    @property
    def kind(self) -> Kind:
        return "pretrain" if isinstance(self.recipe, Pretrain) else "finetune"

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What the result depends on, as plain JSON."""
        return {
            "stage": self.kind,
            "version": VERSIONS[self.kind],
            "encoder": self.encoder.changed(),
            self.kind: self.recipe.changed(),
            "seed": self.seed,
            "parent": self.parent.key if self.parent else None,
        }

    @cached_property
    def key(self) -> str:
        """64 hexadecimal digits."""
        return hashlib.sha256(canonical_json(self.identity).encode()).hexdigest()

    def spec(self) -> dict[str, Any]:
        """The whole stage as plain JSON, defaults included: what is stored, and sent to workers."""
        return {
            "stage": self.kind,
            "encoder": self.encoder.model_dump(mode="json"),
            "recipe": self.recipe.model_dump(mode="json"),
            "seed": self.seed,
            "parent": self.parent.spec() if self.parent else None,
        }

    @classmethod
    def from_spec(cls, spec: dict[str, Any]) -> "Stage":
        """The inverse of `spec`; raises pydantic's ValidationError for data that are no stage."""
        return cls(
            encoder=Encoder.model_validate(spec["encoder"]),
            recipe=cls.RECIPES[cast(Kind, spec["stage"])].model_validate(spec["recipe"]),
            seed=spec["seed"],
            parent=cls.from_spec(spec["parent"]) if spec["parent"] else None,
        )


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def canonical_json(value: Any) -> str:
    """Equal data, equal text: sorted keys, no spaces, ASCII; NaN is refused."""
    return _CANONICAL.encode(value)


def stages_of(trial: Trial) -> list[Stage]:
    """A trial's stages in order: its pre-training, if it has one, and its fine-tuning, whose result is the trial's."""
    settings = trial.settings
    if settings.pretrain is None:
        return [Stage(settings.encoder, settings.finetune, trial.seed)]
    pretraining = _pretraining(settings.encoder, settings.pretrain, trial.seed)
    return [pretraining, Stage(settings.encoder, settings.finetune, trial.seed, pretraining)]


@lru_cache(maxsize=10_000)
def _pretraining(encoder: Encoder, recipe: Pretrain, seed: int) -> Stage:
    """One object for all trials that share it, so that its key is made once."""
    return Stage(encoder, recipe, seed)


def unique_stages(trials: Iterable[Trial]) -> list[Stage]:
    """The distinct stages of all trials, every parent before its children."""
    stages: dict[str, Stage] = {}
    for trial in trials:
        for stage in stages_of(trial):
            stages.setdefault(stage.key, stage)
    return list(stages.values())


def users_of(trials: Iterable[Trial]) -> dict[str, list[Trial]]:
    """The trials that use each stage, by its key."""
    users: dict[str, list[Trial]] = {}
    for trial in trials:
        for stage in stages_of(trial):
            users.setdefault(stage.key, []).append(trial)
    return users
