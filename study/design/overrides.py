"""Levels laid over the baseline by dotted path, and the result validated."""

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import to_jsonable_python

from study.design.validation_errors import complaints, fields_at, model_at, or_null
from study.design.yaml_file import Keys, did_you_mean
from study.utils.frozen_model import Frozen
from study.vit.subject import Settings

SECTIONS: dict[str, type[BaseModel]] = {
    name: model for name in Settings.model_fields if (model := model_at(Settings, (name,))) is not None
}


class InvalidError(Exception):
    """Settings that cannot be: the keys of the offending field, and one sentence."""

    def __init__(self, keys: Keys, message: str) -> None:
        super().__init__(message)
        self.keys, self.message = keys, message

    @property
    def path(self) -> str:
        return ".".join(str(key) for key in self.keys)


def paths(keys: Keys = ()) -> Iterator[str]:
    """The dotted paths of all fields of a trial's settings, sections before what is in them."""
    for name in fields_at(Settings, keys):
        inner = (*keys, name)
        yield ".".join(map(str, inner))
        yield from paths(inner)


def path_problem(path: str) -> str | None:
    """What is wrong with a dotted path, None if it leads to a field of a trial's settings."""
    keys = tuple(path.split("."))
    for depth, key in enumerate(keys):
        above = "".join(f"{parent}." for parent in keys[:depth])
        possible = fields_at(Settings, keys[:depth])
        if not possible:
            return f"{above[:-1]!r} has no fields of its own"
        if key not in possible:
            return f"there is no {above}{key}; {_longer(path) or did_you_mean(key, possible)}"
    return None


def _longer(path: str) -> str:
    """The paths that end so, for one that was written without its section; empty where none does."""
    found = [repr(known) for known in paths() if known.endswith(f".{path}")]
    return f"did you mean {' or '.join(reversed(found))}?" if found else ""  # fine-tuning first: it is always there


def laid_over(raw: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """Plain settings with some fields replaced, by dotted path; a shorter path is replaced before a longer one.

    A section that is null or absent is opened by a path that leads into it. What is not replaced is shared with
    `raw`, not copied: these data are only read. Raises InvalidError for a path through a plain value.
    """
    laid = dict(raw)
    for path in sorted(fields, key=lambda path: path.count(".")):
        *parents, last = path.split(".")
        place = laid
        for key in parents:
            inner = {} if place.get(key) is None else place[key]
            if not isinstance(inner, dict):
                raise InvalidError(tuple(path.split(".")), f"{key!r} holds {inner!r}, which has no fields")
            place[key] = dict(inner)
            place = place[key]
        place[last] = fields[path]
    return laid


def value_at(raw: Mapping[str, Any], path: str) -> Any:
    """The value that plain settings have at a dotted path: as written, else the preset's, else the default.

    None where there is none, as for a field of a pre-training that is null.
    """
    value: Any = raw
    keys = tuple(path.split("."))
    for depth, key in enumerate(keys):
        if not isinstance(value, Mapping):
            return None
        model = model_at(Settings, keys[:depth])
        presets = model.presets if model and issubclass(model, Frozen) else {}
        value = {**_defaults(keys[:depth]), **presets.get(str(value.get("preset")), {}), **value}.get(key)
    return value


def overlaps(path: str, other: str) -> bool:
    """Whether two dotted paths are the same, or one leads to a section and the other into it."""
    return path == other or path.startswith(f"{other}.") or other.startswith(f"{path}.")


def settings(raw: Mapping[str, Any]) -> Settings:
    """Validate plain settings. Raises InvalidError.

    Each distinct section is validated once: a product of 100,000 cells repeats few of them.
    """
    sections: dict[str, Any] = {}
    for name, value in raw.items():
        if name not in SECTIONS:
            raise InvalidError((name,), f"unknown key {name!r}; {did_you_mean(name, SECTIONS)}")
        null = value is None and or_null(Settings, (name,)) != ""
        sections[name] = None if null else _section(name, canonical(value))
    try:
        return Settings(**sections)
    except ValidationError as error:
        raise InvalidError(*next(complaints(error, Settings, raw))) from None


_SORTED = json.JSONEncoder(sort_keys=True)


def canonical(value: Any) -> str:
    """Plain data as one text: equal data, equal text."""
    return _SORTED.encode(value)


@lru_cache
def _defaults(keys: Keys) -> dict[str, Any]:
    """The defaults of the model at these keys, as plain data."""
    model = model_at(Settings, keys)
    fields = model.model_fields if model else {}
    return {name: to_jsonable_python(field.default) for name, field in fields.items() if not field.is_required()}


@lru_cache(maxsize=100_000)
def _section(name: str, text: str) -> BaseModel:
    data = json.loads(text)
    try:
        return SECTIONS[name].model_validate(data)
    except ValidationError as error:
        keys, message = next(complaints(error, SECTIONS[name], data))
        null = "" if keys else or_null(Settings, (name,))
        raise InvalidError((name, *keys), f"{message}{null}") from None
