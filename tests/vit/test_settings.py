"""Settings of a trial: strict types, exact arithmetic, error messages that name the field and the valid values."""

import math
from fractions import Fraction
from typing import Any

import pytest
from helpers.model_samples import encoders
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from study.vit.settings import PRESETS, Augment, Decoder, Encoder, FieldError, Finetune, Pretrain, Settings


def problem(model: type[BaseModel], **fields: Any) -> tuple[str, str]:
    """The field and the message of the first validation error."""
    with pytest.raises(ValidationError) as caught:
        model.model_validate(fields)
    first = caught.value.errors()[0]
    cause = first.get("ctx", {}).get("error")
    path = [*map(str, first["loc"]), *([cause.field] if isinstance(cause, FieldError) else [])]
    return ".".join(path), first["msg"]


# --- sizes, computed by hand from PAPER.md's formulas ---


@pytest.mark.parametrize(
    ("preset", "rounding", "widths"),
    [
        # (L-1-i)/(L-1) * (first-last) + last. XXS: 81 to 27 over 9 blocks falls by 54/8 = 6.75 a block.
        ("XXS", "up", (81, 75, 68, 61, 54, 48, 41, 34, 27)),
        ("XXS", "down", (81, 74, 67, 60, 54, 47, 40, 33, 27)),
        ("XXS", "nearest", (81, 74, 68, 61, 54, 47, 41, 34, 27)),  # 67.5 and 40.5 go up, 74.25 and 47.25 down
        # XS: 96 to 32 over 12 blocks falls by 64/11 = 5.8181...
        ("XS", "up", (96, 91, 85, 79, 73, 67, 62, 56, 50, 44, 38, 32)),
        # S: 144 to 72 over 15 blocks falls by 72/14 = 5.142857...
        ("S", "up", (144, 139, 134, 129, 124, 119, 114, 108, 103, 98, 93, 88, 83, 78, 72)),
    ],
)
def test_ffn_widths_fall_linearly_with_depth(preset: str, rounding: str, widths: tuple[int, ...]) -> None:
    assert Encoder.model_validate({"preset": preset, "ffn_rounding": rounding}).ffn_widths == widths


@pytest.mark.parametrize(("rounding", "middle"), [("up", 3), ("down", 2), ("nearest", 3)])
def test_halves_between_two_widths(rounding: str, middle: int) -> None:
    encoder = Encoder(depth=3, ffn_width_first=4, ffn_width_last=1, ffn_rounding=rounding)
    assert encoder.ffn_widths == (4, middle, 1)  # 2.5 in between


def test_a_single_block_has_the_first_width() -> None:
    assert Encoder(depth=1, experts_by_depth=(2,), ffn_width_first=5, ffn_width_last=9).ffn_widths == (5,)


@settings(max_examples=50, deadline=None)
@given(
    depth=st.integers(1, 40),
    first=st.integers(1, 500),
    last=st.integers(1, 500),
    rounding=st.sampled_from(["up", "down", "nearest"]),
)
def test_ffn_widths_equal_the_formula_in_exact_fractions(depth: int, first: int, last: int, rounding: str) -> None:
    encoder = Encoder(
        depth=depth, experts_by_depth=(2,), ffn_width_first=first, ffn_width_last=last, ffn_rounding=rounding
    )
    rounded = {"up": math.ceil, "down": math.floor, "nearest": lambda x: math.floor(x + Fraction(1, 2))}[rounding]
    steps = max(1, depth - 1)
    expected = [rounded(Fraction(depth - 1 - i, steps) * (first - last) + last) for i in range(depth)]
    assert list(encoder.ffn_widths) == (expected if depth > 1 else [first])


@pytest.mark.parametrize(
    ("parts", "depth", "experts"),
    [
        ((3, 4, 5), 9, (3, 3, 3, 4, 4, 4, 5, 5, 5)),
        ((3, 4, 5), 12, (3,) * 4 + (4,) * 4 + (5,) * 4),
        ((3, 4, 5), 15, (3,) * 5 + (4,) * 5 + (5,) * 5),
        ((2, 3), 5, (2, 2, 2, 3, 3)),  # as equal as five allow
        ((2, 3, 4), 4, (2, 2, 3, 4)),
        ((5,), 3, (5, 5, 5)),
        ((7, 2, 9), 3, (7, 2, 9)),  # any counts, also falling
    ],
)
def test_experts_of_each_block(parts: tuple[int, ...], depth: int, experts: tuple[int, ...]) -> None:
    assert Encoder(depth=depth, experts_by_depth=parts).num_experts == experts


