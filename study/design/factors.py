"""Factors and their levels, read from a grid and checked against its baseline."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from study.design.grid import MAX_LABEL, FactorSpec, LevelSpec, is_one_line
from study.design.overrides import InvalidError, canonical, laid_over, path_problem, settings, value_at
from study.design.validation_errors import complaints
from study.design.yaml_file import Place, did_you_mean, shown
from study.vit.subject import Settings

RESULT_COLUMNS = (
    *("study", "cell", "replicate", "status", "key", "run_id", "test_accuracy", "val_accuracy"),
    *("params", "params_active", "macs", "macs_active", "train_seconds", "pretrain_key", "pretrain_seconds"),
    *("seed", "device", "commit", "reason"),
)
METRICS = ("test_accuracy", "val_accuracy", "train_seconds", "pretrain_seconds")  # those that differ by replicate


@dataclass(frozen=True)
class Level:
    """One value of a factor: a label, the fields it sets by dotted path, and where it is written."""

    label: str
    fields: Mapping[str, Any]
    at: Place


@dataclass(frozen=True)
class Factor:
    """What varies: a name and at least two levels, the baseline's first."""

    name: str
    levels: tuple[Level, ...]
    at: Place
    parts: tuple["Factor", ...] = ()  # where factors are paired: each of them, with levels in the same order

    @property
    def baseline(self) -> Level:
        return self.levels[0]


def read_factor(name: str, spec: FactorSpec, raw: Mapping[str, Any], baseline: Settings, at: Place) -> Factor:
    """A factor from its written form. The level that equals the baseline comes first; one is added where none does.

    Raises StudyError for a path that leads nowhere, a level that is empty, unnamed or written twice, and a factor that
    changes nothing.
    """
    if name in RESULT_COLUMNS:
        raise at.error("is a column of results.csv; give the factor another name")
    if spec.path is not None and (problem := path_problem(spec.path)):
        raise (at / "path").error(problem)
    written = [_level(entry, spec.path, at / "levels" / i) for i, entry in enumerate(spec.levels)]
    first = _find_distinct(written, raw).get(baseline)
    others = [level for level in written if level is not first]
    if not others:
        raise at.error("changes nothing: its level equals the baseline; add a level that differs from it")
    if first is None:
        first = Level(_baseline_label(spec, others, raw, at), {}, at)
    elif spec.baseline is not None:
        message = f"names a level that is not written, but level {first.label!r} equals the baseline; give it a 'label'"
        raise (at / "baseline").error(message)
    return Factor(name, (first, *others), at)


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


class UnknownLevelError(ValueError):
    """A level that its factor does not have; the message says which it has."""


def named_levels(name: str, wanted: Any, possible: Sequence[str]) -> frozenset[str]:
    """The labels that are meant; a list names several levels, unless it is itself the value of one (experts by depth).

    Raises UnknownLevelError.
    """
    if label_of(wanted) in possible:
        return frozenset({label_of(wanted)})
    labels = [label_of(item) for item in wanted] if isinstance(wanted, list) and wanted else [label_of(wanted)]
    for label in labels:
        if label not in possible:
            raise UnknownLevelError(f"factor {name!r} has no level {label!r}; {did_you_mean(label, possible)}")
    return frozenset(labels)


def _level(entry: Any, path: str | None, at: Place) -> Level:
    """A level in its short form (a value of `path`) or in its long form (a mapping, see LevelSpec)."""
    if not isinstance(entry, dict):
        return Level(_label(entry, at), {_needed(path, at): entry}, at)
    level = _long_form(entry, at)
    for written in level.set or {}:
        if problem := path_problem(written):
            raise (at / "set" / written).error(problem)
    fields = level.set or {_needed(path, at): level.value}
    if level.label is None and len(fields) > 1:
        raise at.error("a level that sets several fields needs a 'label'")
    return Level(level.label or _label(next(iter(fields.values())), at), fields, at)


def _long_form(entry: dict[str, Any], at: Place) -> LevelSpec:
    try:
        level = LevelSpec.model_validate(entry)
    except ValidationError as error:
        keys, message = next(complaints(error, LevelSpec, entry))
        raise at.error(message, keys) from None
    if ("value" in entry) == ("set" in entry):
        raise at.error("a level has either 'value' (of the factor's path) or 'set' (dotted paths and values)")
    if "set" in entry and not level.set:
        raise (at / "set").error("an empty level: name at least one dotted path and its value")
    return level


def _needed(path: str | None, at: Place) -> str:
    if path is None:
        raise at.error("this level needs the factor's 'path' (a dotted path such as encoder.num_kv_heads)")
    return path


def _label(value: Any, at: Place) -> str:
    label = label_of(value)
    if isinstance(value, dict) or not 0 < len(label) <= MAX_LABEL or not is_one_line(label):
        raise at.error(f"{shown(value)} cannot name a level; write it as {{label: NAME, value: ...}}")
    return label


def _find_distinct(levels: list[Level], raw: Mapping[str, Any]) -> dict[Settings | str, Level]:
    """The levels by what each makes of the baseline. Raises StudyError for two of one label or of one effect."""
    labels: dict[str, Level] = {}
    found: dict[Settings | str, Level] = {}
    for level in levels:
        effect = _effect(level, raw)
        if twin := labels.get(level.label) or found.get(effect):
            same = "is called" if twin.label == level.label else "does the same as"
            raise level.at.error(f"duplicate level: {same} {twin.label!r}, on line {twin.at.line}")
        labels[level.label] = found[effect] = level
    return found


def _effect(level: Level, raw: Mapping[str, Any]) -> Settings | str:
    """The baseline's settings with the level laid over them; their text where the level cannot stand alone."""
    try:
        laid = laid_over(raw, level.fields)
    except InvalidError as error:
        raise level.at.error(f"{error.path}: {error.message}") from None
    try:
        return settings(laid)
    except InvalidError:
        return canonical(laid)


def _baseline_label(spec: FactorSpec, levels: list[Level], raw: Mapping[str, Any], at: Place) -> str:
    """What the level is called that equals the baseline but is not written: as asked, or after its value."""
    label = spec.baseline
    if label is None:
        paths = {path for level in levels for path in level.fields}
        value = value_at(raw, next(iter(paths)))
        label = "baseline" if len(paths) > 1 or isinstance(value, dict) else _label(value, at)
    if label in {level.label for level in levels}:
        raise at.error(f"the baseline's own level would be {label!r} like another; name it with 'baseline:'")
    return label
