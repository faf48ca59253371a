"""What a study is going to do and what of it is done, before anything runs; no torch."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from study.design.stages import Stage, stages_of
from study.design.study import Cell, Study, Trial
from study.planning import tuning_state
from study.planning.claim_power import Outlook, outlooks, unknown
from study.planning.trials import wanted
from study.planning.tuning_state import Tuning
from study.store.results import Store
from study.utils.errors import StudyError
from study.utils.frozen_model import FieldError
from study.utils.text import plural
from study.vit import subject

MAX_ROWS = 200  # of the table for people
SIZES = [field.name for field in fields(subject.ModelSize)]
MAX_NAMED = 10  # cells left out for the same reason


@dataclass(frozen=True)
class CellPlan:
    """One cell: what it costs, and how many of its trials are done."""

    cell: Cell
    classes: int | None  # of its labelled data set; None for an excluded cell
    done: int
    wanted: int  # trials of it

    @cached_property
    def size(self) -> subject.ModelSize | None:
        """None for an excluded cell."""
        return subject.model_size(self.cell.settings, self.classes) if self.cell.settings and self.classes else None


@dataclass(frozen=True)
class Plan:
    """A study's cells, trials and distinct stages."""

    study: Study
    cells: list[CellPlan]
    trials: list[Trial]
    stages: list[Stage]
    uses: int  # stages if nothing were shared
    done: frozenset[str]  # keys
    outlooks: list[Outlook] = field(default_factory=list)  # one per claim
    tunings: list[Tuning] = field(default_factory=list)  # of cells whose tuning can begin; none where nothing is tuned

    @property
    def finished(self) -> bool:
        """Whether nothing is left to run. Tuning that has failed altogether is tried again."""
        return not self.missing and not self.tuning_left and not any(one.all_failed for one in self.tunings)

    @property
    def tuning_left(self) -> int:
        """Tuning trials that have not ended."""
        ended = sum(one.ended for one in self.tunings)
        return self.study.space.budget * len(self.study.included) - ended if self.study.space else 0

    @property
    def missing(self) -> list[Stage]:
        return [stage for stage in self.stages if stage.key not in self.done]


def make_plan(study: Study, store: Store) -> Plan:
    """Expand a study and look its stages up. Raises StudyError for a data set that cannot serve."""
    infos = _describe_all(study)
    stored = store.keys()
    stages: dict[str, Stage] = {}
    finished: Counter[str] = Counter()
    asked: Counter[str] = Counter()
    uses = 0
    trials = wanted(study, store)
    for trial in trials:
        own = stages_of(trial)
        uses += len(own)
        for stage in own:
            stages.setdefault(stage.key, stage)
        asked[trial.cell.name] += 1
        finished[trial.cell.name] += own[-1].key in stored
    cells = [CellPlan(cell, _classes(cell, infos), finished[cell.name], asked[cell.name]) for cell in study.cells]
    ahead = outlooks(study, trials, store)
    tunings = tuning_state.load(study, store)
    return Plan(study, cells, trials, list(stages.values()), uses, stored & stages.keys(), ahead, tunings)


def datasets(study: Study) -> list[str]:
    """The names of all data sets that a study's trials read."""
    return list(dict.fromkeys(stage.dataset for _, stage in _stage_settings(study)))


def _stage_settings(study: Study) -> Iterator[tuple[Cell, subject.StageSettings]]:
    """The stages of every included cell."""
    for cell in study.included:
        if cell.settings is not None:
            yield from ((cell, stage) for stage in subject.stages_of(cell.settings))


def _describe_all(study: Study) -> dict[str, subject.DatasetInfo]:
    """The data sets by name. Raises StudyError for an unknown one, or one that does not suit its stage."""
    infos: dict[str, subject.DatasetInfo] = {}
    for cell, stage in _stage_settings(study):
        name = stage.dataset
        try:
            info = infos[name] = infos.get(name) or subject.describe(name)
            subject.check_data(stage, info)
        except StudyError as error:
            raise study.error(cell, f"{stage.kind}.dataset", str(error)) from None
        except FieldError as error:
            raise study.error(cell, f"{stage.kind}.{error.field}", str(error)) from None
    return infos


