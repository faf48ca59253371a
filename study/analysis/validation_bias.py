"""Marks on validation accuracies that a selection has used: the best epoch, tuned values, the trials of a search."""

from collections.abc import Mapping
from typing import Any

from study.analysis.facts import StudyFacts
from study.design.selection_bias import reason


def keeps_best(facts: StudyFacts) -> bool:
    """Whether any cell may keep the epoch with the best validation accuracy."""
    levels = [level.fields for factor in facts.factors for level in factor.levels]
    return any(_keep(fields) == "best" for fields in (facts.baseline, *levels))


def _keep(fields: Mapping[str, Any]) -> Any:
    """What these fields, sections or dotted paths, set `keep` to."""
    section = fields.get("finetune")
    return fields.get("finetune.keep") or (section.get("keep") if isinstance(section, Mapping) else None)


def bias(facts: StudyFacts, metric: str = "val_accuracy") -> str:
    """Why a metric of the replicates is biased by a selection, as half a sentence; empty if it is not."""
    tuned = facts.tuning is not None and not facts.tuning.searches
    return reason(metric, keeps_best(facts), tuned)


def marked(facts: StudyFacts, metric: str, note: str) -> str:
    """The note on a difference, with the mark."""
    why = bias(facts, metric)
    return "; ".join(filter(None, (note, f"{metric}: {why}" if why else "")))


def sentence(facts: StudyFacts) -> str:
    """The mark in the captions of validation accuracies, after a space."""
    why = bias(facts)
    return f" Of validation accuracy: {why}." if why else ""
