"""Conditions on cells: which of them an `exclude` covers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from study.factors import Factor, label_of
from study.grid import ExcludeSpec
from study.gridfile import GridFile, Keys, did_you_mean
from study.overlay import value_at


@dataclass(frozen=True)
class Exclusion:
    """Cells left out, and why."""

    levels: Mapping[str, frozenset[str]]  # factor -> labels
    values: Mapping[str, tuple[Any, ...]]  # dotted path -> values
    reason: str
    at: Keys

    def covers(self, labels: Mapping[str, str], raw: Mapping[str, Any]) -> bool:
        """Whether every condition holds for a cell with these levels and these plain settings."""
        return all(labels[factor] in wanted for factor, wanted in self.levels.items()) and all(
            value_at(raw, path) in wanted for path, wanted in self.values.items()
        )


def read_exclusion(spec: ExcludeSpec, position: int, factors: tuple[Factor, ...], source: GridFile) -> Exclusion:
    """Conditions on factors (by level) and on dotted paths (by value). Raises StudyError for names that are neither."""
    at: Keys = ("exclude", position)
    by_name = {factor.name: factor for factor in factors}
    levels: dict[str, frozenset[str]] = {}
    values: dict[str, tuple[Any, ...]] = {}
    for name, wanted in spec.when.items():
        if name in by_name:
            levels[name] = _labels(by_name[name], wanted, source, (*at, "when", name))
        elif "." in name:
            values[name] = (wanted, *wanted) if isinstance(wanted, list) else (wanted,)
        else:
            message = f"no factor {name!r}, and no dotted path; {did_you_mean(name, by_name)}"
            raise source.error((*at, "when", name), message)
    return Exclusion(levels, values, spec.reason, at)


def _labels(factor: Factor, wanted: Any, source: GridFile, at: Keys) -> frozenset[str]:
    """The wanted labels; a list names several levels, unless it is itself the value of one (experts_by_depth)."""
    possible = [level.label for level in factor.levels]
    if label_of(wanted) in possible:
        return frozenset({label_of(wanted)})
    labels = [label_of(item) for item in wanted] if isinstance(wanted, list) and wanted else [label_of(wanted)]
    for label in labels:
        if label not in possible:
            raise source.error(at, f"factor {factor.name!r} has no level {label!r}; {did_you_mean(label, possible)}")
    return frozenset(labels)
