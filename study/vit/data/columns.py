"""The image and label columns of a table."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]

from study.utils.errors import StudyError

IMAGE_NAMES = ("image", "img")  # preferred among several image columns
LABEL_NAMES = ("label", "labels", "fine_label", "class", "target")  # preferred among several label columns


@dataclass(frozen=True)
class Columns:
    """The names of the image and label columns."""

    image: str
    label: str | None  # None: the table has no labels
    class_names: tuple[str, ...] | None  # None: not recorded in the table


def columns_of(schema: Any, where: str) -> Columns:
    """The image and label columns of an Arrow schema: by the types that `datasets` recorded, else by type and name.

    Raises StudyError if there is no image column, or several without a preferred name; `where` names the table.
    """
    features = _features(schema)
    images = [name for name, kind in features.items() if kind.get("_type") == "Image"]
    images = images or [field.name for field in schema if _holds_bytes(field.type)]
    labels = [name for name, kind in features.items() if kind.get("_type") == "ClassLabel"]
    labels = labels or [field.name for field in schema if pa.types.is_integer(field.type) and field.name in LABEL_NAMES]
    if not images:
        raise StudyError(f"{where} has no column of encoded images; its columns are {', '.join(schema.names)}")
    label = _choose(where, "label", labels, LABEL_NAMES) if labels else None
    names = features.get(label or "", {}).get("names")
    return Columns(_choose(where, "image", images, IMAGE_NAMES), label, tuple(names) if names else None)


def _features(schema: Any) -> dict[str, dict[str, Any]]:
    """What `datasets` recorded about columns in a table's metadata; empty for tables of other programs."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {name: kind for name, kind in features.items() if name in schema.names and isinstance(kind, dict)}
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}


def _holds_bytes(kind: Any) -> bool:
    if pa.types.is_struct(kind):
        return any(kind.field(i).name == "bytes" and _holds_bytes(kind.field(i).type) for i in range(kind.num_fields))
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _choose(where: str, what: str, found: Sequence[str], preferred: Sequence[str]) -> str:
    if len(found) == 1:
        return found[0]
    for name in preferred:
        if name in found:
            return name
    raise StudyError(
        f"{where} has more than one {what} column: {', '.join(found)}; remove all but one, or name one {preferred[0]!r}"
    )
