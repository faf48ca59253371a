"""Factors and their levels, read from a grid and checked against its baseline."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from study.complaints import complaints
from study.config import Settings
from study.grid import MAX_LABEL, FactorSpec, LevelSpec, is_one_line
from study.gridfile import GridFile, Keys, shown
from study.overlay import InvalidError, canonical, check_path, laid_over, settings, value_at

RESULT_COLUMNS = (
    *("study", "cell", "replicate", "status", "key", "run_id", "test_accuracy", "val_accuracy"),
    *("params", "params_active", "macs", "macs_active", "train_seconds", "pretrain_key", "pretrain_seconds"),
    *("seed", "device", "commit", "reason"),
)


@dataclass(frozen=True)
class Level:
    """One value of a factor: a label, the fields it sets by dotted path, and where it is written."""

    label: str
    fields: Mapping[str, Any]
    at: Keys


@dataclass(frozen=True)
class Factor:
    """What varies: a name and at least two levels, the baseline's first."""

    name: str
    levels: tuple[Level, ...]

    @property
    def baseline(self) -> Level:
        return self.levels[0]


def read_factor(name: str, spec: FactorSpec, raw: Mapping[str, Any], baseline: Settings, source: GridFile) -> Factor:
    """A factor from its written form. The level that equals the baseline comes first; one is added where none does.

    Raises StudyError for a path that leads nowhere, a level that is empty, unnamed or written twice, and a factor that
    changes nothing.
    """
    at: Keys = ("factors", name)
    if name in RESULT_COLUMNS:
        raise source.error(at, "is a column of results.csv; give the factor another name")
    if spec.path is not None:
        _check_path(spec.path, source, (*at, "path"))
    written = [_level(entry, spec, source, (*at, "levels", i)) for i, entry in enumerate(spec.levels)]
    first = _find_distinct(written, raw, source).get(baseline)
    others = [level for level in written if level is not first]
    if not others:
        raise source.error(at, "changes nothing: its level equals the baseline; add a level that differs from it")
    if first is None:
        first = Level(_baseline_label(spec, others, raw, source, at), {}, at)
    elif spec.baseline is not None:
        message = f"names a level that is not written, but level {first.label!r} equals the baseline; give it a 'label'"
        raise source.error((*at, "baseline"), message)
    return Factor(name, (first, *others))


def label_of(value: Any) -> str:
    """How a value is written as a level's label: 3-4-5 for a list, none for null, on and off for truth values."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list | tuple):
        return "-".join(label_of(item) for item in value)
    short = f"{value:g}" if isinstance(value, float) else ""
    return short if short and float(short) == value else str(value)


def _level(entry: Any, spec: FactorSpec, source: GridFile, at: Keys) -> Level:
    if not isinstance(entry, dict):
        return Level(_label(entry, source, at), {_path(spec, source, at): entry}, at)
    try:
        level = LevelSpec.model_validate(entry)
    except ValidationError as error:
        keys, message = next(complaints(error, LevelSpec, entry))
        raise source.error((*at, *keys), message) from None
    if ("value" in entry) == ("set" in entry):
        raise source.error(at, "a level has either 'value' (of the factor's path) or 'set' (dotted paths and values)")
    if "set" in entry and not level.set:
        raise source.error((*at, "set"), "an empty level: name at least one dotted path and its value")
    for path in level.set or {}:
        _check_path(path, source, (*at, "set", path))
    fields = level.set or {_path(spec, source, at): level.value}
    if level.label is None and len(fields) > 1:
        raise source.error(at, "a level that sets several fields needs a 'label'")
    return Level(level.label or _label(next(iter(fields.values())), source, at), fields, at)


def _path(spec: FactorSpec, source: GridFile, at: Keys) -> str:
    if spec.path is None:
        raise source.error(at, "this level needs the factor's 'path' (a dotted path such as encoder.num_kv_heads)")
    return spec.path


def _check_path(path: str, source: GridFile, at: Keys) -> None:
    try:
        check_path(path)
    except InvalidError as error:
        raise source.error(at, error.message) from None


def _label(value: Any, source: GridFile, at: Keys) -> str:
    label = label_of(value)
    if isinstance(value, dict) or not 0 < len(label) <= MAX_LABEL or not is_one_line(label):
        raise source.error(at, f"{shown(value)} cannot name a level; write it as {{label: NAME, value: ...}}")
    return label


def _find_distinct(levels: list[Level], raw: Mapping[str, Any], source: GridFile) -> dict[Settings | str, Level]:
    """The levels by what each makes of the baseline. Raises StudyError for two of one label or of one effect."""
    labels: dict[str, Level] = {}
    found: dict[Settings | str, Level] = {}
    for level in levels:
        effect = _effect(level, raw, source)
        if twin := labels.get(level.label) or found.get(effect):
            same = "is called" if twin.label == level.label else "does the same as"
            message = f"duplicate level: {same} {twin.label!r} on line {source.line(twin.at)}"
            raise source.error(level.at, message)
        labels[level.label] = found[effect] = level
    return found


def _effect(level: Level, raw: Mapping[str, Any], source: GridFile) -> Settings | str:
    """The baseline's settings with the level laid over them; their text where the level cannot stand alone."""
    try:
        laid = laid_over(raw, level.fields)
    except InvalidError as error:
        raise source.error(level.at, f"path {error.path}: {error.message}") from None
    try:
        return settings(laid)
    except InvalidError:
        return canonical(laid)


def _baseline_label(spec: FactorSpec, levels: list[Level], raw: Mapping[str, Any], source: GridFile, at: Keys) -> str:
    label = spec.baseline
    if label is None:
        paths = {path for level in levels for path in level.fields}
        value = value_at(raw, next(iter(paths)))
        label = "baseline" if len(paths) > 1 or isinstance(value, dict) else _label(value, source, at)
    if label in {level.label for level in levels}:
        raise source.error(at, f"the baseline's own level would be {label!r} like another; name it with 'baseline:'")
    return label
