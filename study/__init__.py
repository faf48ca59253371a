"""A reproducibility and ablation-study harness for lightweight vision transformers."""

__version__ = "0.1.0"
