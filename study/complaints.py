"""Turns pydantic's validation errors into sentences a grid's author can act on."""

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from study.gridfile import Keys, did_you_mean


def complaints(error: ValidationError, model: type[BaseModel]) -> Iterator[tuple[Keys, str]]:
    """Where and what: the keys below `model`, and one sentence naming the value and what was possible."""
    for item in error.errors(include_url=False):
        keys = tuple(key for key in item["loc"] if not _is_union_branch(key))
        yield keys, _sentence(item, keys, model)


def _is_union_branch(key: str | int) -> bool:
    return isinstance(key, str) and ("[" in key or key in {"constrained-int", "none"})


def _sentence(item: Any, keys: Keys, model: type[BaseModel]) -> str:
    kind, value, context = item["type"], item["input"], item.get("ctx", {})
    if kind == "extra_forbidden":
        return f"unknown key {keys[-1]!r}; {did_you_mean(keys[-1], _fields_at(model, keys[:-1]))}"
    if kind == "missing":
        return f"{keys[-1]!r} is missing: {_description(model, keys)}"
    if kind == "literal_error":
        return f"{value!r} is not possible; it can be {context['expected']}"
    if kind == "value_error":
        return str(context["error"])
    message = item["msg"].removeprefix("Input should be ").removeprefix("a valid ")
    return f"{value!r} is not possible; it must be {message}"


def _fields_at(model: type[BaseModel], keys: Keys) -> list[str]:
    found = _model_at(model, keys)
    if found is None:
        return []
    return [*found.model_fields, *(["preset"] if found.__name__ == "Encoder" else [])]


def _description(model: type[BaseModel], keys: Keys) -> str:
    found = _model_at(model, keys[:-1])
    field = found.model_fields.get(str(keys[-1])) if found else None
    return (field.description if field else None) or "it has no default"


def _model_at(model: type[BaseModel], keys: Keys) -> type[BaseModel] | None:
    """The model reached by following field names; unions with None are looked through."""
    current: type[BaseModel] | None = model
    for key in keys:
        field = current.model_fields.get(str(key)) if current else None
        candidates = [field.annotation, *get_args(field.annotation)] if field else []
        current = next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), None)
    return current
