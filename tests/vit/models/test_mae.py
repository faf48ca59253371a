"""Masked autoencoding: the masked patches, the input of the encoder, the losses."""

import pytest
import torch
from helpers.model_samples import DATASET, encoders, pretrains, with_large_weights
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from study.vit import settings as config
from study.vit.models import MaskedAutoencoder, build_encoder
from study.vit.models.vit import patchify


def sample(
    encoder: config.Encoder, pretrain: config.Pretrain, batch: int = 2
) -> tuple[MaskedAutoencoder, Tensor, Tensor]:
    """A model in evaluation mode, images and patch orders."""
    torch.manual_seed(0)
    model = with_large_weights(MaskedAutoencoder(build_encoder(encoder), pretrain)).eval()
    images = torch.randn(batch, encoder.channels, encoder.image_size, encoder.image_size, dtype=torch.float64)
    return model, images, torch.rand(batch, encoder.num_patches).argsort(1)


def changed(images: Tensor, patch: int, image: int, size: int) -> Tensor:
    """Images with one patch of one image changed."""
    across = images.shape[-1] // size
    top, left = patch // across * size, patch % across * size
    images = images.clone()
    images[image, :, top : top + size, left : left + size] += torch.randn(size, size, dtype=torch.float64)
    return images


SMALL = config.Encoder(
    image_size=8, patch_size=2, channels=1, width=6, depth=2, num_heads=2, num_kv_heads=1, experts_by_depth=(2, 3),
    ffn_width_first=5, ffn_width_last=3,
)  # fmt: skip
DECODER = config.Decoder(width=4, depth=1, ffn_width=3, num_heads=2, num_kv_heads=1)


@pytest.mark.parametrize(("ratio", "masked"), [(0.75, 12), (0.5, 8), (0.7, 11), (0.66, 11), (0.03, 0), (0.97, 16)])
def test_the_number_of_masked_patches_is_rounded(ratio: float, masked: int) -> None:
    assert config.Pretrain(dataset=DATASET, mask_ratio=ratio).num_masked(16) == masked  # 11.2 and 10.56 are both 11


@pytest.mark.parametrize("pooling", ["class_token", "mean"])
@pytest.mark.parametrize("ratio", [0.75, 0.7, 0.1])
def test_the_encoder_receives_the_visible_patches_only(pooling: str, ratio: float) -> None:
    encoder = SMALL.model_copy(update={"pooling": pooling})
    pretrain = config.Pretrain(dataset=DATASET, mask_ratio=ratio, decoder=DECODER)
    model, images, order = sample(encoder, pretrain)
    masked = pretrain.num_masked(16)
    tokens = model.encoder(images, order[:, : 16 - masked]).tokens_BND
    assert tokens.shape[1] == 16 - masked + (pooling == "class_token")
    before = model(images, order)
    for place in range(16):
        after = model(changed(images, int(order[0, place]), 0, 2), order)
        is_masked = place >= 16 - masked
        assert torch.equal(after.prediction_BNP, before.prediction_BNP) == is_masked
        assert torch.equal(after.visible_loss, before.visible_loss) == is_masked
        assert not torch.equal(after.masked_loss, before.masked_loss)


@settings(max_examples=25, deadline=None)
@given(encoders(max_depth=2).filter(lambda encoder: encoder.num_patches > 1), st.data())
def test_losses_are_means_over_their_patches(encoder: config.Encoder, data: st.DataObject) -> None:
    pretrain = data.draw(pretrains(encoder.num_patches))
    model, images, order = sample(encoder, pretrain)
    found = model(images, order)
    errors: dict[bool, list[float]] = {True: [], False: []}
    for image, prediction, places in zip(
        patchify(images, encoder.patch_size), found.prediction_BNP, order, strict=True
    ):
        for place, patch in enumerate(places.tolist()):
            target = image[patch]
            if pretrain.normalize_targets:
                target = (target - target.mean()) / (target.var(correction=0) + 1e-6).sqrt()
            visible = place < encoder.num_patches - pretrain.num_masked(encoder.num_patches)
            errors[visible].append(((prediction[patch] - target) ** 2).mean().item())
    masked, visible = (sum(errors[key]) / len(errors[key]) for key in (False, True))
    assert found.masked_loss.item() == pytest.approx(masked)
    assert found.visible_loss.item() == pytest.approx(visible)
    assert found.loss.item() == pytest.approx(masked + pretrain.visible_discount * visible)
    assert len(found.expert_load) == encoder.depth + pretrain.decoder.depth


def test_the_order_of_the_visible_and_of_the_masked_does_not_matter() -> None:
    model, images, order = sample(SMALL, config.Pretrain(dataset=DATASET, decoder=DECODER))
    again = torch.cat((order[:, :4].flip(1), order[:, 4:].roll(3, dims=1)), dim=1)
    torch.testing.assert_close(model(images, again).prediction_BNP, model(images, order).prediction_BNP)
    torch.testing.assert_close(model(images, again).loss, model(images, order).loss)


def test_patches_are_in_reading_order() -> None:
    image = torch.arange(16.0).view(1, 1, 4, 4)
    assert patchify(image, 2).tolist() == [[[0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15]]]
    colour = torch.cat((image, image + 100, image + 200), dim=1)
    assert patchify(colour, 2)[0, 1].tolist() == [2, 3, 6, 7, 102, 103, 106, 107, 202, 203, 206, 207]


def test_training_balances_encoder_and_decoder() -> None:
    model, images, order = sample(SMALL, config.Pretrain(dataset=DATASET, decoder=DECODER))
    assert model(images, order).balance_loss.item() == 0
    torch.manual_seed(1)
    whole = model.train()(images, order).balance_loss.item()
    torch.manual_seed(1)
    assert 0 < model.encoder(images, order[:, :4]).balance_loss.item() < whole


def test_every_weight_has_a_gradient() -> None:
    model, images, order = sample(SMALL, config.Pretrain(dataset=DATASET, decoder=DECODER), batch=8)
    found = model.train()(images, order)
    (found.loss + found.balance_loss).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []
