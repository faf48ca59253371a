"""From decoded images to tensors on a device, once per process."""

from pathlib import Path

import torch
from safetensors import safe_open

from study.utils import json_text
from study.vit.data import cache
from study.vit.data.arrays import SPLITS, Decoded, Labels, Pixels
from study.vit.data.dataset import Dataset, DatasetInfo, Split
from study.vit.data.source import Source

KEPT = 4  # data sets in memory: a trial uses at most two; the oldest is dropped
_held: dict[tuple[str, int, str, str], Dataset] = {}


def load(source: Source, size: int, device: str) -> Dataset:
    """See `study.vit.data.load`."""
    key = (source.name, size, device, source.fingerprint())
    if key not in _held:
        while len(_held) >= KEPT:
            del _held[next(iter(_held))]
        found = cache.remember(source, size)
        _held[key] = _from_file(found, device) if isinstance(found, Path) else _from_memory(found, device)
    return _held[key]


def _from_file(file: Path, device: str) -> Dataset:
    """On the CPU the tensors are memory-mapped, so that processes on one machine share the pages."""
    with safe_open(file, framework="pt", device=device) as stored:
        metadata = stored.metadata()
        names = set(stored.keys())
        splits = {
            split: Split(
                stored.get_tensor(f"{split}.images"),
                stored.get_tensor(f"{split}.labels") if f"{split}.labels" in names else None,
            )
            for split in SPLITS
        }
    return Dataset(DatasetInfo.from_record(json_text.parse(metadata["info"])), **splits, digest=metadata["digest"])


def _from_memory(decoded: Decoded, device: str) -> Dataset:
    splits = {
        split: Split(_tensor(part.images, device), None if part.labels is None else _tensor(part.labels, device))
        for split, part in decoded.parts.items()
    }
    return Dataset(decoded.info, **splits, digest=cache.digest(decoded))


def _tensor(array: Pixels | Labels, device: str) -> torch.Tensor:
    return torch.from_numpy(array).to(device)
