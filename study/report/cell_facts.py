"""The factors and cells of a study as its report has them."""

import hashlib

from study.analysis.facts import BudgetFacts, CellFacts, FactorFacts, LevelFacts
from study.design.study import Cell, Study
from study.utils.canonical_json import canonical_json
from study.vit import subject


def factor_facts(study: Study) -> tuple[FactorFacts, ...]:
    return tuple(
        FactorFacts(
            name=factor.name,
            levels=tuple(LevelFacts(label=level.label, fields=dict(level.fields)) for level in factor.levels),
        )
        for factor in study.factors
    )


def cell_facts(cell: Cell, budget: BudgetFacts | None = None) -> CellFacts:
    stages = subject.stages_of(cell.settings) if cell.settings else ()
    other_settings = None
    if cell.settings is not None:
        text = canonical_json(subject.without_pretraining(cell.settings))
        other_settings = hashlib.sha256(text.encode()).hexdigest()[:12]
    return CellFacts(
        name=cell.name,
        labels=dict(cell.labels),
        changed=cell.changed,
        excluded=cell.excluded,
        pretrain_dataset=stages[0].dataset if len(stages) > 1 else None,
        finetune_dataset=stages[-1].dataset if stages else None,
        besides_pretraining=other_settings,
        budget=budget,
    )
