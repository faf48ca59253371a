"""Factors and their levels, read from a grid and checked against its baseline."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import ValidationError

from study.design.grid import MAX_LABEL, FactorSpec, LevelSpec, is_one_line
from study.design.labels import Stated, is_whole, stated, unchanged
from study.design.mistakes import Mistakes
from study.design.overrides import InvalidError, path_problem, paths, settings, value_at, value_problem, with_overrides
from study.design.validation_errors import describe_errors
from study.design.yaml_file import Place, closest, did_you_mean, shown
from study.utils.canonical_json import canonical_json
from study.utils.escape import appearance
from study.vit.subject import Settings

RESULT_COLUMNS = (
    *("study", "cell", "replicate", "status", "key", "run_id", "test_accuracy", "val_accuracy"),
    *("params", "params_active", "macs", "macs_active", "train_seconds", "pretrain_key", "pretrain_seconds"),
    *("seed", "started", "finished", "host", "device", "gpu", "commit", "code", "reason"),
)


@dataclass(frozen=True)
class Level:
    """One value of a factor: a label, the fields it sets by dotted path, and its place in the grid."""

    label: str
    fields: Mapping[str, Any]
    at: Place
    stated: Stated  # the values of its fields, and of those that a preset or a section fills in

    @cached_property
    def is_whole(self) -> bool:
        """Whether it sets a preset, or a section as a whole."""
        return any(is_whole(path, value) for path, value in self.fields.items())


@dataclass(frozen=True)
class Factor:
    """A name and at least two levels, the baseline level first."""

    name: str
    levels: tuple[Level, ...]
    at: Place
    parts: tuple["Factor", ...] = ()  # of tied factors: each of them, with levels in the same order

    @property
    def baseline(self) -> Level:
        return self.levels[0]


def read_levels(name: str, spec: FactorSpec, at: Place, mistakes: Mistakes) -> list[Level]:
    """The written levels of a factor, independently of the baseline. Records all that are not valid in `mistakes`."""
    if appearance(name) in RESULT_COLUMNS:
        mistakes.add(at.error("invalid factor name: it is a column of results.csv; use another name"))
    if spec.path is not None and (problem := path_problem(spec.path)):
        mistakes.add((at / "path").error(problem))
        return []
    written: list[Level] = []
    for i, entry in enumerate(spec.levels):
        if spec.path is None and not (isinstance(entry, dict) and "value" not in entry):
            mistakes.add((at / "levels" / i).error("requires the factor's 'path' (as in encoder.num_kv_heads)"))
            return []
        with mistakes.collect():
            written.append(_level(entry, spec.path, at / "levels" / i))
    return written


def read_factor(
    name: str, spec: FactorSpec, written: list[Level], raw: Mapping[str, Any], baseline: Settings, at: Place
) -> Factor:
    """A factor from its written levels. The level equal to the baseline comes first; one is added if there is none.

    Raises StudyError for a duplicate level, and a factor without effect.
    """
    first = _find_distinct(written, raw).get(baseline)
    others = [level for level in written if level is not first]
    if not others:
        raise at.error(f"changes nothing: its level equals the baseline; add another level{_hint(written[0])}")
    if first is None:
        paths = dict.fromkeys(path for level in others for path in level.fields)
        first = Level(_baseline_label(spec, others, raw, at), {}, at, unchanged(paths, baseline))
    elif spec.baseline is not None:
        message = f"not applicable: level {first.label!r} equals the baseline; give that level a 'label' instead"
        raise (at / "baseline").error(message)
    return Factor(name, (first, *others), at)


def label_of(value: Any) -> str:
    """The label of a value: 3-4-5 for a list, none for null, on and off for booleans."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list | tuple):
        return "-".join(label_of(item) for item in value)
    short = f"{value:g}" if isinstance(value, float) else ""
    return short if short and float(short) == value else str(value)


class UnknownLevelError(ValueError):
    """A level that its factor does not have; the message lists its levels."""


def named_levels(name: str, written: Any, labels: Sequence[str]) -> frozenset[str]:
    """The labels of the written levels; a list is several levels, unless it is itself a level (experts by depth).

    Raises UnknownLevelError.
    """
    if label_of(written) in labels:
        return frozenset({label_of(written)})
    found = [label_of(item) for item in written] if isinstance(written, list) and written else [label_of(written)]
    for label in found:
        if label not in labels:
            raise UnknownLevelError(f"factor {name!r} has no level {label!r}; {did_you_mean(label, labels)}")
    return frozenset(found)


