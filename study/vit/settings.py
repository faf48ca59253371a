"""Every setting of a trial: frozen, typed, validated; no torch.

A trial's `Settings` are the model (`Encoder`), its pre-training (`Pretrain`, or None) and its fine-tuning (`Finetune`).
Equal settings give equal results on the same machine: device, workers and paths are not settings.

Sources: Tan 2024, arXiv 2407.17783 (the model); arXiv 2402.03752 (its MAE pre-training). Choices that these papers
leave open are marked "own choice".
"""

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, create_model, model_validator

from study.utils.frozen_model import (
    Count,
    FieldError,
    Frozen,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    Share,
    Size,
    StrictBool,
    whole,
)
from study.vit import augmentations, optimizers

Channels = Annotated[Literal[1, 3], BeforeValidator(whole)]

PRESETS: dict[str, dict[str, Any]] = {
    # Widths, depths and heads as in the public derivative of the paper (arXiv 2509.10919); see README, "The model".
    "S": {"width": 144, "depth": 15, "ffn_width_first": 144, "ffn_width_last": 72, "num_heads": 8, "num_kv_heads": 4},
    "XS": {"width": 128, "depth": 12, "ffn_width_first": 96, "ffn_width_last": 32, "num_heads": 8, "num_kv_heads": 4},
    "XXS": {"width": 108, "depth": 9, "ffn_width_first": 81, "ffn_width_last": 27, "num_heads": 6, "num_kv_heads": 3},
}


def _check_divides(field: str, value: int, whole: str, number: int) -> None:
    if number % value:
        possible = ", ".join(str(divisor) for divisor in range(1, number + 1) if number % divisor == 0)
        raise FieldError(field, f"{value} does not divide {whole} {number}; must be one of {possible}")


def _up_to(most: int) -> str:
    return "1" if most == 1 else f"1 to {most}"


def _check_heads(width: int, num_heads: int, num_kv_heads: int) -> None:
    _check_divides("num_heads", num_heads, "width", width)
    _check_divides("num_kv_heads", num_kv_heads, "num_heads", num_heads)


