"""The image and label columns of a table."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]

from study.utils import json_text
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

    Raises StudyError for two columns of one name, if there is no image column, or several without a preferred name, or
    if the label column has a type that does not encode classes; `where` names the table.
    """
    if double := [name for name, count in Counter(schema.names).items() if count > 1]:
        raise StudyError(f"{where} has several columns {double[0]!r}; remove all but one, or rename them")
    features = _features(schema)
    images = [name for name, kind in features.items() if kind.get("_type") == "Image"]
    images = images or [field.name for field in schema if _holds_bytes(field.type)]
    labels = [name for name, kind in features.items() if kind.get("_type") == "ClassLabel"]
    labels = labels or _label_columns(schema, where)
    if not images:
        raise StudyError(f"{where} has no column of encoded images; its columns are {', '.join(schema.names)}")
    label = _choose(where, "label", labels, LABEL_NAMES) if labels else None
    names = features.get(label or "", {}).get("names")
    return Columns(_choose(where, "image", images, IMAGE_NAMES), label, tuple(names) if names else None)


def _label_columns(schema: Any, where: str) -> list[str]:
    """The columns with the name of a label column: those of integers, else of any other type that encodes classes."""
    named = [field for field in schema if field.name in LABEL_NAMES]
    integers = [field.name for field in named if pa.types.is_integer(field.type)]
    others = [field.name for field in named if _encodes_classes(field.type)]
    if named and not integers and not others:
        raise StudyError(
            f"{where}: label column {named[0].name!r} has the type {named[0].type}; labels must be integers, text, "
            "bools or categories. Write one of these, or remove the column if the images are for pre-training only"
        )
    return integers or others


def _encodes_classes(kind: Any) -> bool:
    if pa.types.is_dictionary(kind):
        return _encodes_classes(kind.value_type)
    tests = ("integer", "string", "large_string", "string_view", "boolean", "floating", "decimal")
    return any(getattr(pa.types, f"is_{test}")(kind) for test in tests)


def _features(schema: Any) -> dict[str, dict[str, Any]]:
    """What `datasets` recorded about columns in a table's metadata; empty for tables of other programs."""
    try:
        features = json_text.parse((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {name: kind for name, kind in features.items() if name in schema.names and isinstance(kind, dict)}
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}


def _holds_bytes(kind: Any) -> bool:
    if pa.types.is_struct(kind):
        return any(kind.field(i).name == "bytes" and _holds_bytes(kind.field(i).type) for i in range(kind.num_fields))
    return any(getattr(pa.types, f"is_{test}")(kind) for test in ("binary", "large_binary", "binary_view"))


def _choose(where: str, what: str, found: Sequence[str], preferred: Sequence[str]) -> str:
    if len(found) == 1:
        return found[0]
    for name in preferred:
        if name in found:
            return name
    raise StudyError(
        f"{where} has more than one {what} column: {', '.join(found)}; remove all but one, or name one {preferred[0]!r}"
    )
