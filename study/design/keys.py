"""The key of a stage: its content address, by which a stored result is found.

SHA-256 of the canonical JSON of what the result depends on: kind, version, the settings that differ from their
defaults, seed, and the key of its parent. Device, paths and workers are not part of it.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from study.utils.canonical_json import canonical_json
from study.vit import subject


def identity_of(settings: subject.StageSettings, seed: int, parent_key: str | None) -> dict[str, Any]:
    """What a result depends on, as plain JSON."""
    return {
        "stage": settings.kind,
        "version": settings.version,
        **settings.changed(),
        "seed": seed,
        "parent": parent_key,
    }


def key_of(identity: Mapping[str, Any]) -> str:
    """64 hexadecimal digits."""
    return hashlib.sha256(canonical_json(identity).encode()).hexdigest()