class Encoder(Frozen):
    """The mLiT encoder (Tan 2024): patches, a linear projection, learnable positions, pre-norm blocks of grouped
    query attention and a mixture of SwiGLU experts that share V and W2. Defaults are size XXS at 36 px.

    `preset: S | XS | XXS` is accepted as a short form; other fields override it.
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = PRESETS

    image_size: Size = Field(36, description="height and width in pixels; images are resized to it")
    patch_size: Size = Field(3, description="height and width of a patch in pixels; divides image_size")
    channels: Channels = Field(3, description="1 grey or 3 colour; images are converted to it")
    width: Size = Field(108, description="embedding width")
    depth: Count = Field(9, description="number of blocks")
    num_heads: Count = Field(6, description="query heads; divides width")
    num_kv_heads: Count = Field(3, description="shared key/value heads; divides num_heads (1: multi-query)")
    experts_by_depth: Annotated[tuple[Count, ...], Field(min_length=1)] = Field(
        (3, 4, 5), description="experts in each part of the depth, parts as equal as possible; [1]: dense SwiGLU"
    )
    top_k: Count = Field(2, description="experts kept for each token; at most the smallest number in experts_by_depth")
    router_noise: StrictBool = Field(True, description="noise on the router's logits in training")
    importance_weight: NonNegativeFloat = Field(
        0.01, description="weight of the importance loss; constant if top_k is 1"
    )
    load_weight: NonNegativeFloat = Field(0.01, description="weight of the load loss")
    shared_projections: Literal["both", "v", "w2", "none"] = Field(
        "both", description="projections that all experts of a layer share"
    )
    ffn_width_first: Size = Field(81, description="hidden width of the first block's FFN")
    ffn_width_last: Size = Field(27, description="hidden width of the last block's FFN; blocks in between: linear")
    ffn_rounding: Literal["up", "down", "nearest"] = Field("up", description="rounding of the widths in between")
    bias: StrictBool = Field(True, description="biases on all linear maps")
    pooling: Literal["class_token", "mean"] = Field("class_token", description="input of the classification head")

    @model_validator(mode="before")
    @classmethod
    def _expand_preset(cls, data: Any) -> Any:
        if not isinstance(data, dict) or "preset" not in data:
            return data
        rest = {name: value for name, value in data.items() if name != "preset"}
        preset = data["preset"]
        if not isinstance(preset, str) or preset not in PRESETS:
            raise FieldError("preset", f"unknown preset {preset!r}; presets are {', '.join(PRESETS)}")
        return PRESETS[preset] | rest

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_divides("patch_size", self.patch_size, "image_size", self.image_size)
        _check_heads(self.width, self.num_heads, self.num_kv_heads)
        parts, fewest = len(self.experts_by_depth), min(self.experts_by_depth)
        if parts > self.depth:
            raise FieldError(
                "experts_by_depth", f"{parts} parts but depth is {self.depth}; must have at most one part per block"
            )
        if self.top_k > fewest:
            raise FieldError(
                "top_k",
                f"{self.top_k} exceeds the smallest number of experts in experts_by_depth "
                f"{list(self.experts_by_depth)}; must be {_up_to(fewest)}",
            )
        return self

    @property
    def num_patches(self) -> int:
        return (self.image_size // self.patch_size) ** 2

    @property
    def num_experts(self) -> tuple[int, ...]:
        """Experts of each block: the depth is divided into equal parts, one for each number of `experts_by_depth`."""
        parts = len(self.experts_by_depth)
        return tuple(self.experts_by_depth[block * parts // self.depth] for block in range(self.depth))

    @property
    def ffn_widths(self) -> tuple[int, ...]:
        """Hidden FFN width of each block, linear from first to last: block i of L has
        (L-1-i)/(L-1) * (first - last) + last, rounded by `ffn_rounding`. Integer arithmetic, so it is exact.
        """
        first, last, steps = self.ffn_width_first, self.ffn_width_last, self.depth - 1
        if steps == 0:
            return (first,)
        return tuple(
            _divide((steps - block) * first + block * last, steps, self.ffn_rounding) for block in range(self.depth)
        )


def _divide(numerator: int, denominator: int, rounding: str) -> int:
    if rounding == "down":
        return numerator // denominator
    if rounding == "up":
        return -(-numerator // denominator)
    return (2 * numerator + denominator) // (2 * denominator)  # nearest, halves up


def augment_model() -> type[Frozen]:
    """A settings model with one field for each augmentation in the table."""
    return create_model("Augment", __base__=Frozen, **augmentations.fields())


class Augment(augment_model()):  # type: ignore[misc]
    """Random augmentations of training images, drawn per image and epoch; all are off by default (own choice)."""


class Recipe(Frozen):
    """The settings of both stages: data, length and optimization (linear warm-up, cosine decay to zero)."""

    dataset: str = Field(description="a data set by name, or parquet:PATH or imagefolder:PATH")
    epochs: PositiveInt = Field(100, description="passes over the training images")
    batch_size: PositiveInt = Field(128, description="images per step")
    optimizer: Literal[tuple(optimizers.TABLE)] = Field(  # type: ignore[valid-type]
        "adamw", description="adamw, or sgd with Nesterov momentum 0.9"
    )
    learning_rate: PositiveFloat = Field(1e-3, description="highest learning rate, at the end of the warm-up")
    weight_decay: NonNegativeFloat = Field(
        0.05, description="decoupled in adamw, L2 in sgd; not of biases, norms and positions"
    )
    warmup_epochs: NonNegativeFloat = Field(0.0, description="epochs of linear warm-up")
    clip_norm: NonNegativeFloat = Field(1.0, description="largest gradient norm; 0 does not clip")
    augment: Augment = Field(Augment(), description="random augmentations of training images")
    train_images: PositiveInt | None = Field(
        None, description="size of a stratified subset of training images; null: all"
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field("auto", description="auto: bfloat16 on GPUs")
    compile: Literal["auto", "on", "off"] = Field("auto", description="torch.compile; auto: on GPUs in long stages")

    @model_validator(mode="after")
    def _check_recipe(self) -> Self:
        if self.warmup_epochs > self.epochs:
            raise FieldError("warmup_epochs", f"{self.warmup_epochs:g} exceeds epochs {self.epochs}")
        return self


class Decoder(Frozen):
    """The MAE's decoder: blocks as in the encoder, with its own positions (arXiv 2509.10919)."""

    width: Size = Field(108, description="embedding width")
    depth: Count = Field(2, description="number of blocks")
    ffn_width: Size = Field(54, description="hidden width of every block's FFN")
    num_experts: Count = Field(3, description="experts of every block; 1: dense SwiGLU")
    top_k: Count = Field(2, description="experts kept for each token; at most num_experts")
    num_heads: Count = Field(6, description="query heads; divides width")
    num_kv_heads: Count = Field(3, description="shared key/value heads; divides num_heads (1: multi-query)")

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_heads(self.width, self.num_heads, self.num_kv_heads)
        if self.top_k > self.num_experts:
            raise FieldError(
                "top_k", f"{self.top_k} exceeds num_experts {self.num_experts}; must be {_up_to(self.num_experts)}"
            )
        return self


