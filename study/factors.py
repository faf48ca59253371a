"""Factors and their levels, read from a grid and checked against its baseline."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from study.complaints import complaints
from study.config import Settings
from study.grid import FactorSpec, LevelSpec
from study.gridfile import GridFile, Keys
from study.overlay import InvalidError, canonical, laid_over, settings, value_at

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

    Raises StudyError for a level that is empty, unnamed or written twice, and for a factor that changes nothing.
    """
    at: Keys = ("factors", name)
    if name in RESULT_COLUMNS:
        raise source.error(at, "is a column of results.csv; give the factor another name")
    written = [_level(entry, spec, source, (*at, "levels", i)) for i, entry in enumerate(spec.levels)]
    _check_distinct(written, raw, source)
    equal = [level for level in written if _leaves_unchanged(level, raw, baseline)]
    others = [level for level in written if level not in equal]
    if not others:
        raise source.error(at, "changes nothing: every level equals the baseline; give a level that differs from it")
    first = equal[0] if equal else Level(_baseline_label(spec, others, baseline, source, at), {}, at)
    return Factor(name, (first, *others))


def label_of(value: Any) -> str:
    """How a value is written as a level's label: 3-4-5 for a list, none for null, on and off for truth values."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list | tuple):
        return "-".join(label_of(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _level(entry: Any, spec: FactorSpec, source: GridFile, at: Keys) -> Level:
    if not isinstance(entry, dict):
        return Level(_label(entry, source, at), {_path(spec, source, at): entry}, at)
    try:
        level = LevelSpec.model_validate(entry)
    except ValidationError as error:
        keys, message = next(complaints(error, LevelSpec))
        raise source.error((*at, *keys), message) from None
    if ("value" in entry) == ("set" in entry):
        raise source.error(at, "a level has either 'value' (of the factor's path) or 'set' (dotted paths and values)")
    if "set" in entry and not level.set:
        raise source.error((*at, "set"), "an empty level: name at least one dotted path and its value")
    fields = level.set or {_path(spec, source, at): level.value}
    if level.label is None and len(fields) > 1:
        raise source.error(at, "a level that sets several fields needs a 'label'")
    return Level(level.label or _label(next(iter(fields.values())), source, at), fields, at)


def _path(spec: FactorSpec, source: GridFile, at: Keys) -> str:
    if spec.path is None:
        raise source.error(at, "this level needs the factor's 'path' (a dotted path such as encoder.num_kv_heads)")
    return spec.path


def _label(value: Any, source: GridFile, at: Keys) -> str:
    if isinstance(value, dict) or value in ([], ""):
        raise source.error(at, f"{value!r} cannot name a level; give it a 'label'")
    return label_of(value)


def _check_distinct(levels: list[Level], raw: Mapping[str, Any], source: GridFile) -> None:
    labels: dict[str, int] = {}
    contents: dict[str, int] = {}
    for number, level in enumerate(levels, start=1):
        try:
            content = canonical(laid_over(raw, level.fields))
        except InvalidError as error:
            raise source.error(level.at, f"path {'.'.join(map(str, error.keys))}: {error.message}") from None
        if level.label in labels:
            raise source.error(level.at, f"duplicate level: level {labels[level.label]} is {level.label!r} too")
        if content in contents:
            raise source.error(level.at, f"duplicate level: {level.label!r} sets what level {contents[content]} sets")
        labels[level.label] = contents[content] = number


def _leaves_unchanged(level: Level, raw: Mapping[str, Any], baseline: Settings) -> bool:
    """Whether the level alone gives the baseline's settings. A level may be invalid alone; then it does not."""
    try:
        return settings(laid_over(raw, level.fields)) == baseline
    except InvalidError:
        return False


def _baseline_label(spec: FactorSpec, levels: list[Level], baseline: Settings, source: GridFile, at: Keys) -> str:
    label = spec.baseline
    if label is None:
        paths = {path for level in levels for path in level.fields}
        value = value_at(baseline.model_dump(mode="json"), next(iter(paths)))
        label = "baseline" if len(paths) > 1 or isinstance(value, dict) else label_of(value)
    if label in {level.label for level in levels}:
        raise source.error(at, f"the baseline's own level would be {label!r} like another; name it with 'baseline:'")
    return label