def _classes(cell: Cell, infos: Mapping[str, subject.DatasetInfo]) -> int | None:
    """Classes that a cell's last stage is trained for; None for an excluded cell."""
    if cell.excluded is not None or cell.settings is None:
        return None
    return infos[subject.stages_of(cell.settings)[-1].dataset].classes


def as_json(plan: Plan) -> dict[str, Any]:
    """The plan for programs."""
    study = plan.study
    return {
        "study": study.name,
        "question": study.grid.question,
        "design": study.design.name,
        "aliases": _alias_table(study),
        "sample": study.sample and {**study.sample.model_dump(), "product": study.product},
        "paired": [[part.name for part in factor.parts] for factor in study.factors if factor.parts],
        "only": [spec.reason for spec in study.grid.only],
        "replicates": study.grid.model_dump(mode="json")["replicates"],
        "claims": [_claim(outlook) for outlook in plan.outlooks],
        "trials": len(plan.trials),
        "stages": [
            {"key": stage.key, "stage": stage.kind, "parent": stage.parent.key if stage.parent else None,
             "dataset": stage.dataset, "seed": stage.seed, "done": stage.key in plan.done}
            for stage in plan.stages
        ],
        "cells": [
            {"cell": item.cell.name, "levels": dict(item.cell.labels), "excluded": item.cell.excluded,
             **{name: item.size and getattr(item.size, name) for name in SIZES},
             "done": item.done, "wanted": item.wanted}
            for item in plan.cells
        ],
        "tuning": study.space and {
            "budget": study.space.budget,
            "to_run": plan.tuning_left,
            "cells": [
                {"cell": one.cell.name, "key": one.key, "ended": one.ended, "failed": one.failed,
                 "best": one.best and dict(one.best.values), "val_accuracy": one.best and one.best.val_accuracy}
                for one in plan.tunings
            ],
        },
    }  # fmt: skip


def _design_lines(study: Study) -> Iterator[str]:
    """The design, and which effects and cells it leaves out."""
    yield f"{study.design.name}: {study.description}"
    yield from study.details
    if study.aliases is not None:
        yield f"aliases: {'; '.join(study.aliases.aliased) or 'none'}"
        yield f"main effects and two-factor interactions without alias: {', '.join(study.aliases.clear) or 'none'}"
    yield from (f"tied levels: {factor.name}" for factor in study.factors if factor.parts)
    yield from (f"only: {spec.reason}" for spec in study.grid.only)


def _alias_table(study: Study) -> dict[str, Any] | None:
    aliases = study.aliases
    if aliases is None:
        return None
    return {
        "letters": aliases.letters, "generators": aliases.generators, "defining_relation": aliases.relation,
        "resolution": aliases.resolution, "combinations": aliases.cells, "product": study.product,
        "aliased": aliases.aliased, "clear": aliases.clear,
    }  # fmt: skip


def _claim(outlook: Outlook) -> dict[str, Any]:
    region = outlook.supported
    ends = [end if math.isfinite(end) else None for end in (region.low, region.high)] if region else None
    return {
        "claim": outlook.claim.claim,
        "kind": outlook.claim.kind,
        "verdict": outlook.verdict,
        "replicates": outlook.replicates,
        "sd": outlook.sd,
        "supported_if": {"low": ends[0], "high": ends[1], "between": region.inside} if region and ends else None,
    }


