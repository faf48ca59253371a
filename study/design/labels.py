"""What a level's label states about the settings of its cell, and whether the settings agree."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

from pydantic import BaseModel

from study.design.overrides import overlaps
from study.design.validation_errors import model_at
from study.utils.frozen_model import Frozen
from study.vit.subject import Settings

ABSENT = object()  # the value of a field of a null section
PRESENT = object()  # the value of a section that is not null


@dataclass(frozen=True)
class Expected:
    """A field that a level determines, and its value.

    `written` is false for a field that a preset or a default of a section fills in: a level of another factor that
    names the field takes precedence.
    """

    path: str
    value: Any
    written: bool = True

    @cached_property
    def keys(self) -> tuple[str, ...]:
        return tuple(self.path.split("."))

    def found(self, settings: Settings) -> Any:
        """The value of the field; ABSENT in a null section."""
        value: Any = settings
        for key in self.keys:
            if value is None:
                return ABSENT
            value = getattr(value, key)
        return value

    def holds(self, settings: Settings) -> bool:
        found = self.found(settings)
        return isinstance(found, BaseModel) if self.value is PRESENT else found == self.value


Stated = tuple[Expected, ...]  # by one level


@dataclass(frozen=True)
class Mismatch:
    """A field that differs from what a level states: positions of this level and of another one that sets it."""

    expected: Expected
    level: int
    other: int | None  # None: the baseline sets it


def stated(fields: Mapping[str, Any]) -> Stated:
    """What a level states that sets these fields: a shorter path first, a preset before the fields beside it."""
    found: dict[str, Expected] = {}
    for path in sorted(fields, key=lambda path: (path.count("."), not _is_preset(path))):
        found = {own: one for own, one in found.items() if not overlaps(own, path)}
        found |= {one.path: one for one in _stated(path, fields[path])}
    return tuple(found.values())


def unchanged(paths: Iterable[str], baseline: Settings) -> Stated:
    """What an unwritten baseline level states about these paths: the values of the baseline.

    A section that is not null stays so; which fields it has is left to other factors.
    """
    found: dict[str, Expected] = {}
    for path in paths:
        if _is_preset(path):
            fields = [Expected(name, None, written=False) for name in preset_fields(path)]
        else:
            fields = [Expected(path, None)]
        for field in fields:
            value = field.found(baseline)
            value = PRESENT if isinstance(value, BaseModel) else value
            found[field.path] = replace(field, value=value, written=field.written or field.path in paths)
    return tuple(found.values())


def combined(levels: Iterable[Stated]) -> Stated:
    """What levels that change together state: a written field takes precedence over one that is filled in."""
    every = [one for level in levels for one in level]
    return tuple(one for one in every if one.written or not _names(tuple(every), one.path))


def conflict(level: Stated, other: Stated) -> str | None:
    """A field that both levels write, or of which one writes a section that is null; None if there is none."""
    for one, second in itertools.product(_written(level), _written(other)):
        if overlaps(one, second):
            return max(one, second, key=len)
    return None


@lru_cache(maxsize=10_000)
def _written(level: Stated) -> tuple[str, ...]:
    return tuple(one.path for one in level if one.written and one.value is not PRESENT)


def expanded(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields with each preset replaced by its own fields, except those that are there themselves."""
    found: dict[str, Any] = {}
    for path, value in fields.items():
        own = _preset(path, value) if _is_preset(path) else {}
        found |= {_beside(path, name): one for name, one in own.items()} or {path: value}
    return found | {path: value for path, value in fields.items() if not _is_preset(path)}


def preset_fields(path: str) -> list[str]:
    """The fields that a preset sets, by dotted path; empty for any other path."""
    presets = _presets(path).values() if _is_preset(path) else ()
    return sorted({_beside(path, name) for preset in presets for name in preset})


def covered(fields: Mapping[str, Any], levels: Iterable[Stated]) -> dict[str, Any]:
    """The written fields of levels that a preset, or a section as a whole, among `fields` fills in."""
    whole = (_stated(path, value) for path, value in fields.items() if is_whole(path, value))
    inside = {one.path for level in whole for one in level if not one.written}
    return {
        one.path: one.value
        for level in levels
        for one in level
        if one.written and one.path in inside and one.path not in fields and one.value not in (ABSENT, PRESENT)
    }


def mismatches(settings: Settings, levels: Sequence[Stated], changed: Sequence[bool]) -> Iterator[Mismatch]:
    """The fields of a cell that differ from what the labels of its levels state.

    `changed` marks the levels that are not at the baseline. A field inside a section that is null does not count for a
    baseline level: a cell without pre-training has no mask ratio.
    """
    for i, level in enumerate(levels):
        for one in level:
            if one.holds(settings):
                continue
            if not changed[i] and one.value is not PRESENT and one.found(settings) is ABSENT:
                continue
            other = _other(i, one.path, levels, changed)
            if one.written or other is None or not _names(levels[other], one.path):
                yield Mismatch(one, i, other)


def is_whole(path: str, value: Any) -> bool:
    """Whether a level with this field sets several at once: a preset, or a section with its defaults."""
    return _is_preset(path) or isinstance(value, Mapping)


def _other(own: int, path: str, levels: Sequence[Stated], changed: Sequence[bool]) -> int | None:
    """The position of another level that states something about a field: one that names it, then a changed one."""
    found = [i for i, level in enumerate(levels) if i != own and any(overlaps(one.path, path) for one in level)]
    return max(found, key=lambda i: (_names(levels[i], path), changed[i]), default=None)


def _names(level: Stated, path: str) -> bool:
    return any(overlaps(own, path) for own in _written(level))


def _stated(path: str, value: Any) -> Iterator[Expected]:
    if _is_preset(path):
        yield from (Expected(_beside(path, name), one, False) for name, one in _preset(path, value).items())
    elif isinstance(value, Mapping):
        yield from _inside(path, value)
    else:
        yield Expected(path, _plain(value))


def _inside(path: str, section: Mapping[str, Any]) -> Iterator[Expected]:
    """The fields of a section: as written, otherwise of its preset, otherwise its defaults."""
    yield Expected(path, PRESENT)
    model = model_at(Settings, tuple(path.split(".")))
    written = {key: value for key, value in section.items() if key != "preset"}
    for key, value in written.items():
        yield from _stated(f"{path}.{key}", value)
    filled = (
        {name: field.default for name, field in model.model_fields.items() if not field.is_required()} if model else {}
    )
    filled |= _preset(f"{path}.preset", section.get("preset"))
    for key in filled.keys() - written.keys():
        yield from _defaults(f"{path}.{key}", filled[key])


def _defaults(path: str, value: Any) -> Iterator[Expected]:
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _defaults(f"{path}.{name}", getattr(value, name))
    else:
        yield Expected(path, _plain(value), written=False)


def _is_preset(path: str) -> bool:
    return path.endswith(".preset")


def _presets(path: str) -> Mapping[str, Mapping[str, Any]]:
    model = model_at(Settings, tuple(path.split(".")[:-1]))
    return model.presets if model and issubclass(model, Frozen) else {}


def _preset(path: str, value: Any) -> Mapping[str, Any]:
    """The fields of a preset; empty if there is none of this name, which validation reports."""
    return _presets(path).get(value, {}) if isinstance(value, str) else {}


def _beside(path: str, name: str) -> str:
    return f"{path.rpartition('.')[0]}.{name}"


def _plain(value: Any) -> Any:
    """A list as validation returns it."""
    return tuple(_plain(item) for item in value) if isinstance(value, list) else value
