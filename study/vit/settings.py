"""Every knob of a trial: frozen, typed, validated; no torch.

A trial's `Settings` say what is built (`Encoder`), how it is pre-trained (`Pretrain`, or None) and how it is
fine-tuned (`Finetune`). Two equal settings always give the same result on the same machine: whatever else a run
needs (device, workers, paths) is no part of them.

Sources: Tan 2024, arXiv 2407.17783 (the model); arXiv 2402.03752 (its MAE pre-training). What those papers leave
open is this project's own choice and is marked so.
"""

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

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
        raise FieldError(field, f"{value} does not divide {whole} {number}; it can be {possible}")


def _up_to(most: int) -> str:
    return "1 alone" if most == 1 else f"1 to {most}"


def _check_heads(width: int, num_heads: int, num_kv_heads: int) -> None:
    _check_divides("num_heads", num_heads, "width", width)
    _check_divides("num_kv_heads", num_kv_heads, "num_heads", num_heads)


class Encoder(Frozen):
    """The mLiT encoder (Tan 2024): patches, a linear projection, learnable positions, pre-norm blocks of grouped
    query attention and a mixture of SwiGLU experts that share V and W2. Defaults are size XXS at 36 px.

    `preset: S | XS | XXS` is accepted as a short form; fields written beside it win over it.
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
        (3, 4, 5), description="experts of each stage of the depth, as equal as the depth allows; [1]: dense SwiGLU"
    )
    top_k: Count = Field(2, description="experts kept for each token; at most the smallest stage")
    router_noise: StrictBool = Field(True, description="noise on the router's logits while training")
    importance_weight: NonNegativeFloat = Field(0.01, description="weight of the importance loss")
    load_weight: NonNegativeFloat = Field(0.01, description="weight of the load loss")
    shared_projections: Literal["both", "v", "w2", "none"] = Field(
        "both", description="which of an expert's V and W2 all experts of a layer share"
    )
    ffn_width_first: Size = Field(81, description="hidden width of the first block's FFN")
    ffn_width_last: Size = Field(27, description="hidden width of the last block's FFN; linear in between")
    ffn_rounding: Literal["up", "down", "nearest"] = Field("up", description="how widths in between become whole")
    bias: StrictBool = Field(True, description="biases on all linear maps")
    pooling: Literal["class_token", "mean"] = Field("class_token", description="what the head reads")

    @model_validator(mode="before")
    @classmethod
    def _expand_preset(cls, data: Any) -> Any:
        if not isinstance(data, dict) or "preset" not in data:
            return data
        rest = {name: value for name, value in data.items() if name != "preset"}
        preset = data["preset"]
        if not isinstance(preset, str) or preset not in PRESETS:
            raise FieldError("preset", f"{preset!r} is unknown; presets are {', '.join(PRESETS)}")
        return PRESETS[preset] | rest

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_divides("patch_size", self.patch_size, "image_size", self.image_size)
        _check_heads(self.width, self.num_heads, self.num_kv_heads)
        stages, fewest = len(self.experts_by_depth), min(self.experts_by_depth)
        if stages > self.depth:
            raise FieldError(
                "experts_by_depth", f"has {stages} stages but depth is {self.depth}; give at most one per block"
            )
        if self.top_k > fewest:
            raise FieldError(
                "top_k",
                f"{self.top_k} is above the smallest number of experts in experts_by_depth "
                f"{list(self.experts_by_depth)}; it can be {_up_to(fewest)}",
            )
        return self

    @property
    def num_patches(self) -> int:
        return (self.image_size // self.patch_size) ** 2

    @property
    def num_experts(self) -> tuple[int, ...]:
        """Experts of each block: the stages of `experts_by_depth` laid over the depth in equal parts."""
        stages = len(self.experts_by_depth)
        return tuple(self.experts_by_depth[block * stages // self.depth] for block in range(self.depth))

    @property
    def ffn_widths(self) -> tuple[int, ...]:
        """Hidden FFN width of each block, linear from first to last: block i of L has
        (L-1-i)/(L-1) * (first - last) + last, made whole by `ffn_rounding`; whole-number arithmetic, so exact.
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


