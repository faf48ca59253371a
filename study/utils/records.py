"""Records read from files: fields that a later version added are ignored."""

import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

T = TypeVar("T")


def from_record(cls: type[T], record: Mapping[str, Any]) -> T:
    """An instance of a dataclass from its known fields. Raises TypeError if one without a default is missing."""
    known = {field.name for field in fields(cls)}  # type: ignore[arg-type]  # T is a dataclass
    return cls(**{name: value for name, value in record.items() if name in known})


def is_newer(version: str, than: str) -> bool:
    """Whether a version such as 0.2.0 comes after another. False for an empty one."""
    return _numbers(version) > _numbers(than)


def _numbers(version: str) -> list[int]:
    return [int(digits) for digits in re.findall(r"\d+", version)]
