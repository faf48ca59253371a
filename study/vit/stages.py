"""The stages of a trial: optional pre-training, then fine-tuning; no torch.

A stage's key is computed from `StageSettings.changed` (see study/design/stages.py).
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Literal, Self

from study.utils.canonical_json import canonical_json
from study.vit.resampling import FIXED, Resampling
from study.vit.settings import Encoder, Finetune, Pretrain, Settings

Kind = Literal["pretrain", "finetune"]

VERSIONS: dict[Kind, int] = {"pretrain": 1, "finetune": 1}
"""Raised when a change to the code changes a stage's results, so that old results are not reused."""

# time per epoch and memory do not depend on these
NEUTRAL: dict[str, Any] = {"epochs": 1, "learning_rate": 1.0, "weight_decay": 0.0, "warmup_epochs": 0.0}


@dataclass(frozen=True)
class StageSettings:
    """The part of a trial's settings that one stage depends on."""

    encoder: Encoder
    recipe: Pretrain | Finetune
    resampling: Resampling = FIXED

    RECIPES: ClassVar[dict[Kind, type[Pretrain] | type[Finetune]]] = {"pretrain": Pretrain, "finetune": Finetune}

    @property
    def kind(self) -> Kind:
        """The stage's name, and its section in a grid."""
        return "pretrain" if isinstance(self.recipe, Pretrain) else "finetune"

    @property
    def version(self) -> int:
        return VERSIONS[self.kind]

    @property
    def dataset(self) -> str:
        return self.recipe.dataset

    @property
    def data(self) -> tuple[str, int]:
        """The data set and the image size to which it is decoded: stages with equal values use the same images."""
        return self.recipe.dataset, self.encoder.image_size

    @property
    def epochs(self) -> int:
        return self.recipe.epochs

    @property
    def warmup_epochs(self) -> float:
        return self.recipe.warmup_epochs

    @property
    def batch_size(self) -> int:
        return self.recipe.batch_size

    def changed(self) -> dict[str, Any]:
        """The settings that differ from their defaults, by section, as plain JSON."""
        return {"encoder": self.encoder.changed(), self.kind: self.recipe.changed(), **self.resampling.changed()}

    def by_section(self) -> dict[str, Any]:
        """All settings by section, defaults included, as plain JSON."""
        own = {"encoder": self.encoder.model_dump(mode="json"), self.kind: self.recipe.model_dump(mode="json")}
        return {**own, **self.resampling.changed()}

    def dump(self) -> dict[str, Any]:
        """All settings as they are stored: `encoder`, `recipe`, and `resample` where data are drawn anew."""
        own = {"encoder": self.encoder.model_dump(mode="json"), "recipe": self.recipe.model_dump(mode="json")}
        return {**own, **self.resampling.changed()}

    @classmethod
    def load(cls, kind: str, data: dict[str, Any]) -> Self:
        """The inverse of `dump`. Raises pydantic's ValidationError for invalid settings, KeyError for missing ones."""
        recipe = cls.RECIPES[kind]  # type: ignore[index]  # an unknown kind is a KeyError
        encoder = Encoder.model_validate(data["encoder"])
        return cls(encoder, recipe.model_validate(data["recipe"]), Resampling.of(data))

    @property
    def model_shape(self) -> str:
        """Stages with equal model shapes have the same inference latency."""
        return canonical_json(self.encoder.changed())

    @property
    def shape(self) -> str:
        """Stages with equal shapes need the same time per epoch and the same memory."""
        recipe = self.recipe.model_copy(update=NEUTRAL)
        return canonical_json({"kind": self.kind, "encoder": self.encoder.changed(), "recipe": recipe.changed()})


def stages_of(settings: Settings, resampling: Resampling = FIXED) -> tuple[StageSettings, ...]:
    """A trial's stages in order. Each starts from the weights of the previous one; the last has the trial's result.

    All stages of a trial have the same split: no image that it is tested on was seen in pre-training.
    """
    finetune = StageSettings(settings.encoder, settings.finetune, resampling)
    if settings.pretrain is None:
        return (finetune,)
    return _pretraining(settings.encoder, settings.pretrain, resampling), finetune


@lru_cache(maxsize=10_000)
def _pretraining(encoder: Encoder, recipe: Pretrain, resampling: Resampling) -> StageSettings:
    """One object for all trials that share it."""
    return StageSettings(encoder, recipe, resampling)


def without_pretraining(settings: Settings) -> dict[str, Any]:
    """A trial's settings except pre-training: cells with equal values differ only in pre-training."""
    return settings.model_dump(mode="json", exclude={"pretrain"})
