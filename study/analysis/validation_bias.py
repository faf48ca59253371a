"""Marks on validation accuracies that a selection has used: the best epoch, tuned values, the trials of a search."""

from collections.abc import Mapping
from typing import Any

from study.analysis.facts import CellFacts, FactorFacts, LevelFacts, StudyFacts
from study.design.selection_bias import reason


def keeps_best(facts: StudyFacts) -> bool:
    """Whether any cell may keep the epoch with the best validation accuracy."""
    levels = [level.fields for factor in facts.factors for level in factor.levels]
    return any(_keep(fields) == "best" for fields in (facts.baseline, *levels))


def _keep(fields: Mapping[str, Any]) -> Any:
    """What these fields, sections or dotted paths, set `keep` to; a section without it has the default."""
    section = fields.get("finetune")
    return fields.get("finetune.keep") or (section.get("keep", "last") if isinstance(section, Mapping) else None)


def bias(facts: StudyFacts, metric: str = "val_accuracy") -> str:
    """Why a metric of the replicates is biased by a selection, as half a sentence; empty if it is not."""
    return reason(metric, keeps_best(facts), _is_tuned(facts))


def of_cell(facts: StudyFacts, cell: CellFacts) -> str:
    """The same for the validation accuracy of one cell."""
    levels = [level.fields for factor in facts.factors for level in factor.levels if _has(cell, factor, level)]
    kept = [keep for fields in (facts.baseline, *levels) if (keep := _keep(fields))]
    return reason("val_accuracy", kept[-1:] == ["best"], _is_tuned(facts))


def _has(cell: CellFacts, factor: FactorFacts, level: LevelFacts) -> bool:
    return cell.labels[factor.name] == level.label


def _is_tuned(facts: StudyFacts) -> bool:
    return facts.tuning is not None and not facts.tuning.searches


def marked(facts: StudyFacts, metric: str, note: str) -> str:
    """The note on a difference, with the mark."""
    why = bias(facts, metric)
    return "; ".join(filter(None, (note, f"{metric}: {why}" if why else "")))


def sentence(facts: StudyFacts) -> str:
    """The mark in the captions of validation accuracies, after a space."""
    why = bias(facts)
    return f" Of validation accuracy: {why}." if why else ""


def sentence_on_curves(facts: StudyFacts) -> str:
    """The mark in the captions of curves, which show the accuracies of all epochs, after a space."""
    if keeps_best(facts):
        return " With keep: best, the epoch with the highest accuracy is kept, which is too high by chance."
    return sentence(facts)