def _level(entry: Any, path: str | None, at: Place) -> Level:
    """A level in its short form (a value of `path`) or in its long form (a mapping, see LevelSpec)."""
    if not isinstance(entry, dict):
        _check_value(str(path), entry, at)
        fields = {str(path): entry}
        return Level(_label(entry, at), fields, at, stated(fields))
    level = _long_form(entry, path, at)
    for written, value in (level.set or {}).items():
        if problem := path_problem(written):
            raise (at / "set" / written).error(problem)
        _check_value(written, value, at / "set" / written)
    if not level.set:
        _check_value(str(path), level.value, at / "value")
    fields = level.set or {str(path): level.value}
    if level.label is None and len(fields) > 1:
        raise at.error("a level that sets several fields requires a 'label'")
    return Level(level.label or _label(next(iter(fields.values())), at), fields, at, stated(fields))


def _check_value(path: str, value: Any, at: Place) -> None:
    if problem := value_problem(path, value):
        raise at.error(f"{path}: {problem}" if not problem.startswith("[") else f"{path}{problem}")


def _long_form(entry: dict[str, Any], path: str | None, at: Place) -> LevelSpec:
    fields = {known.rpartition(".")[2] for known in paths()}
    if entry and (fields >= entry.keys() or not any(closest(key, LevelSpec.model_fields) for key in entry)):
        if path and [*entry] in ([path], [path.rpartition(".")[2]]):
            raise at.error(f"write only the value, as 'path' names its field: {shown(*entry.values())}")
        form = "set" if any("." in key for key in entry) else "value"
        raise at.error(f"a mapping alone is not a level; write {{label: NAME, {form}: {shown(entry)}}}")
    try:
        level = LevelSpec.model_validate(entry)
    except ValidationError as error:
        keys, message = next(describe_errors(error, LevelSpec, entry))
        raise at.error(message, keys) from None
    if ("value" in entry) == ("set" in entry):
        raise at.error("a level requires either 'value' (of the factor's path) or 'set' (dotted paths and values)")
    if "set" in entry and not level.set:
        raise (at / "set").error("empty level: at least one dotted path with its value is required")
    return level


def _label(value: Any, at: Place) -> str:
    label = label_of(value)
    if isinstance(value, dict) or not 0 < len(label) <= MAX_LABEL or not is_one_line(label):
        raise at.error(f"{shown(value)} is not a valid label; use {{label: NAME, value: ...}}")
    return label


def _find_distinct(levels: list[Level], raw: Mapping[str, Any]) -> dict[Settings | str, Level]:
    """The levels by the settings that result from each. Raises StudyError for equal labels or equal settings."""
    labels: dict[str, Level] = {}
    found: dict[Settings | str, Level] = {}
    for level in levels:
        effect = _effect(level, raw)
        look = appearance(level.label)
        if twin := labels.get(look) or found.get(effect):
            same = "looks like" if appearance(twin.label) == look else "same settings as"
            same = "same label as" if twin.label == level.label else same
            raise level.at.error(f"duplicate level: {same} {twin.label!r} on line {twin.at.line}{_hint(level)}")
        labels[look] = found[effect] = level
    return found


def _hint(level: Level) -> str:
    is_preset = any(path.endswith(".preset") for path in level.fields)
    return "; fields that the baseline writes override those of a preset: leave them out" if is_preset else ""


def _effect(level: Level, raw: Mapping[str, Any]) -> Settings | str:
    """The baseline settings with the level's overrides; as text if they are invalid on their own."""
    try:
        overridden = with_overrides(raw, level.fields)
    except InvalidError as error:
        raise level.at.error(f"{error.path}: {error.message}") from None
    try:
        return settings(overridden)
    except InvalidError:
        return canonical_json(overridden, allow_nan=True)


def _baseline_label(spec: FactorSpec, levels: list[Level], raw: Mapping[str, Any], at: Place) -> str:
    """The label of a baseline level that is not written: as given, otherwise from its value."""
    label = spec.baseline
    if label is None:
        paths = {path for level in levels for path in level.fields}
        value = value_at(raw, next(iter(paths)))
        label = "baseline" if len(paths) > 1 or isinstance(value, dict) else _label(value, at)
    if appearance(label) in {appearance(level.label) for level in levels}:
        raise at.error(f"duplicate label {label!r} of the baseline level; set another one with 'baseline:'")
    return label
