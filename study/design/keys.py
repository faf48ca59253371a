"""The key of a stage: its content address, by which a stored result is found.

SHA-256 of the canonical JSON of what the result depends on: kind, version, the settings that differ from their
defaults, seed, and the key of its parent. Device, paths and workers are not part of it: own data are identified by the
digest of their content, other data sets by name.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from study.utils.canonical_json import canonical_json
from study.vit import subject

Content = Callable[[str], str | None]
"""The digest of a data set's content by its name; None for a data set that is identified by its name."""


def by_name(name: str) -> None:
    """Every data set is identified by its name, own data by their path."""


def by_content(changed: Mapping[str, Any], content: Content) -> dict[str, Any]:
    """Settings by section, with the content of own data instead of their path."""
    return {name: _by_content(section, content) for name, section in changed.items()}


def _by_content(section: Any, content: Content) -> Any:
    if not isinstance(section, Mapping) or "dataset" not in section:
        return section
    found, (kind, _, _) = content(section["dataset"]), section["dataset"].partition(":")
    return section if found is None else {**section, "dataset": f"{kind}:sha256:{found}"}


def identity_of(
    settings: subject.StageSettings, seed: int, parent_key: str | None, content: str | None = None
) -> dict[str, Any]:
    """What a result depends on, as plain JSON. `content`: of own data, None for other data sets."""
    return {
        "stage": settings.kind,
        "version": settings.version,
        **by_content(settings.changed(), lambda name: content),
        "seed": seed,
        "parent": parent_key,
    }


def key_of(identity: Mapping[str, Any]) -> str:
    """64 hexadecimal digits."""
    return hashlib.sha256(canonical_json(identity).encode()).hexdigest()
