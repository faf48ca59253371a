"""Levels laid over the baseline by dotted path, and the result validated."""

import copy
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, ValidationError

from study.complaints import complaints
from study.config import Encoder, Finetune, Pretrain, Settings
from study.gridfile import Keys, did_you_mean

SECTIONS: dict[str, type[BaseModel]] = {"encoder": Encoder, "pretrain": Pretrain, "finetune": Finetune}


class InvalidError(Exception):
    """Settings that cannot be: the keys of the offending field, and one sentence."""

    def __init__(self, keys: Keys, message: str) -> None:
        super().__init__(message)
        self.keys, self.message = keys, message


def laid_over(raw: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """Plain settings with some fields replaced, by dotted path; a shorter path is replaced before a longer one.

    A section that is null or absent is opened by a path that leads into it. Raises InvalidError for a path through a
    plain value.
    """
    laid = copy.deepcopy(dict(raw))
    for path in sorted(fields, key=lambda path: path.count(".")):
        *parents, last = path.split(".")
        place = laid
        for key in parents:
            inner = place.get(key)
            if inner is None:
                inner = place[key] = {}
            if not isinstance(inner, dict):
                raise InvalidError(tuple(path.split(".")), f"{key!r} holds {inner!r}, which has no fields")
            place = inner
        place[last] = copy.deepcopy(fields[path])
    return laid


def value_at(raw: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted path of plain data, None where there is none."""
    value: Any = raw
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def settings(raw: Mapping[str, Any]) -> Settings:
    """Validate plain settings. Raises InvalidError.

    Each distinct section is validated once: a product of 100,000 cells repeats few of them.
    """
    sections: dict[str, Any] = {}
    for name, value in raw.items():
        if name not in SECTIONS:
            raise InvalidError((name,), f"unknown key {name!r}; {did_you_mean(name, SECTIONS)}")
        sections[name] = None if name == "pretrain" and value is None else _section(name, canonical(value))
    try:
        return Settings(**sections)
    except ValidationError as error:
        raise InvalidError(*next(complaints(error, Settings))) from None


def canonical(value: Any) -> str:
    """Plain data as one text: equal data, equal text."""
    return json.dumps(value, sort_keys=True)


@lru_cache(maxsize=100_000)
def _section(name: str, text: str) -> BaseModel:
    try:
        return SECTIONS[name].model_validate(json.loads(text))
    except ValidationError as error:
        keys, message = next(complaints(error, SECTIONS[name]))
        raise InvalidError((name, *keys), message) from None
