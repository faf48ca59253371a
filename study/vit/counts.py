"""Parameters and multiply-adds in closed form, from the settings alone; no torch.

A multiply-add is one multiplication and addition in a linear map (patch embedding, attention projections, experts,
router, heads) or in one of the two matrix products of attention. Element-wise operations (norms, activations, softmax,
router weights, biases, residuals) are not counted. A training step costs about three forward passes.

Each is counted twice: `total` or `executed` includes all experts, which are computed for every token; `active` includes
only the `top_k` experts that a token keeps.
"""

from dataclasses import dataclass
from typing import Self

from study.vit import settings


@dataclass(frozen=True)
class Count:
    """Parameters: all, and those that act on one token."""

    total: int
    active: int


@dataclass(frozen=True)
class Macs:
    """Multiply-adds of one image's forward pass: all experts, and only the experts kept for each token."""

    executed: int
    active: int


def encoder_params(encoder: settings.Encoder) -> Count:
    """Parameters of the encoder alone."""
    tokens = _num_tokens(encoder, encoder.num_patches)
    rest = (
        _linear(_patch_numbers(encoder), encoder.width, encoder.bias)
        + (tokens - encoder.num_patches) * encoder.width  # class token
        + tokens * encoder.width  # positions
        + 2 * encoder.width  # last norm
    )
    return _params(_encoder_blocks(encoder), rest)


def classifier_params(encoder: settings.Encoder, num_classes: int) -> Count:
    """Parameters of the encoder and a linear head of `num_classes`."""
    count, head = encoder_params(encoder), _linear(encoder.width, num_classes, encoder.bias)
    return Count(count.total + head, count.active + head)


def pretrain_params(encoder: settings.Encoder, pretrain: settings.Pretrain) -> Count:
    """Parameters of the encoder and the masked auto-encoder's decoder."""
    width = pretrain.decoder.width
    rest = (
        _linear(encoder.width, width, encoder.bias)
        + width  # mask token
        + _num_tokens(encoder, encoder.num_patches) * width  # positions
        + 2 * width  # last norm
        + _linear(width, _patch_numbers(encoder), encoder.bias)
    )
    whole, decoder = encoder_params(encoder), _params(_decoder_blocks(encoder, pretrain.decoder), rest)
    return Count(whole.total + decoder.total, whole.active + decoder.active)


def classifier_macs(encoder: settings.Encoder, num_classes: int) -> Macs:
    """Multiply-adds to classify one image (in evaluation, without router noise)."""
    rest = _patch_macs(encoder, encoder.num_patches) + encoder.width * num_classes
    return _macs(_encoder_blocks(encoder), _num_tokens(encoder, encoder.num_patches), rest, noise=False)


def pretrain_macs(encoder: settings.Encoder, pretrain: settings.Pretrain) -> Macs:
    """Multiply-adds of the forward pass over one image in masked pre-training (router noise as configured).

    The encoder computes the visible patches only, the decoder all.
    """
    visible = encoder.num_patches - pretrain.num_masked(encoder.num_patches)
    seen, whole = _num_tokens(encoder, visible), _num_tokens(encoder, encoder.num_patches)
    width = pretrain.decoder.width
    encode = _macs(_encoder_blocks(encoder), seen, _patch_macs(encoder, visible), noise=encoder.router_noise)
    rest = seen * encoder.width * width + encoder.num_patches * width * _patch_numbers(encoder)
    decode = _macs(_decoder_blocks(encoder, pretrain.decoder), whole, rest, noise=encoder.router_noise)
    return Macs(encode.executed + decode.executed, encode.active + decode.active)


@dataclass(frozen=True)
class _Block:
    """The sizes of one Transformer block."""

    width: int
    kv_width: int
    ffn_width: int
    experts: int
    top_k: int
    noise: bool
    bias: bool
    own_v: bool
    own_w2: bool

    @classmethod
    def of(
        cls, encoder: settings.Encoder, shape: settings.Encoder | settings.Decoder, ffn_width: int, experts: int
    ) -> Self:
        return cls(
            width=shape.width,
            kv_width=shape.width // shape.num_heads * shape.num_kv_heads,
            ffn_width=ffn_width,
            experts=experts,
            top_k=min(shape.top_k, experts),
            noise=encoder.router_noise,
            bias=encoder.bias,
            own_v=encoder.shared_projections in ("w2", "none"),
            own_w2=encoder.shared_projections in ("v", "none"),
        )

    @property
    def params(self) -> int:
        scores = 0 if self.experts == 1 else self.experts * (2 if self.noise else 1)
        return (
            _linear(self.width, self.width + 2 * self.kv_width, self.bias)
            + _linear(self.width, self.width, self.bias)
            + 4 * self.width  # two norms
            + _linear(self.width, scores, self.bias)
            + self.experts * self._own_params
            + (0 if self.own_v else _linear(self.width, self.ffn_width, self.bias))
            + (0 if self.own_w2 else _linear(self.ffn_width, self.width, self.bias))
        )

    @property
    def idle_params(self) -> int:
        """Parameters of the experts that a token does not keep."""
        return (self.experts - self.top_k) * self._own_params

    @property
    def _own_params(self) -> int:
        return (2 if self.own_v else 1) * _linear(self.width, self.ffn_width, self.bias) + (
            _linear(self.ffn_width, self.width, self.bias) if self.own_w2 else 0
        )

    def macs(self, tokens: int, *, experts: int, noise: bool) -> int:
        """Multiply-adds of `tokens` tokens with `experts` experts each."""
        scores = 0 if self.experts == 1 else self.experts * (2 if noise else 1)
        projections = experts + (experts if self.own_v else 1) + (experts if self.own_w2 else 1)
        mixed_biases = experts if self.own_w2 and self.bias and self.experts > 1 else 0
        per_token = (
            2 * self.width + 2 * self.kv_width + scores + projections * self.ffn_width + mixed_biases
        ) * self.width
        return tokens * per_token + 2 * tokens * tokens * self.width


def _encoder_blocks(encoder: settings.Encoder) -> list[_Block]:
    return [
        _Block.of(encoder, encoder, ffn_width, experts)
        for ffn_width, experts in zip(encoder.ffn_widths, encoder.num_experts, strict=True)
    ]


def _decoder_blocks(encoder: settings.Encoder, decoder: settings.Decoder) -> list[_Block]:
    return [_Block.of(encoder, decoder, decoder.ffn_width, decoder.num_experts)] * decoder.depth


def _params(blocks: list[_Block], rest: int) -> Count:
    total = rest + sum(block.params for block in blocks)
    return Count(total, total - sum(block.idle_params for block in blocks))


def _macs(blocks: list[_Block], tokens: int, rest: int, *, noise: bool) -> Macs:
    return Macs(
        executed=rest + sum(block.macs(tokens, experts=block.experts, noise=noise) for block in blocks),
        active=rest + sum(block.macs(tokens, experts=block.top_k, noise=noise) for block in blocks),
    )


def _linear(inputs: int, outputs: int, bias: bool) -> int:
    return (inputs + (1 if bias else 0)) * outputs


def _patch_numbers(encoder: settings.Encoder) -> int:
    return encoder.channels * encoder.patch_size**2


def _patch_macs(encoder: settings.Encoder, patches: int) -> int:
    return patches * _patch_numbers(encoder) * encoder.width


def _num_tokens(encoder: settings.Encoder, patches: int) -> int:
    return patches + (1 if encoder.pooling == "class_token" else 0)