@settings(max_examples=50, deadline=None)
@given(parts=st.lists(st.integers(2, 9), min_size=1, max_size=8), extra=st.integers(0, 20))
def test_experts_divide_the_depth_equally_and_in_order(parts: list[int], extra: int) -> None:
    depth = len(parts) + extra
    labelled = Encoder(depth=depth, experts_by_depth=tuple(range(2, 2 + len(parts)))).num_experts
    counts = [labelled.count(part) for part in range(2, 2 + len(parts))]
    assert list(labelled) == sorted(labelled)
    assert sum(counts) == depth
    assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize(
    ("ratio", "patches", "masked"), [(0.75, 144, 108), (0.75, 16, 12), (0.6, 4, 2), (0.625, 4, 3), (0.5, 5, 3)]
)
def test_masked_patches_are_rounded_to_the_nearest(ratio: float, patches: int, masked: int) -> None:
    """int(N * (1 - ratio)) would be wrong at 0.6: 4 * 0.4 = 1.6 visible patches."""
    assert Pretrain(dataset="digits", mask_ratio=ratio).num_masked(patches) == masked


def test_patches() -> None:
    assert Encoder().num_patches == 144  # 36 px in patches of 3
    assert Encoder(image_size=8, patch_size=2).num_patches == 16


# --- presets ---


@pytest.mark.parametrize(
    ("preset", "width", "depth", "first", "last", "heads", "kv_heads"),
    [("S", 144, 15, 144, 72, 8, 4), ("XS", 128, 12, 96, 32, 8, 4), ("XXS", 108, 9, 81, 27, 6, 3)],
)
def test_presets_are_those_of_the_paper(
    preset: str, width: int, depth: int, first: int, last: int, heads: int, kv_heads: int
) -> None:
    encoder = Encoder.model_validate({"preset": preset})
    assert (encoder.width, encoder.depth) == (width, depth)
    assert (encoder.ffn_width_first, encoder.ffn_width_last) == (first, last)
    assert (encoder.num_heads, encoder.num_kv_heads) == (heads, kv_heads)
    assert (encoder.image_size, encoder.patch_size, encoder.experts_by_depth, encoder.top_k) == (36, 3, (3, 4, 5), 2)


def test_the_default_is_size_xxs() -> None:
    assert Encoder() == Encoder.model_validate({"preset": "XXS"})
    assert Encoder().changed() == {}


def test_fields_override_the_preset() -> None:
    encoder = Encoder.model_validate({"depth": 6, "preset": "S"})
    assert (encoder.depth, encoder.width) == (6, 144)


@pytest.mark.parametrize("preset", ["M", "xxs", "", None, 1, ["S"], {"S": 1}])
def test_an_unknown_preset_lists_the_presets(preset: object) -> None:
    field, message = problem(Encoder, preset=preset)
    assert field == "preset"
    assert message.endswith(f"presets are {', '.join(PRESETS)}")


# --- types ---


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("width", True), ("width", "128"), ("width", 128.0), ("width", 0), ("width", -1), ("width", None),
        ("width", 65_537), ("depth", 1_001), ("image_size", 10**30), ("num_heads", [2]),
        ("top_k", True), ("experts_by_depth", 3), ("experts_by_depth", []), ("experts_by_depth", "345"),
        ("experts_by_depth", {3: 4}), ("importance_weight", True), ("importance_weight", "0.01"),
        ("importance_weight", math.inf), ("importance_weight", math.nan), ("importance_weight", -0.01),
        ("bias", 1), ("bias", 0), ("bias", "true"), ("bias", None), ("router_noise", "off"),
        ("channels", True), ("channels", 1.0), ("channels", 2), ("channels", "3"),
        ("pooling", "cls"), ("shared_projections", True), ("shared_projections", None), ("ffn_rounding", "ceil"),
        ("widht", 128),
    ],
)  # fmt: skip
def test_type_and_range_are_strict(field: str, wrong: object) -> None:
    assert problem(Encoder, **{field: wrong})[0] == field


@pytest.mark.parametrize("wrong", [[3, True], [3, 4.0], [3, "4"], [3, 0], [3, None], [3, [4]], [3, 1001]])
def test_each_number_of_experts_is_checked(wrong: list[object]) -> None:
    assert problem(Encoder, experts_by_depth=wrong)[0] == "experts_by_depth.1"


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("dataset", None), ("dataset", 5), ("epochs", 0), ("epochs", 1.5), ("learning_rate", 0),
        ("learning_rate", "1e-3"), ("learning_rate", math.inf), ("weight_decay", -1), ("augment", None),
        ("augment", ["flip"]), ("compile", False), ("compile", True), ("precision", "fp16"), ("mode", "freeze"),
        ("layer_decay", 0), ("layer_decay", 1.01), ("label_smoothing", 1), ("train_images", 0), ("keep", "first"),
        ("mask_ratio", 0.5),
    ],
)  # fmt: skip
def test_recipes_are_as_strict(field: str, wrong: object) -> None:
    assert problem(Finetune, **{"dataset": "digits", field: wrong})[0] == field


def test_integers_are_valid_floats() -> None:
    recipe = Finetune(dataset="digits", warmup_epochs=5, learning_rate=1)
    assert recipe == Finetune(dataset="digits", warmup_epochs=5.0, learning_rate=1.0)
    assert isinstance(recipe.warmup_epochs, float)


def test_settings_are_frozen_and_hashable() -> None:
    made = Settings(finetune=Finetune(dataset="digits"))
    assert len({made, Settings(finetune=Finetune(dataset="digits"))}) == 1
    with pytest.raises(ValidationError, match="frozen"):
        made.encoder.width = 9  # type: ignore[misc]


# --- fields that are invalid in combination ---


@pytest.mark.parametrize(
    ("fields", "field", "message"),
    [
        (
            {"patch_size": 5},
            "patch_size",
            "5 does not divide image_size 36; must be one of 1, 2, 3, 4, 6, 9,",
        ),
        ({"num_heads": 5}, "num_heads", "5 does not divide width 108; must be one of 1, 2, 3, 4, 6, 9"),
        ({"num_kv_heads": 4}, "num_kv_heads", "4 does not divide num_heads 6; must be one of 1, 2, 3, 6"),
        ({"num_kv_heads": 12}, "num_kv_heads", "12 does not divide num_heads 6"),
        ({"top_k": 4}, "top_k", "exceeds the smallest number of experts in experts_by_depth [3, 4, 5]; must be 1 to 3"),
        ({"experts_by_depth": [5, 2, 3], "top_k": 3}, "top_k", "must be 1 to 2"),
        ({"experts_by_depth": [1]}, "top_k", "must be 1"),
        ({"depth": 2}, "experts_by_depth", "3 parts but depth is 2"),
    ],
)
def test_invalid_encoders(fields: dict[str, object], field: str, message: str) -> None:
    found = problem(Encoder, **fields)
    assert found[0] == field
    assert message in found[1]


def test_invalid_decoders() -> None:
    assert problem(Decoder, num_heads=5)[0] == "num_heads"
    assert problem(Decoder, top_k=4) == ("top_k", "Value error, 4 exceeds num_experts 3; must be 1 to 3")


def test_warm_up_is_at_most_the_whole_training() -> None:
    assert Finetune(dataset="digits", epochs=5, warmup_epochs=5).warmup_epochs == 5
    assert problem(Finetune, dataset="digits", epochs=5, warmup_epochs=5.5)[0] == "warmup_epochs"


def test_at_least_one_patch_is_masked_and_one_visible() -> None:
    finetune = {"dataset": "digits"}
    for ratio in (0.001, 0.999):
        found = problem(Settings, finetune=finetune, pretrain={"dataset": "digits", "mask_ratio": ratio})
        assert found[0] == "pretrain.mask_ratio"
        assert "of 144 patches" in found[1]


def test_a_probe_requires_a_pre_trained_encoder() -> None:
    assert problem(Settings, finetune={"dataset": "digits", "mode": "probe"})[0] == "finetune.mode"
    pretrain = Pretrain(dataset="digits")
    assert Settings(finetune=Finetune(dataset="digits", mode="probe"), pretrain=pretrain).pretrain == pretrain


# --- the content of keys ---


def test_only_changed_fields_are_in_keys() -> None:
    recipe = Finetune(dataset="digits", epochs=100, augment=Augment(flip=True), weight_decay=0.1)
    assert recipe.changed() == {"dataset": "digits", "augment": {"flip": True}, "weight_decay": 0.1}
    assert Encoder(experts_by_depth=(2, 3)).changed() == {"experts_by_depth": [2, 3]}


@settings(max_examples=30, deadline=None)
@given(encoders())
def test_encoders_survive_a_round_trip_through_json(encoder: Encoder) -> None:
    assert Encoder.model_validate(encoder.model_dump(mode="json")) == encoder
    assert Encoder.model_validate(encoder.changed()) == encoder
    assert Encoder.model_validate_json(encoder.model_dump_json()) == encoder


def test_every_setting_has_a_description() -> None:
    """Plans, errors and the JSON schema show the descriptions."""
    for model in (Encoder, Augment, Decoder, Pretrain, Finetune):
        assert all(field.description for field in model.model_fields.values())


def test_mixup_is_invalid_in_pretraining() -> None:
    with pytest.raises(ValidationError, match=r"invalid value 0.2: must be 0, because pre-training has no labels"):
        Pretrain.model_validate({"dataset": "digits", "augment": {"mixup": 0.2}})
