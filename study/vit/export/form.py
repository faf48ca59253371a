"""What one exported file of a model costs, and what it is worth; no torch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Form:
    """One file of a model: its bytes, the median milliseconds for one image on one CPU core, and its validation
    accuracy (a share from 0 to 1)."""

    file_bytes: int
    milliseconds: float
    val_accuracy: float