def show(plan: Plan, console: Console) -> None:
    """The plan for people."""
    study = plan.study
    console.print(f"[bold]{escape(study.name)}[/]  {escape(study.grid.question)}")
    for line in _design_lines(study):
        console.print(escape(line), highlight=False)
    table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    table.add_column("cell", overflow="fold", ratio=1)
    for name in ("params", "active", "MACs", "active MACs", "done"):
        table.add_column(name, justify="right", no_wrap=True)
    rows = [item for item in plan.cells if item.cell.excluded is None]
    for item in rows[:MAX_ROWS]:
        table.add_row(*_row(item))
    console.print(table)
    if len(rows) > MAX_ROWS:
        console.print(f"and {len(rows) - MAX_ROWS:,} more cells; --json lists them all")
    for line in _excluded(plan):
        console.print(f"[dim]excluded: {escape(line)}[/]")
    for outlook in plan.outlooks:
        console.print(f"claim: {escape(str(outlook))}", highlight=False)
    if told := unknown(plan.outlooks):
        console.print(told, highlight=False)
    console.print(summary(plan))


def _excluded(plan: Plan) -> Iterator[str]:
    """The cells left out and why; where many share a reason, how many and the first."""
    by_reason: dict[str, list[str]] = {}
    for item in plan.cells:
        if item.cell.excluded is not None:
            by_reason.setdefault(item.cell.excluded, []).append(item.cell.name)
    for reason, names in by_reason.items():
        if len(names) > MAX_NAMED:
            yield f"{len(names):,} cells, the first {names[0]}: {reason}"
        else:
            yield from (f"{name}: {reason}" for name in names)


def _row(item: CellPlan) -> list[str]:
    numbers = [getattr(item.size, name) for name in SIZES] if item.size else []
    done = f"{item.done}/{item.wanted}"
    return [escape(item.cell.name), *map(short, numbers), f"[green]{done}[/]" if item.done == item.wanted else done]


def summary(plan: Plan) -> str:
    """One or two lines: cells, trials, distinct stages, what is done."""
    cells = [item for item in plan.cells if item.cell.excluded is None]
    kinds = Counter(stage.kind for stage in plan.stages)
    text = (
        f"{plural(len(cells), 'cell')} x {_replicates(plan)}; {plural(len(plan.stages), 'stage')} "
        f"({plural(kinds['pretrain'], 'pre-training')}, {plural(kinds['finetune'], 'fine-tuning')}), "
    )
    shared = plan.uses - len(plan.stages)
    text += f"{shared} more saved by sharing; " if shared else ""
    text += f"{len(plan.done)} done, {len(plan.missing)} to run"
    return f"{text}\n{_tuning_summary(plan)}" if plan.study.space else text


def _tuning_summary(plan: Plan) -> str:
    assert plan.study.space is not None
    budget, number, searches = plan.study.space.budget, len(plan.study.included), plan.study.space.searches
    failed = sum(one.failed for one in plan.tunings)
    _, waiting = tuning_state.num_remaining(plan.study, plan.tunings)
    text = (
        f"search: {budget} trials; " if searches else f"tuning: {number} cells x {budget} trials = {number * budget}; "
    )
    text += f"{number * budget - plan.tuning_left} ended{f' ({failed} failed)' if failed else ''}, "
    text += f"{plan.tuning_left} to run"
    text += f"; {waiting} replicates are known once their cells are tuned" if waiting else ""
    if plan.study.space.early_stopping:
        rungs = ", ".join(map(str, plan.study.space.early_stopping.rungs))
        text += f"; those that fall behind are stopped after epoch {rungs}"
    all_failed = sum(one.all_failed for one in plan.tunings)
    if all_failed and searches:
        return f"{text}; no trial succeeded, and they are tried again"
    return text + (f"; {all_failed} cells have no trial that succeeded, and are tuned again" if all_failed else "")


def _replicates(plan: Plan) -> str:
    """As in `5 replicates = 20 trials`, or `3 to 10 replicates, now 12 trials`."""
    adaptive = plan.study.grid.adaptive
    _, waiting = tuning_state.num_remaining(plan.study, plan.tunings)
    trials = plural(len(plan.trials) + waiting, "trial")
    if adaptive is None:
        return f"{plural(plan.study.grid.least_replicates, 'replicate')} = {trials}"
    return f"{adaptive.min} to {adaptive.max} replicates, now {trials}"


def short(number: int) -> str:
    """Three significant digits with k, M or G."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= limit:
            return f"{number / limit:#.3g}".rstrip(".") + unit
    return str(number)
