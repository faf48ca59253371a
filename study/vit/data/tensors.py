"""From decoded images to tensors on a device, once per process."""

from pathlib import Path

import torch
from safetensors import safe_open

from study.utils import json_text
from study.vit.data import cache
from study.vit.data.arrays import SPLITS, Decoded, Labels, Pixels
from study.vit.data.dataset import Dataset, DatasetInfo, Split
from study.vit.data.resplit import resplit
from study.vit.data.source import Source

KEPT = 4  # data sets in memory: a trial uses at most two, each also with drawn splits; the oldest is dropped
_held: dict[tuple[str, int, str, str, int | None], Dataset] = {}


def load(source: Source, size: int, device: str, split_seed: int | None = None) -> Dataset:
    """See `study.vit.data.load`."""
    key = (source.name, size, device, source.fingerprint(), split_seed)
    if key not in _held:
        made = _read(source, size, device) if split_seed is None else _resplit(source, size, device, split_seed)
        while len(_held) >= KEPT:
            del _held[next(iter(_held))]
        _held[key] = made
    return _held[key]


def _read(source: Source, size: int, device: str) -> Dataset:
    found = cache.remember(source, size)
    return _from_file(found, device) if isinstance(found, Path) else _from_memory(found, device)


def _resplit(source: Source, size: int, device: str, seed: int) -> Dataset:
    fixed, shares = load(source, size, device), source.shares()
    return resplit(fixed, shares, seed) if shares else fixed


def _from_file(file: Path, device: str) -> Dataset:
    """On the CPU the tensors are memory-mapped, so that processes on one machine share the pages."""
    with safe_open(file, framework="pt", device=device) as stored:
        metadata = stored.metadata()
        names = set(stored.keys())
        splits = {
            split: Split(
                stored.get_tensor(f"{split}.images"),
                stored.get_tensor(f"{split}.labels") if f"{split}.labels" in names else None,
                stored.get_tensor(f"{split}.prints").cpu() if f"{split}.prints" in names else None,
            )
            for split in SPLITS
        }
    return Dataset(DatasetInfo.from_record(json_text.parse(metadata["info"])), **splits, digest=metadata["digest"])


def _from_memory(decoded: Decoded, device: str) -> Dataset:
    splits = {
        split: Split(
            _tensor(part.images, device),
            None if part.labels is None else _tensor(part.labels, device),
            None if part.prints is None else _tensor(part.prints, "cpu"),
        )
        for split, part in decoded.parts.items()
    }
    return Dataset(decoded.info, **splits, digest=cache.digest(decoded))


def _tensor(array: Pixels | Labels, device: str) -> torch.Tensor:
    return torch.from_numpy(array).to(device)
