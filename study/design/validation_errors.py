"""Turns pydantic's validation errors into sentences a grid's author can act on."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from study.design.yaml_file import Keys, did_you_mean, shown
from study.utils.frozen_model import FieldError, Frozen, Refusal


def complaints(error: ValidationError, model: type[BaseModel], data: Any) -> Iterator[tuple[Keys, str]]:
    """Where and what: the keys below `model` and in `data`, and one sentence naming the value and what was possible.

    Unknown keys come first: where one is misspelt, the right one is missing too.
    """
    for item in sorted(error.errors(include_url=False), key=lambda item: item["type"] != "extra_forbidden"):
        keys = _keys_in(data, item["loc"], item["type"] == "missing")
        cause = item.get("ctx", {}).get("error")
        if isinstance(cause, FieldError):
            keys = (*keys, *cause.field.split("."))
        yield keys, _sentence(item, keys, model)


def fields_at(model: type[BaseModel], keys: Keys) -> list[str]:
    """The names possible below `keys`, none where a plain value stands."""
    found = model_at(model, keys)
    if found is None:
        return []
    possible = [name for name, field in found.model_fields.items() if not _is_refused(field)]
    return [*possible, *(["preset"] if issubclass(found, Frozen) and found.presets else [])]


def _is_refused(field: FieldInfo) -> bool:
    """Whether a key is there only to say why it cannot be."""
    return any(isinstance(mark, Refusal) for mark in field.metadata)


def _keys_in(data: Any, location: Keys, missing: bool) -> Keys:
    """A location without pydantic's own marks: `[key]`, and the names of a union's branches."""
    keys: Keys = ()
    for key in location:
        written = key in data if isinstance(data, Mapping) else isinstance(data, list) and isinstance(key, int)
        if written:
            data = data[key]
        if written or (missing and key is location[-1]):
            keys = (*keys, key)
    return keys


def _sentence(item: Any, keys: Keys, model: type[BaseModel]) -> str:
    kind, value, context = item["type"], item["input"], item.get("ctx", {})
    if kind == "extra_forbidden":
        found = model_at(model, keys[:-1])
        meant = found.meant.get(str(keys[-1]), keys[-1]) if found and issubclass(found, Frozen) else keys[-1]
        return f"unknown key {str(keys[-1])!r}; {did_you_mean(meant, fields_at(model, keys[:-1]))}"
    if kind == "missing":
        return f"{keys[-1]!r} is missing: {_description(model, keys)}"
    if kind == "value_error":
        return str(context["error"])
    if kind == "model_type":
        wanted = f"be a mapping with keys among {', '.join(fields_at(model, keys))}"
    elif kind == "string_pattern_mismatch":
        wanted = f"be a {_description(model, keys)}"
    elif kind in _WANTED:
        wanted = _WANTED[kind](context)
    else:
        wanted = item["msg"].removeprefix("Input should ")
    return f"{shown(value)} is not possible; it must {wanted}{or_null(model, keys)}"


def or_null(model: type[BaseModel], keys: Keys) -> str:
    """What to add to what a field must be, where it may be null as well."""
    parent = model_at(model, keys[:-1]) if keys else None
    field = parent.model_fields.get(str(keys[-1])) if parent else None
    return ", or null" if field and type(None) in get_args(field.annotation) else ""


_WANTED: Mapping[str, Callable[[Mapping[str, Any]], str]] = {  # by pydantic's name of the error
    "bool_type": lambda context: "be true or false",
    "int_type": lambda context: "be a whole number",
    "float_type": lambda context: "be a number",
    "finite_number": lambda context: "be a finite number",
    "string_type": lambda context: "be text",
    "list_type": lambda context: "be a list, as in [1, 2]",
    "tuple_type": lambda context: "be a list, as in [1, 2]",
    "dict_type": lambda context: "be a mapping, as in {key: value}",
    "literal_error": lambda context: f"be {context['expected']}",
    "greater_than": lambda context: f"be above {context['gt']:g}",
    "greater_than_equal": lambda context: f"be {context['ge']:g} or more",
    "less_than": lambda context: f"be below {context['lt']:g}",
    "less_than_equal": lambda context: f"be {context['le']:,} or less",
    "too_short": lambda context: "not be empty",
    "string_too_short": lambda context: "not be empty",
    "string_too_long": lambda context: f"have at most {context['max_length']:,} characters",
}


def _description(model: type[BaseModel], keys: Keys) -> str:
    found = model_at(model, keys[:-1])
    field = found.model_fields.get(str(keys[-1])) if found else None
    return (field.description if field else None) or "it has no default"


def model_at(kind: Any, keys: Keys) -> type[BaseModel] | None:
    """The model that a type leads to by these keys; the keys of lists and mappings count, unions are looked through."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        if not keys:
            return kind
        field = kind.model_fields.get(str(keys[0]))
        return model_at(field.annotation, keys[1:]) if field else None
    if get_origin(kind) in (dict, list, tuple):
        values = [part for part in get_args(kind) if part is not Ellipsis][-1]
        return model_at(values, keys[1:]) if keys else None
    return next((found for part in get_args(kind) if (found := model_at(part, keys))), None)
