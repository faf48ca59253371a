"""From a source's arrays to tensors on a device, once per process."""

import hashlib

import torch

from study.data.arrays import SPLITS, Decoded, Part
from study.data.dataset import Dataset, Split
from study.data.source import Source

_loaded: dict[tuple[str, int, str, str], Dataset] = {}
KEPT = 4  # data sets a process keeps: a trial uses two at most, a worker that goes on to others forgets the oldest


def load(source: Source, size: int, device: str) -> Dataset:
    """See `study.data.load`."""
    key = (source.name, size, device, source.fingerprint())
    if key not in _loaded:
        while len(_loaded) >= KEPT:
            del _loaded[next(iter(_loaded))]
        _loaded[key] = to_device(source.read(size), device)
    return _loaded[key]


def to_device(decoded: Decoded, device: str) -> Dataset:
    """The same data as tensors."""
    splits = {split: _split(decoded.parts[split], device) for split in SPLITS}
    return Dataset(decoded.info, splits["train"], splits["validation"], splits["test"], digest(decoded))


def _split(part: Part, device: str) -> Split:
    labels = None if part.labels is None else torch.from_numpy(part.labels).to(device)
    return Split(torch.from_numpy(part.images).to(device), labels)


def digest(decoded: Decoded) -> str:
    """SHA-256 over shape, images and labels of all splits."""
    total = hashlib.sha256()
    for split in SPLITS:
        part = decoded.parts[split]
        total.update(f"{split} {part.images.shape} {part.labels is not None};".encode())
        total.update(part.images.tobytes())
        if part.labels is not None:
            total.update(part.labels.astype("<i8").tobytes())
    return total.hexdigest()
