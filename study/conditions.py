"""Conditions on cells: which of them an `exclude` covers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from study.factors import Factor, label_of
from study.grid import ExcludeSpec
from study.gridfile import Place, did_you_mean
from study.overlay import path_problem, value_at


@dataclass(frozen=True)
class Exclusion:
    """Cells left out, and why."""

    levels: Mapping[str, frozenset[str]]  # factor -> labels
    values: Mapping[str, tuple[Any, ...]]  # dotted path -> values
    reason: str
    at: Place

    def covers(self, labels: Mapping[str, str], raw: Mapping[str, Any]) -> bool:
        """Whether every condition holds for a cell with these levels and these plain settings."""
        return all(labels[factor] in wanted for factor, wanted in self.levels.items()) and all(
            any(_same(value_at(raw, path), value) for value in wanted) for path, wanted in self.values.items()
        )


def read_exclusion(spec: ExcludeSpec, factors: tuple[Factor, ...], at: Place) -> Exclusion:
    """Conditions on factors (by level) and on dotted paths (by value). Raises StudyError for names that are neither."""
    by_name = {factor.name: factor for factor in factors}
    levels: dict[str, frozenset[str]] = {}
    values: dict[str, tuple[Any, ...]] = {}
    for name, wanted in spec.when.items():
        here = at / "when" / name
        if name in by_name:
            levels[name] = _labels(by_name[name], wanted, here)
        elif problem := path_problem(name):
            raise here.error(problem if "." in name else f"there is no such factor; {did_you_mean(name, by_name)}")
        else:
            values[name] = (wanted, *wanted) if isinstance(wanted, list) else (wanted,)
    return Exclusion(levels, values, spec.reason, at)


def _labels(factor: Factor, wanted: Any, at: Place) -> frozenset[str]:
    """The wanted labels; a list names several levels, unless it is itself the value of one (experts_by_depth)."""
    possible = [level.label for level in factor.levels]
    if label_of(wanted) in possible:
        return frozenset({label_of(wanted)})
    labels = [label_of(item) for item in wanted] if isinstance(wanted, list) and wanted else [label_of(wanted)]
    for label in labels:
        if label not in possible:
            raise at.error(f"factor {factor.name!r} has no level {label!r}; {did_you_mean(label, possible)}")
    return frozenset(labels)


def _same(value: Any, other: Any) -> bool:
    return bool(value == other) and isinstance(value, bool) == isinstance(other, bool)  # true is not 1
