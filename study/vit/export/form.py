"""Size, latency and accuracy of one exported file; no torch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Form:
    """Measurements of one exported file of a model."""

    file_bytes: int
    milliseconds: float  # median latency of one image on one CPU core
    val_accuracy: float  # top-1, from 0 to 1
