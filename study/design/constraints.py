"""Conditions on cells: which of them an `exclude` leaves out and an `only` keeps."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from study.design.factors import Factor, UnknownLevelError, named_levels
from study.design.grid import CellsSpec, Grid
from study.design.overrides import path_problem, value_at
from study.design.yaml_file import Keys, Place, did_you_mean, shown


@dataclass(frozen=True)
class Condition:
    """Some cells, and why they are left out or kept."""

    levels: Mapping[str, frozenset[str]]  # factor -> labels
    values: Mapping[str, tuple[Any, ...]]  # dotted path -> values
    reason: str
    at: Place

    def covers(self, labels: Mapping[str, str], raw: Mapping[str, Any]) -> bool:
        """Whether it holds for a cell with these levels and these plain settings."""
        return all(labels[factor] in wanted for factor, wanted in self.levels.items()) and all(
            any(_same(value_at(raw, path), value) for value in wanted) for path, wanted in self.values.items()
        )


@dataclass
class Conditions:
    """All conditions of a grid; notes which of them have covered a cell."""

    only: tuple[Condition, ...]
    exclude: tuple[Condition, ...]
    used: set[Keys] = field(default_factory=set)

    @classmethod
    def read(cls, grid: Grid, factors: tuple[Factor, ...], top: Place) -> "Conditions":
        """Raises StudyError for a name that is neither a factor nor a dotted path, and for a level that is none."""
        only = (read_condition(spec, factors, top / "only" / i) for i, spec in enumerate(grid.only))
        exclude = (read_condition(spec, factors, top / "exclude" / i) for i, spec in enumerate(grid.exclude))
        return cls(tuple(only), tuple(exclude))

    def reason(self, labels: Mapping[str, str], raw: Mapping[str, Any]) -> str | None:
        """Why a cell is left out: the first exclusion that covers it, or that no `only` does. None where it is not."""
        left_out = self._covering(self.exclude, labels, raw)
        kept = self._covering(self.only, labels, raw)
        if left_out:
            return left_out[0].reason
        if self.only and not kept:
            return f"not among the cells kept: {'; '.join(condition.reason for condition in self.only)}"
        return None

    def at_fault(self, labels: Mapping[str, str], raw: Mapping[str, Any]) -> Place | None:
        """What leaves a cell out: the first exclusion that covers it, or `only` as a whole. None where nothing does."""
        for condition in self._covering(self.exclude, labels, raw):
            return condition.at
        return self.only[0].at.above if self.only and not self._covering(self.only, labels, raw) else None

    def check_baseline(self, labels: Mapping[str, str], raw: Mapping[str, Any]) -> None:
        """Raises StudyError where the baseline is left out."""
        for condition in self._covering(self.exclude, labels, raw):
            raise condition.at.error("excludes the baseline, against which every cell is compared")
        if self.only and not self._covering(self.only, labels, raw):
            condition = self.only[0]
            raise condition.at.error(
                "leaves out the baseline, against which every cell is compared; "
                f"{_way_in(condition, labels, raw) or 'write one more entry that keeps it'}"
            )

    def unused(self) -> Iterator[Condition]:
        """Those that have covered no cell so far."""
        return (condition for condition in (*self.only, *self.exclude) if condition.at.keys not in self.used)

    def _covering(
        self, conditions: tuple[Condition, ...], labels: Mapping[str, str], raw: Mapping[str, Any]
    ) -> list[Condition]:
        covering = [condition for condition in conditions if condition.covers(labels, raw)]
        self.used.update(condition.at.keys for condition in covering)
        return covering


def read_condition(spec: CellsSpec, factors: tuple[Factor, ...], at: Place) -> Condition:
    """Conditions on factors (by level) and on dotted paths (by value). Raises StudyError for names that are neither."""
    whole = {factor.name: factor for factor in factors}
    parts = {part.name: (factor, i) for factor in factors for i, part in enumerate(factor.parts)}
    levels: dict[str, frozenset[str]] = {}
    values: dict[str, tuple[Any, ...]] = {}
    for name, wanted in spec.when.items():
        here = at / "when" / name
        if name in whole:
            levels[name] = _labels(whole[name], wanted, here) & levels.get(name, _all(whole[name]))
        elif name in parts:
            factor, i = parts[name]
            labels = _labels_of_part(factor, factor.parts[i], wanted, here)
            levels[factor.name] = labels & levels.get(factor.name, _all(factor))
        elif problem := path_problem(name):
            known = [*whole, *parts]
            raise here.error(problem if "." in name else f"there is no such factor; {did_you_mean(name, known)}")
        else:
            values[name] = (wanted, *wanted) if isinstance(wanted, list) else (wanted,)
    return Condition(levels, values, spec.reason, at)


def _all(factor: Factor) -> frozenset[str]:
    return frozenset(level.label for level in factor.levels)


def _labels(factor: Factor, wanted: Any, at: Place) -> frozenset[str]:
    try:
        return named_levels(factor.name, wanted, [level.label for level in factor.levels])
    except UnknownLevelError as error:
        raise at.error(str(error)) from None


def _labels_of_part(joined: Factor, part: Factor, wanted: Any, at: Place) -> frozenset[str]:
    """The labels of paired factors in which one of them has a wanted level."""
    own = _labels(part, wanted, at)
    pairs = zip(joined.levels, part.levels, strict=True)
    return frozenset(level.label for level, of_part in pairs if of_part.label in own)


def _same(value: Any, other: Any) -> bool:
    return bool(value == other) and isinstance(value, bool) == isinstance(other, bool)  # true is not 1


def _way_in(condition: Condition, labels: Mapping[str, str], raw: Mapping[str, Any]) -> str:
    """What to add to a condition so that it covers the baseline."""
    missing = [
        f"{labels[name]!r} to {name!r}" for name, wanted in condition.levels.items() if labels[name] not in wanted
    ]
    missing += [
        f"{shown(value_at(raw, path))} to {path!r}"
        for path, wanted in condition.values.items()
        if not any(_same(value_at(raw, path), value) for value in wanted)
    ]
    return f"add {' and '.join(missing)}" if missing else ""
