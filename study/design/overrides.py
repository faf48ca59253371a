"""Overrides of plain settings by dotted path, and their validation."""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import to_jsonable_python

from study.design.grid import Grid
from study.design.synonyms import SYNONYMS
from study.design.validation_errors import describe_errors, fields_at, model_at, or_null
from study.design.yaml_file import Keys, did_you_mean
from study.utils.canonical_json import canonical_json
from study.utils.frozen_model import Frozen
from study.vit.subject import Settings

SECTIONS: dict[str, type[BaseModel]] = {
    name: model for name in Settings.model_fields if (model := model_at(Settings, (name,))) is not None
}


class InvalidError(Exception):
    """Invalid settings: the keys of the invalid field, and a message; `others` are further invalid fields."""

    def __init__(self, keys: Keys, message: str, others: "Sequence[InvalidError]" = ()) -> None:
        super().__init__(message)
        self.keys, self.message, self.others = keys, message, others

    @property
    def path(self) -> str:
        return ".".join(str(key) for key in self.keys)


def paths(keys: Keys = ()) -> Iterator[str]:
    """The dotted paths of all fields of a trial's settings, each section before its fields."""
    for name in fields_at(Settings, keys):
        inner = (*keys, name)
        yield ".".join(map(str, inner))
        yield from paths(inner)


def path_problem(path: str) -> str | None:
    """Why a dotted path is invalid; None if it is a field of a trial's settings."""
    keys = tuple(path.split("."))
    for depth, key in enumerate(keys):
        above = "".join(f"{parent}." for parent in keys[:depth])
        names = fields_at(Settings, keys[:depth])
        if not names:
            return f"{above[:-1]!r} has no fields"
        if key not in names:
            return f"unknown field {above}{key}; {_respelt(path) or longer(path) or did_you_mean(key, names)}"
    return None


def _respelt(path: str) -> str:
    """A suggestion for a path with another separator, in capitals, or below 'baseline'; empty if that is no field."""
    plain = path.replace("/", ".").replace(" ", "").lower().removeprefix("baseline.")
    return f"did you mean {plain!r}?" if plain in paths() else ""


def longer(path: str) -> str:
    """A suggestion for a path that lacks its section; empty if no field has this ending."""
    *above, last = path.split(".")
    endings = tuple(".".join(["", *above, name]) for name in (last, *SYNONYMS.get(last, ())))
    found = [repr(known) for known in paths() if known.endswith(endings)]
    return f"did you mean {' or '.join(reversed(found))}?" if found else ""  # fine-tuning first: every trial has it


def with_overrides(raw: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """Plain settings with some fields replaced, by dotted path; a shorter path is replaced before a longer one.

    A path into a null or absent section creates it. What is not replaced is shared with `raw`, not copied, as these
    data are only read. Raises InvalidError for a path through a plain value.
    """
    laid = dict(raw)
    for path in sorted(fields, key=lambda path: path.count(".")):
        *parents, last = path.split(".")
        place = laid
        for key in parents:
            inner = {} if place.get(key) is None else place[key]
            if not isinstance(inner, dict):
                raise InvalidError(tuple(path.split(".")), f"{key!r} is {inner!r}, which has no fields")
            place[key] = dict(inner)
            place = place[key]
        place[last] = fields[path]
    return laid


def value_at(raw: Mapping[str, Any], path: str) -> Any:
    """The value of plain settings at a dotted path: as written, otherwise of the preset, otherwise the default.

    None if there is no such value, as for a field of a null section.
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
    """Whether two dotted paths are equal, or one is a section that contains the other."""
    return path == other or path.startswith(f"{other}.") or other.startswith(f"{path}.")


def settings(raw: Mapping[str, Any]) -> Settings:
    """Validate plain settings. Raises InvalidError.

    Each distinct section is validated once, as the cells of a large product share most of them.
    """
    sections: dict[str, Any] = {}
    found: list[InvalidError] = []
    for name, value in raw.items():
        try:
            sections[name] = _validated(name, value)
        except InvalidError as error:
            found += [error, *error.others]
    if found:
        raise InvalidError(found[0].keys, found[0].message, found[1:])
    try:
        return Settings(**sections)
    except ValidationError as error:
        raise InvalidError(*next(describe_errors(error, Settings, raw))) from None


def _validated(name: str, value: Any) -> BaseModel | None:
    if name not in SECTIONS:
        suggestion = longer(name) or did_you_mean(name, SECTIONS)
        if name in Grid.model_fields:
            suggestion = "it is a key of the grid: move it out of 'baseline'"
        raise InvalidError((name,), f"unknown key {name!r}; {suggestion}")
    if value is None and or_null(Settings, (name,)):
        return None
    return _section(name, canonical_json(value, allow_nan=True))


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
        first, *others = (
            InvalidError((name, *keys), message if keys else f"{message}{or_null(Settings, (name,))}")
            for keys, message in describe_errors(error, SECTIONS[name], data)
        )
        raise InvalidError(first.keys, first.message, others) from None


def value_problem(path: str, value: Any) -> str | None:
    """Why a value is invalid for a field whatever the other fields are; None if it may be valid.

    The content of a section is not examined, since longer paths may replace some of it.
    """
    *above, name = path.split(".")
    parent = model_at(Settings, tuple(above))
    field = parent.model_fields.get(name) if parent else None
    if parent is None or field is None or (isinstance(value, dict) and model_at(Settings, (*above, name))):
        return None
    try:
        _type_of(parent, name).validate_python(value)
    except ValidationError as error:
        keys, message = next(describe_errors(error, parent, {name: value}, (name,)))
        inner = "".join(f"[{key}]" for key in keys[1:])
        return f"{inner}: {message}" if inner else message
    return None


@lru_cache
def _type_of(parent: type[BaseModel], name: str) -> TypeAdapter[Any]:
    field = parent.model_fields[name]
    kind: Any = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
    return TypeAdapter(kind)
