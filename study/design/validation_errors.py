"""Turns pydantic's validation errors into messages about a grid."""

import contextlib
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from study.design.yaml_file import Keys, closest, did_you_mean, shown
from study.utils.frozen_model import FieldError, Frozen, Refusal


def describe_errors(
    error: ValidationError, model: type[BaseModel], data: Any, above: Keys = ()
) -> Iterator[tuple[Keys, str]]:
    """For each error its keys, below `model` and in `data`, and a message with the value and the valid values.

    `above` are keys of `data` to the value that was validated.

    A misspelt key is both unknown and missing: it is reported once, as unknown.
    """
    misspelt: set[Keys] = set()
    for item in sorted(error.errors(include_url=False), key=lambda item: item["type"] != "extra_forbidden"):
        keys = _keys_in(data, (*above, *item["loc"]), item["type"] == "missing")
        if item["type"] == "extra_forbidden":
            misspelt.add((*keys[:-1], closest(keys[-1], fields_at(model, keys[:-1])) or ""))
        elif item["type"] == "missing" and keys in misspelt:
            continue
        cause = item.get("ctx", {}).get("error")
        if isinstance(cause, FieldError):
            keys = (*keys, *cause.field.split("."))
        yield keys, _message(item, keys, model)


def fields_at(model: type[BaseModel], keys: Keys) -> list[str]:
    """The valid names below `keys`; none below a plain value."""
    found = model_at(model, keys)
    if found is None:
        return []
    names = [name for name, field in found.model_fields.items() if not _is_refused(field)]
    return [*names, *(["preset"] if issubclass(found, Frozen) and found.presets else [])]


def _is_refused(field: FieldInfo) -> bool:
    """Whether a key is read only to explain why it is not supported."""
    return any(isinstance(mark, Refusal) for mark in field.metadata)


def _keys_in(data: Any, location: Keys, missing: bool) -> Keys:
    """A location without the parts that pydantic adds: `[key]`, and the names of a union's branches."""
    keys: Keys = ()
    for key in location:
        written = key in data if isinstance(data, Mapping) else isinstance(data, list) and isinstance(key, int)
        if written:
            data = data[key]
        if written or (missing and key is location[-1]):
            keys = (*keys, key)
    return keys


def _message(item: Any, keys: Keys, model: type[BaseModel]) -> str:
    kind, value, context = item["type"], item["input"], item.get("ctx", {})
    if kind == "extra_forbidden":
        return f"unknown key {str(keys[-1])!r}; {did_you_mean(keys[-1], fields_at(model, keys[:-1]))}"
    if kind == "missing":
        return f"{keys[-1]!r} is missing: {_description(model, keys)}"
    if kind == "value_error":
        return str(context["error"])
    if kind == "model_type":
        requirement = f"a mapping with keys among {', '.join(fields_at(model, keys))}"
    elif kind == "string_pattern_mismatch":
        requirement = "letters, digits, '.', '_' and '-', the first one a letter or digit"
    elif kind == "tuple_type" and (names := _choices(model, keys)):
        requirement = f"a list, as in [{', '.join(names)}]"
    elif kind in _REQUIREMENTS:
        requirement = _REQUIREMENTS[kind](context)
    else:
        requirement = item["msg"].removeprefix("Input should be ")
    length = f" ({len(value)} characters)" if kind == "string_too_long" else ""
    hint = _number_hint(value) if kind in ("int_type", "float_type") else _word_hint(value, kind, model, keys)
    return f"invalid value {shown(value)}{length}: must be {requirement}{or_null(model, keys)}{hint}"


def _number_hint(value: Any) -> str:
    """How to write a number that was written as text, or how to vary one that was written as a list."""
    if isinstance(value, list):
        return "; to vary it, make it a factor with these levels"
    if not isinstance(value, str):
        return ""
    plain = re.sub("[\N{MINUS SIGN}\N{EN DASH}\N{EM DASH}\N{NON-BREAKING HYPHEN}]", "-", value.strip()).replace(
        ",", "."
    )
    with contextlib.suppress(ValueError):
        if plain.endswith("%"):
            return f"; write {float(plain[:-1]) / 100:g}"
        if math.isfinite(float(plain)):
            return f"; write {plain}, without quotes" if plain == value else f"; write {plain}"
    return ""


def _word_hint(value: Any, kind: str, model: type[BaseModel], keys: Keys) -> str:
    """How to write null and booleans, which other languages write as other words."""
    word = value.strip().lower() if isinstance(value, str) else ""
    if word in NULLS and or_null(model, keys):
        return "; write null, without quotes" if word == "null" else "; write null"
    if kind == "bool_type" and word in BOOLEANS:
        return f"; write {BOOLEANS[word]}, without quotes" if word in BOOLEANS.values() else f"; write {BOOLEANS[word]}"
    return ""


def or_null(model: type[BaseModel], keys: Keys) -> str:
    """The end of a requirement for a field that may be null."""
    parent = model_at(model, keys[:-1]) if keys else None
    field = parent.model_fields.get(str(keys[-1])) if parent else None
    return ", or null" if field and type(None) in get_args(field.annotation) else ""


NULLS = ("none", "null", "nil", "~", "no", "off")
BOOLEANS = {"yes": "true", "on": "true", "true": "true", "no": "false", "off": "false", "false": "false"}
_REQUIREMENTS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {  # by pydantic's error type
    "bool_type": lambda context: "true or false",
    "int_type": lambda context: "an integer",
    "float_type": lambda context: "a number",
    "finite_number": lambda context: "a finite number",
    "string_type": lambda context: "text",
    "list_type": lambda context: "a list, as in [1, 2]",
    "tuple_type": lambda context: "a list, as in [1, 2]",
    "dict_type": lambda context: "a mapping, as in {key: value}",
    "literal_error": lambda context: str(context["expected"]),
    "greater_than": lambda context: f"above {context['gt']:g}",
    "greater_than_equal": lambda context: f"{context['ge']:g} or more",
    "less_than": lambda context: f"below {context['lt']:g}",
    "less_than_equal": lambda context: f"{context['le']:,} or less",
    "too_short": lambda context: (
        "non-empty" if context["min_length"] == 1 else f"of length {context['min_length']} or more"
    ),
    "string_too_short": lambda context: "non-empty",
    "string_too_long": lambda context: f"at most {context['max_length']:,} characters",
}


def _description(model: type[BaseModel], keys: Keys) -> str:
    found = model_at(model, keys[:-1])
    field = found.model_fields.get(str(keys[-1])) if found else None
    return (field.description if field else None) or "required"


def _choices(model: type[BaseModel], keys: Keys) -> tuple[str, ...]:
    """The words that a list may have as items; empty if it may have others."""
    found = model_at(model, keys[:-1])
    field = found.model_fields.get(str(keys[-1])) if found else None
    items = get_args(field.annotation) if field and get_origin(field.annotation) is tuple else ()
    return get_args(items[0]) if items and get_origin(items[0]) is Literal else ()


def model_at(kind: Any, keys: Keys) -> type[BaseModel] | None:
    """The model at these keys below a type, through lists, mappings and unions; None if there is none."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        if not keys:
            return kind
        field = kind.model_fields.get(str(keys[0]))
        return model_at(field.annotation, keys[1:]) if field else None
    if get_origin(kind) in (dict, list, tuple):
        values = [part for part in get_args(kind) if part is not Ellipsis][-1]
        return model_at(values, keys[1:]) if keys else None
    return next((found for part in get_args(kind) if (found := model_at(part, keys))), None)
