"""Studies whose cells are fine-tuned on several data sets: which factor sets them, and the results on each.

Accuracies on different data sets differ in how hard the data sets are, so cells are only compared within one. Data sets
that differ only in pre-training are no such factor: those cells are tested on the same images.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from study.analysis.facts import CellFacts, FactorFacts, StudyFacts
from study.analysis.level_settings import level_settings
from study.analysis.results import Results

PATHS = ("finetune.dataset", "finetune")  # fields that set the data set


@dataclass(frozen=True)
class DataSet:
    """A data set of a study: the levels of the factor that have it, and the cells that are fine-tuned on it."""

    name: str  # the level's label, or the name of the data set if several levels have it
    levels: tuple[str, ...]
    cells: tuple[CellFacts, ...]


@dataclass(frozen=True)
class DataSets:
    """The factor whose levels set the data set of fine-tuning, and at least two data sets, the baseline's first."""

    factor: str
    sets: tuple[DataSet, ...]
    differing: Mapping[str, frozenset[tuple[str, str]]]  # by level: the settings in which levels of a data set differ

    def method(self, cell: CellFacts) -> frozenset[tuple[str, str]]:
        """What cells on different data sets have in common if they are the same method.

        The levels of all other factors; and where several levels have the same data set, the settings in which such
        levels differ. What all levels of a data set share, such as its image size, belongs to the data set.
        """
        return self.differing[cell.labels[self.factor]].union(self.other_labels(cell).items())

    def of(self, cell: str) -> DataSet:
        """The data set of a cell."""
        return next(one for one in self.sets if any(cell == other.name for other in one.cells))

    def other_labels(self, cell: CellFacts) -> dict[str, str]:
        """The levels of all other factors."""
        return {name: label for name, label in cell.labels.items() if name != self.factor}


def data_sets_of(facts: StudyFacts) -> DataSets | None:
    """The data sets of a study, recognised from its cells; see `data_sets_among`."""
    return data_sets_among(facts.factors, facts.included, facts.baseline)


def data_sets_among(
    factors: Sequence[FactorFacts], included: Iterable[CellFacts], baseline: Mapping[str, Any]
) -> DataSets | None:
    """The data sets of these cells; None if all are fine-tuned on the same one, or no factor alone determines it.

    baseline: all settings of the baseline.
    """
    cells = [cell for cell in included if cell.finetune_dataset is not None]
    if len({cell.finetune_dataset for cell in cells}) < 2:
        return None
    setting = [factor for factor in factors if any(p in PATHS for level in factor.levels for p in level.fields)]
    for factor in setting or factors:
        if (found := _by_level(factor, cells)) is not None:
            sets = tuple(_data_set(name, levels, cells) for name, levels in found.items())
            return DataSets(factor.name, sets, _differing(baseline, factor, sets))
    return None


def _differing(
    baseline: Mapping[str, Any], factor: FactorFacts, sets: Iterable[DataSet]
) -> dict[str, frozenset[tuple[str, str]]]:
    """By level: the settings, with their values, in which the levels of any one data set differ."""
    settings = {level.label: level_settings(level, baseline) for level in factor.levels}
    differing = {
        path
        for one in sets
        for path in set().union(*(settings[label] for label in one.levels))
        if len({settings[label][path] for label in one.levels if path in settings[label]}) > 1
    }
    return {
        label: frozenset((path, value) for path, value in own.items() if path in differing)
        for label, own in settings.items()
    }


def _by_level(factor: FactorFacts, cells: Iterable[CellFacts]) -> dict[str, list[str]] | None:
    """The levels of each data set, the baseline's first; None if a level has cells on several."""
    of_level: dict[str, set[str]] = {level.label: set() for level in factor.levels}
    for cell in cells:
        of_level[cell.labels[factor.name]].add(str(cell.finetune_dataset))
    if any(len(names) > 1 for names in of_level.values()):
        return None
    found: dict[str, list[str]] = {}
    for label, names in of_level.items():
        for name in names:
            found.setdefault(name, []).append(label)
    return found


def _data_set(name: str, levels: list[str], cells: Iterable[CellFacts]) -> DataSet:
    own = tuple(cell for cell in cells if cell.finetune_dataset == name)
    return DataSet(levels[0] if len(levels) == 1 else name, tuple(levels), own)


def references(facts: StudyFacts) -> dict[str, CellFacts]:
    """By cell: the cell that it is compared with, which is itself if there is none.

    That is the baseline, or for a cell on another data set the first cell there with the baseline's levels of all other
    factors.
    """
    baseline, found = facts.cells[0], data_sets_of(facts)
    if found is None:
        return {cell.name: baseline for cell in facts.included}
    usual = found.other_labels(baseline)
    chosen: dict[str, CellFacts] = {}
    for one in found.sets:
        order = {label: i for i, label in enumerate(one.levels)}
        same = [cell for cell in one.cells if found.other_labels(cell) == usual]
        first = min(same, key=lambda cell: order[cell.labels[found.factor]], default=None)
        chosen |= {cell.name: first or cell for cell in one.cells}
    return chosen


def within(results: Results, found: DataSets, one: DataSet) -> Results:
    """The results on one data set, as those of a study of its own: its cells, and the factors that vary among them.

    Its baseline is the cell with the baseline's levels of all other factors, if the study has that cell.
    """
    facts = results.facts
    cells = sorted((_within(cell, found, one) for cell in one.cells), key=lambda cell: bool(cell.changed))
    factors = (
        factor.model_copy(update={"levels": tuple(level for level in factor.levels if level.label in one.levels)})
        if factor.name == found.factor
        else factor
        for factor in facts.factors
    )
    update = {
        "cells": tuple(cells),
        "factors": tuple(factor for factor in factors if factor.name != found.factor or len(one.levels) > 1),
        "claims": (),
        "compare": (),
        "aliases": None,
        "full": None,
        "bare": None,
    }
    own = results.trials["cell"].isin([cell.name for cell in one.cells])
    return replace(results, facts=facts.model_copy(update=update), trials=results.trials[own])


def _within(cell: CellFacts, found: DataSets, one: DataSet) -> CellFacts:
    """The cell as one of its data set alone."""
    if len(one.levels) == 1:
        changed = tuple(name for name in cell.changed if name != found.factor)
        return cell.model_copy(update={"labels": found.other_labels(cell), "changed": changed})
    moved = cell.labels[found.factor] != one.levels[0]
    changed = tuple(name for name in cell.changed if name != found.factor)
    return cell.model_copy(update={"changed": (*changed, found.factor) if moved else changed})
