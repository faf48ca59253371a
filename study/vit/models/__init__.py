"""The models: encoder, classifier, masked auto-encoder."""

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
