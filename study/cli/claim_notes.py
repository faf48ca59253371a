"""What `plan` and `run` announce beside claims and contrasts, as the report marks them after training."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from study.design.comparison import Selection, labels_by_factor, select, select_contrast
from study.design.selection_bias import bias
from study.design.study import Study
from study.utils.text import plural

if TYPE_CHECKING:
    from study.analysis.data_sets import DataSets


def claim_notes(study: Study) -> list[list[str]]:
    """By claim: whether it compares accuracies on different data sets, or is also judged on each."""
    factors, found, claims = labels_by_factor(study.factors), _data_sets(study), study.grid.claims
    if found is None:
        return [[] for _ in claims]
    from study.analysis.data_set_verdicts import parts

    names = [[one.name for one, _ in parts(claim, factors, found)] for claim in claims]
    family = plural(sum(map(len, names)), "verdict")
    return [
        [*_across(select(claim, factors), claim.metric, found), *_on_each(own, family)]
        for claim, own in zip(claims, names, strict=True)
    ]


def _on_each(data_sets: list[str], family: str) -> Iterator[str]:
    """That a claim is judged on these, if any, and over how many verdicts p-values are adjusted."""
    if data_sets:
        yield f"also judged on each data set ({', '.join(data_sets)}); p-values of these {family} are adjusted together"


def contrast_notes(study: Study) -> list[list[str]]:
    """By contrast of `compare`: whether it compares accuracies on different data sets, or a selection has used them."""
    factors, found = labels_by_factor(study.factors), _data_sets(study)
    return [
        [*_across(select_contrast(spec, factors), spec.metric, found), *_selected(study, spec.metric)]
        for spec in study.grid.compare
    ]


def _across(selection: Selection, metric: str, found: "DataSets | None") -> Iterator[str]:
    if found is not None:
        from study.analysis.data_set_verdicts import ACROSS, across

        if across(selection, metric, found):
            yield ACROSS


def _selected(study: Study, metric: str) -> Iterator[str]:
    if why := bias(study.grid, [cell.settings for cell in study.included if cell.settings], metric):
        yield f"{metric}: {why}"


def _data_sets(study: Study) -> "DataSets | None":
    """The data sets of fine-tuning; None with one, without the imports that several need."""
    if len({cell.settings.finetune.dataset for cell in study.included if cell.settings}) < 2:
        return None
    from study.analysis.data_sets import data_sets_among
    from study.report.cell_facts import cell_facts, factor_facts

    assert study.baseline.settings is not None, "the baseline is never excluded"
    baseline = study.baseline.settings.model_dump(mode="json")
    return data_sets_among(factor_facts(study), [cell_facts(cell) for cell in study.included], baseline)
