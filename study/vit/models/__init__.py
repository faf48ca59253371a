"""The models.

vit             the encoder: patches, blocks, initialization
attention, moe  grouped query attention; mixture of experts with its router
balance         importance and load losses
heads           classifier, and the layer of each parameter
mae             masked autoencoder
predictor       a trained model for inference
cpu, cpu_attention, cpu_experts   faster CPU implementations, used automatically
"""

from study.vit.models.heads import Classified, Classifier, layer_of, no_decay
from study.vit.models.mae import MaskedAutoencoder, Reconstructed
from study.vit.models.predictor import Predictor
from study.vit.models.vit import Encoded, VisionTransformer, build_encoder

__all__ = [
    "Classified",
    "Classifier",
    "Encoded",
    "MaskedAutoencoder",
    "Predictor",
    "Reconstructed",
    "VisionTransformer",
    "build_encoder",
    "layer_of",
    "no_decay",
]