class Pretrain(Recipe):
    """Masked auto-encoding (He et al. 2111.06377) without labels, as in arXiv 2402.03752."""

    mask_ratio: Annotated[float, Field(gt=0, lt=1, strict=True)] = Field(
        0.75, description="share of patches that are masked"
    )
    visible_discount: NonNegativeFloat = Field(0.1, description="weight of the loss on visible patches")
    normalize_targets: StrictBool = Field(True, description="normalize the targets within each patch")
    decoder: Decoder = Field(Decoder(), description="reconstructs the masked patches; discarded after pre-training")

    @model_validator(mode="after")
    def _check_labels(self) -> Self:
        for name, augmentation in augmentations.items():
            value = getattr(self.augment, name, augmentation.neutral)
            if isinstance(augmentation, augmentations.Mixing) and value != augmentation.neutral:
                raise FieldError(
                    f"augment.{name}",
                    f"invalid value {value:g}: must be {augmentation.neutral:g}, because pre-training has no labels "
                    "to mix",
                )
        return self

    def num_masked(self, num_patches: int) -> int:
        """Masked patches of an image: `num_patches * mask_ratio`, rounded to the nearest (halves up)."""
        return math.floor(num_patches * self.mask_ratio + 0.5)


class Finetune(Recipe):
    """Supervised training of all weights, or of a linear head on a frozen encoder (`probe`)."""

    mode: Literal["finetune", "probe"] = Field(
        "finetune", description="finetune: all weights; probe: a linear head on a frozen pre-trained encoder"
    )
    label_smoothing: Share = Field(0.0, description="share of each target spread over all classes")
    layer_decay: Annotated[float, Field(gt=0, le=1, strict=True)] = Field(
        1.0, description="learning rate of a block relative to the block above it"
    )
    keep: Literal["last", "best"] = Field(
        "last",
        description="weights that are evaluated and stored: last epoch, or best on validation data",
    )


class Settings(Frozen):
    """All settings of a trial."""

    encoder: Encoder = Field(Encoder(), description="the model")
    pretrain: Pretrain | None = Field(None, description="masked pre-training; null: train from scratch")
    finetune: Finetune = Field(description="supervised training on labels")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.pretrain is not None:
            masked, patches = self.pretrain.num_masked(self.encoder.num_patches), self.encoder.num_patches
            if not 0 < masked < patches:
                raise FieldError(
                    "pretrain.mask_ratio",
                    f"{self.pretrain.mask_ratio:g} masks {masked} of {patches} patches (image_size "
                    f"{self.encoder.image_size}, patch_size {self.encoder.patch_size}); at least one must be masked "
                    "and one visible",
                )
        elif self.finetune.mode == "probe":
            raise FieldError("finetune.mode", "'probe' requires a pre-trained encoder, but pretrain is null")
        return self