class Augment(Frozen):
    """Random changes to training images, drawn afresh for every image; all off by default (own choice)."""

    flip: StrictBool = Field(False, description="mirror left-right with probability 1/2")
    shift: Share = Field(0.0, description="largest shift in each direction, as a share of the image size")
    zoom: Share = Field(0.0, description="largest change of scale: factors from 1-zoom to 1+zoom")
    rotate: Annotated[float, Field(ge=0, le=180, strict=True)] = Field(0.0, description="largest rotation, in degrees")
    brightness: Share = Field(0.0, description="largest change of brightness: factors from 1-b to 1+b")
    contrast: Share = Field(0.0, description="largest change of contrast: factors from 1-c to 1+c")
    erase: Annotated[float, Field(ge=0, le=1, strict=True)] = Field(
        0.0, description="probability of erasing one square of a quarter of the area"
    )
    mixup: NonNegativeFloat = Field(0.0, description="alpha of mixup (arXiv 1710.09412); 0 is off; labels only")


class Recipe(Frozen):
    """What both stages share: data, length and optimiser (AdamW, linear warm-up, cosine decay to zero)."""

    dataset: str = Field(description="a data set by name, or parquet:PATH or imagefolder:PATH")
    epochs: PositiveInt = Field(100, description="passes over the training images")
    batch_size: PositiveInt = Field(128, description="images per step")
    learning_rate: PositiveFloat = Field(1e-3, description="highest learning rate, at the end of the warm-up")
    weight_decay: NonNegativeFloat = Field(0.05, description="AdamW's decay; not of biases, norms and positions")
    warmup_epochs: NonNegativeFloat = Field(0.0, description="epochs of linear warm-up")
    clip_norm: NonNegativeFloat = Field(1.0, description="largest gradient norm; 0 does not clip")
    augment: Augment = Field(Augment(), description="random changes to training images")
    train_images: PositiveInt | None = Field(None, description="use only so many training images, drawn once by class")
    precision: Literal["auto", "float32", "bfloat16"] = Field("auto", description="auto: bfloat16 on GPUs")
    compile: Literal["auto", "on", "off"] = Field("auto", description="torch.compile; auto: on GPUs in long stages")

    @model_validator(mode="after")
    def _check_recipe(self) -> Self:
        if self.warmup_epochs > self.epochs:
            raise FieldError("warmup_epochs", f"{self.warmup_epochs:g} is above epochs {self.epochs}")
        return self


class Decoder(Frozen):
    """The MAE's light decoder: the encoder's own kind of block, with positions of its own (arXiv 2509.10919)."""

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
                "top_k", f"{self.top_k} is above num_experts {self.num_experts}; it can be {_up_to(self.num_experts)}"
            )
        return self


class Pretrain(Recipe):
    """Masked auto-encoding (He et al. 2111.06377) without labels, as in arXiv 2402.03752."""

    mask_ratio: Annotated[float, Field(gt=0, lt=1, strict=True)] = Field(
        0.75, description="share of patches that are masked"
    )
    visible_discount: NonNegativeFloat = Field(0.1, description="weight of the loss on visible patches")
    normalize_targets: StrictBool = Field(True, description="targets are normalised within each patch")
    decoder: Decoder = Field(Decoder(), description="what restores the masked patches; dropped after pre-training")

    @model_validator(mode="after")
    def _check_labels(self) -> Self:
        if self.augment.mixup:
            raise FieldError(
                "augment.mixup", f"{self.augment.mixup:g} mixes labels, and pre-training has none; leave it 0"
            )
        return self

    def num_masked(self, num_patches: int) -> int:
        """Masked patches of an image: `num_patches * mask_ratio`, rounded to the nearest (halves up)."""
        return math.floor(num_patches * self.mask_ratio + 0.5)


class Finetune(Recipe):
    """Supervised training: of all weights, or of a linear head alone on a frozen encoder (`probe`)."""

    mode: Literal["finetune", "probe"] = Field(
        "finetune", description="finetune: all weights; probe: a linear head alone, on a frozen pre-trained encoder"
    )
    label_smoothing: Share = Field(0.0, description="share of each label spread over all classes")
    layer_decay: Annotated[float, Field(gt=0, le=1, strict=True)] = Field(
        1.0, description="learning rate of a block relative to the block above it"
    )
    keep: Literal["last", "best"] = Field("last", description="weights reported on: last epoch, or best on validation")


class Settings(Frozen):
    """All of a trial's settings."""

    encoder: Encoder = Field(Encoder(), description="what is built")
    pretrain: Pretrain | None = Field(None, description="how it is pre-trained; null trains from scratch")
    finetune: Finetune = Field(description="how it is fine-tuned on labels")

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
            raise FieldError("finetune.mode", "'probe' needs a pre-trained encoder, but pretrain is null")
        return self
