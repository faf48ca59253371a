"""What a study is going to do and what of it is done, before anything runs; no torch."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from study import counts
from study.config import Settings
from study.data import describe
from study.design import Cell, Study, expand
from study.errors import StudyError
from study.stages import Stage, stages_of
from study.store import Store


@dataclass(frozen=True)
class CellPlan:
    """One cell: what it costs, and how many of its trials are done."""

    cell: Cell
    params: int | None  # None for a cell that is excluded and cannot be built
    params_active: int | None
    macs: int | None
    macs_active: int | None
    done: int


@dataclass(frozen=True)
class Plan:
    """A study's cells, trials and distinct stages."""

    study: Study
    cells: list[CellPlan]
    trials: int
    stages: list[Stage]
    uses: int  # stages if nothing were shared
    done: frozenset[str]  # keys

    @property
    def missing(self) -> list[Stage]:
        return [stage for stage in self.stages if stage.key not in self.done]


def make_plan(study: Study, store: Store) -> Plan:
    """Expand a study and look its stages up. Raises StudyError for a data set that cannot serve."""
    _check_datasets(study)
    trials = expand(study)
    stages: dict[str, Stage] = {}
    finished: Counter[str] = Counter()
    uses = 0
    done: set[str] = set()
    for trial in trials:
        own = stages_of(trial)
        uses += len(own)
        for stage in own:
            if stage.key not in stages:
                stages[stage.key] = stage
                if store.has(stage):
                    done.add(stage.key)
        finished[trial.cell.name] += own[-1].key in done
    cells = [_cell_plan(cell, finished[cell.name]) for cell in study.cells]
    return Plan(study, cells, len(trials), list(stages.values()), uses, frozenset(done))


def datasets(study: Study) -> list[str]:
    """The names of all data sets that a study's trials read."""
    names: dict[str, None] = {}
    for cell in study.cells:
        if cell.excluded is None and cell.settings is not None:
            if cell.settings.pretrain is not None:
                names[cell.settings.pretrain.dataset] = None
            names[cell.settings.finetune.dataset] = None
    return list(names)


def _check_datasets(study: Study) -> None:
    for name in datasets(study):
        describe(name)  # raises for an unknown one
    for cell in study.cells:
        if cell.excluded is None and cell.settings is not None:
            _classes(cell.settings)


def _classes(settings: Settings) -> int:
    info = describe(settings.finetune.dataset)
    if info.classes is None:
        raise StudyError(
            f"finetune.dataset: {info.name!r} has no labels, so it can only serve as pretrain.dataset; "
            "choose a labelled data set to fine-tune on"
        )
    return info.classes


def _cell_plan(cell: Cell, done: int) -> CellPlan:
    if cell.settings is None:
        return CellPlan(cell, None, None, None, None, done)
    classes = _classes(cell.settings)
    params = counts.classifier_params(cell.settings.encoder, classes)
    macs = counts.classifier_macs(cell.settings.encoder, classes)
    return CellPlan(cell, params.total, params.active, macs.executed, macs.active, done)


def as_json(plan: Plan) -> dict[str, Any]:
    """The plan for programs."""
    study = plan.study
    return {
        "study": study.name,
        "question": study.grid.question,
        "design": study.grid.design,
        "replicates": study.grid.replicates,
        "trials": plan.trials,
        "stages": [
            {"key": stage.key, "stage": stage.kind, "parent": stage.parent.key if stage.parent else None,
             "dataset": stage.recipe.dataset, "seed": stage.seed, "done": stage.key in plan.done}
            for stage in plan.stages
        ],
        "cells": [
            {"cell": item.cell.name, "levels": dict(item.cell.labels), "excluded": item.cell.excluded,
             "params": item.params, "params_active": item.params_active, "macs": item.macs,
             "macs_active": item.macs_active, "done": item.done}
            for item in plan.cells
        ],
    }  # fmt: skip


def show(plan: Plan, console: Console) -> None:
    """The plan for people."""
    study = plan.study
    console.print(f"[bold]{escape(study.name)}[/]  {escape(study.grid.question)}")
    table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    table.add_column("cell", overflow="fold", ratio=1)
    for name in ("params", "active", "multiply-adds", "active", "done"):
        table.add_column(name, justify="right", no_wrap=True)
    for item in plan.cells:
        if item.cell.excluded is not None:
            table.add_row(f"[dim]{escape(item.cell.name)}: excluded, {escape(item.cell.excluded)}[/]", *[""] * 5)
            continue
        numbers = (item.params, item.params_active, item.macs, item.macs_active)
        replicates = study.grid.replicates
        done = f"[green]{item.done}/{replicates}[/]" if item.done == replicates else f"{item.done}/{replicates}"
        table.add_row(escape(item.cell.name), *(short(number) for number in numbers), done)
    console.print(table)
    console.print(summary(plan))


def summary(plan: Plan) -> str:
    """One or two lines: cells, trials, distinct stages, what is done."""
    cells = [item for item in plan.cells if item.cell.excluded is None]
    kinds = Counter(stage.kind for stage in plan.stages)
    text = (
        f"{len(cells)} cells x {plan.study.grid.replicates} replicates = {plan.trials} trials; "
        f"{len(plan.stages)} stages ({kinds['pretrain']} pre-trainings, {kinds['finetune']} fine-tunings), "
    )
    shared = plan.uses - len(plan.stages)
    text += f"{shared} more saved by sharing; " if shared else ""
    return text + f"{len(plan.done)} done, {len(plan.missing)} to run"


def short(number: int | None) -> str:
    """Three significant digits with k, M or G."""
    if number is None:
        return ""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= limit:
            return f"{number / limit:#.3g}".rstrip(".") + unit
    return str(number)
