"""Conditions on cells: the grid keys `only` and `exclude`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from study.design.factors import Factor, UnknownLevelError, named_levels
from study.design.grid import CellsSpec, Grid
from study.design.mistakes import Mistakes
from study.design.overrides import path_problem, value_at
from study.design.yaml_file import Keys, Place, did_you_mean, shown


@dataclass(frozen=True)
class Condition:
    """A set of cells, and why they are excluded or included."""

    levels: Mapping[str, frozenset[str]]  # factor -> labels
    values: Mapping[str, tuple[Any, ...]]  # dotted path -> values
    reason: str
    at: Place

    def covers(self, labels: Mapping[str, str], raw: Mapping[str, Any]) -> bool:
        """Whether a cell with these levels and plain settings is in the set."""
        return all(labels[factor] in allowed for factor, allowed in self.levels.items()) and all(
            any(_same(value_at(raw, path), value) for value in values) for path, values in self.values.items()
        )


@dataclass
class Conditions:
    """All conditions of a grid; records which of them have covered a cell."""

    only: tuple[Condition, ...]
    exclude: tuple[Condition, ...]
    used: set[Keys] = field(default_factory=set)

    @classmethod
    def read(cls, grid: Grid, factors: tuple[Factor, ...], top: Place) -> "Conditions":
        """Raises StudyError for a name that is neither a factor nor a dotted path, and for an unknown level."""
        mistakes = Mistakes()
        found: dict[str, list[Condition]] = {"only": [], "exclude": []}
        for key, i, spec in (
            *(("only", *one) for one in enumerate(grid.only)),
            *(("exclude", *one) for one in enumerate(grid.exclude)),
        ):
            with mistakes.collect():
                found[key].append(read_condition(spec, factors, top / key / i))
        mistakes.check()
        return cls(tuple(found["only"]), tuple(found["exclude"]))

    def reason(self, labels: Mapping[str, str], raw: Mapping[str, Any]) -> str | None:
        """Why a cell is excluded: the first `exclude` that covers it, or a lack of `only`; None if it is included."""
        excluding = self._covering(self.exclude, labels, raw)
        including = self._covering(self.only, labels, raw)
        if excluding:
            return excluding[0].reason
        if self.only and not including:
            return f"not covered by 'only': {'; '.join(condition.reason for condition in self.only)}"
        return None

    def excluded_at(self, labels: Mapping[str, str], raw: Mapping[str, Any]) -> Place | None:
        """What excludes a cell: the first `exclude` that covers it, or `only` as a whole; None if it is included."""
        for condition in self._covering(self.exclude, labels, raw):
            return condition.at
        return self.only[0].at.above if self.only and not self._covering(self.only, labels, raw) else None

    def check_baseline(self, labels: Mapping[str, str], raw: Mapping[str, Any]) -> None:
        """Raises StudyError if the baseline is excluded."""
        for condition in self._covering(self.exclude, labels, raw):
            raise condition.at.error("excludes the baseline, which is required: every cell is compared with it")
        if self.only and not self._covering(self.only, labels, raw):
            condition = self.only[0]
            raise condition.at.error(
                "excludes the baseline, which is required: every cell is compared with it; "
                f"{_suggestion(condition, labels, raw) or 'add an entry that covers it'}"
            )

    def unused(self) -> Iterator[Condition]:
        """Conditions that have covered no cell so far."""
        return (condition for condition in (*self.only, *self.exclude) if condition.at.keys not in self.used)

    def _covering(
        self, conditions: tuple[Condition, ...], labels: Mapping[str, str], raw: Mapping[str, Any]
    ) -> list[Condition]:
        covering = [condition for condition in conditions if condition.covers(labels, raw)]
        self.used.update(condition.at.keys for condition in covering)
        return covering


def read_condition(spec: CellsSpec, factors: tuple[Factor, ...], at: Place) -> Condition:
    """A condition on factors (by level) and dotted paths (by value). Raises StudyError for names that are neither."""
    whole = {factor.name: factor for factor in factors}
    parts = {part.name: (factor, i) for factor in factors for i, part in enumerate(factor.parts)}
    levels: dict[str, frozenset[str]] = {}
    values: dict[str, tuple[Any, ...]] = {}
    for name, written in spec.when.items():
        here = at / "when" / name
        if name in whole:
            levels[name] = _labels(whole[name], written, here) & levels.get(name, _all(whole[name]))
        elif name in parts:
            factor, i = parts[name]
            labels = _labels_of_part(factor, factor.parts[i], written, here)
            levels[factor.name] = labels & levels.get(factor.name, _all(factor))
        elif problem := path_problem(name):
            known = [*whole, *parts]
            raise here.error(problem if "." in name else f"unknown factor; {did_you_mean(name, known)}")
        else:
            values[name] = (written, *written) if isinstance(written, list) else (written,)
    return Condition(levels, values, spec.reason, at)


def _all(factor: Factor) -> frozenset[str]:
    return frozenset(level.label for level in factor.levels)


def _labels(factor: Factor, written: Any, at: Place) -> frozenset[str]:
    try:
        return named_levels(factor.name, written, [level.label for level in factor.levels])
    except UnknownLevelError as error:
        raise at.error(str(error)) from None


def _labels_of_part(tied: Factor, part: Factor, written: Any, at: Place) -> frozenset[str]:
    """The labels of tied factors in which one of them has a written level."""
    own = _labels(part, written, at)
    pairs = zip(tied.levels, part.levels, strict=True)
    return frozenset(level.label for level, of_part in pairs if of_part.label in own)


def _same(value: Any, other: Any) -> bool:
    return bool(value == other) and isinstance(value, bool) == isinstance(other, bool)  # 1 == True in Python


def _suggestion(condition: Condition, labels: Mapping[str, str], raw: Mapping[str, Any]) -> str:
    """What to add to a condition so that it covers the baseline; empty if nothing is missing."""
    missing = [
        f"{labels[name]!r} to {name!r}" for name, allowed in condition.levels.items() if labels[name] not in allowed
    ]
    missing += [
        f"{shown(value_at(raw, path))} to {path!r}"
        for path, values in condition.values.items()
        if not any(_same(value_at(raw, path), value) for value in values)
    ]
    return f"add {' and '.join(missing)}" if missing else ""
