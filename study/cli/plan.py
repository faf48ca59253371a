"""The output of `plan`: a table, or JSON."""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from rich.console import Console

from study.analysis import registration_cost
from study.cli import look_lines
from study.cli.cell_table import cell_table
from study.cli.claim_notes import claim_notes, contrast_notes
from study.cli.notices import show_notices
from study.design import claim_wording
from study.design.claim_kinds.claim_kind import Region
from study.design.comparison import labels_by_factor
from study.design.metrics import unit_of
from study.design.registration import sentence
from study.design.search_space import Space
from study.design.study import Study
from study.planning import tuning_state
from study.planning.claim_power import ClaimPower
from study.planning.claim_registration import history, present
from study.planning.notices import notices
from study.planning.plan import CellPlan, Plan, how_data_are_read
from study.planning.replicated import Original
from study.planning.state import StudyState
from study.utils.escape import terminal as escape
from study.utils.text import plural
from study.vit import subject

if TYPE_CHECKING:
    from study.analysis.stats.forecast import Spread

SIZES = [field.name for field in fields(subject.ModelSize)]
COLUMNS = ("params", "active", "MACs", "active MACs", "done")
LEAVE_OUT = ("active MACs", "active", "MACs", "params")  # on a narrow terminal, in this order
MAX_ROWS = 200  # of the table
MAX_NAMED = 10  # cells excluded for the same reason


def as_json(plan: Plan) -> dict[str, Any]:
    """The plan for programs."""
    study = plan.study
    now, entries = present(plan.state), history(study, plan.state.store)
    return {
        "notices": notices(plan.state),
        "study": study.name,
        "question": study.grid.question,
        "replication": plan.original and {"of": plan.original.name, "shared_stages": plan.original.shared},
        "design": study.design.name,
        "aliases": _alias_table(study),
        "sample": study.sample and {**study.sample.model_dump(), "product": study.product},
        "paired": [[part.name for part in factor.parts] for factor in study.factors if factor.parts],
        "only": [spec.reason for spec in study.grid.only],
        "replicates": study.grid.model_dump(mode="json")["replicates"],
        "resample": list(study.grid.resample),
        "claims": [
            _claim(power, judged, notes)
            for power, judged, notes in zip(plan.claims, judged_as(study), claim_notes(study), strict=True)
        ],
        "compare": estimated_as(study),
        "compare_notes": contrast_notes(study),
        "registration": sentence(now, entries),
        "registration_cost": registration_cost.sentences(now, entries),
        **look_lines.as_json(plan),
        "data": how_data_are_read(study),
        "trials": len(plan.trials),
        "stages": [
            {"key": stage.key, "stage": stage.kind, "parent": stage.parent.key if stage.parent else None,
             "dataset": stage.dataset, "seed": stage.seed, "done": stage.key in plan.done}
            for stage in plan.stages
        ],
        "cells": [
            {"cell": item.cell.name, "levels": dict(item.cell.labels), "excluded": item.cell.excluded,
             **{name: item.size and getattr(item.size, name) for name in SIZES},
             "done": item.done, "trials": item.trials}
            for item in plan.cells
        ],
        "tuning": study.space and _tuning(plan, study.space),
    }  # fmt: skip


def _tuning(plan: Plan, space: Space) -> dict[str, Any]:
    return {
        "budget": space.budget,
        "tunings": space.tunings,
        "to_run": plan.tuning_left,
        "cells": [
            {"cell": one.cell.name, "replicate": one.replicate or None, "key": one.key,
             "ended": one.ended, "failed": one.failed,
             "best": one.best and dict(one.best.values), "val_accuracy": one.best and one.best.val_accuracy}
            for one in plan.tunings
        ],
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


def judged_as(study: Study) -> list[str]:
    """Each claim as it will be judged: the cells compared, and when it holds."""
    cells = {tuple(cell.labels.values()): cell.name for cell in study.included}
    factors = labels_by_factor(study.factors)
    return [claim_wording.echo(claim, factors, cells, study.grid.adaptive) for claim in study.grid.claims]


def estimated_as(study: Study) -> list[str]:
    """Each contrast of `compare` as it will be estimated."""
    factors = labels_by_factor(study.factors)
    return [claim_wording.echo_contrast(spec, factors) for spec in study.grid.compare]


def show_claims(study: Study, lines: list[str], console: Console) -> None:
    """Print each claim, numbered, and below it how it will be judged; then the contrasts. `lines` has the claims."""
    claims = zip(lines, judged_as(study), claim_notes(study), strict=True)
    for number, (line, judged, notes) in enumerate(claims, start=1):
        _show_with(f"claim {number}: {line}", [judged, *notes], console)
    for line, notes in zip(estimated_as(study), contrast_notes(study), strict=True):
        _show_with(f"compare: {line}", notes, console)


def _show_with(line: str, notes: list[str], console: Console) -> None:
    console.print(escape(line), highlight=False)
    for note in notes:
        console.print(f"  {escape(note)}", highlight=False)


def show_registration(state: StudyState, console: Console) -> None:
    """Print when the claims were registered. Raises StudyError if their record is damaged."""
    now, entries = present(state), history(state.study, state.store)
    if written := sentence(now, entries):
        console.print(f"{written[0].upper()}{written[1:]}.", highlight=False)
    if cost := registration_cost.sentences(now, entries):
        console.print(" ".join(cost), highlight=False)


def _claim(power: ClaimPower, judged: str, notes: list[str]) -> dict[str, Any]:
    supported = [_region(region) for region in power.supported] or [None] * 3
    return {
        "claim": power.claim.claim,
        "kind": power.claim.kind,
        "judged": judged,
        "notes": notes,
        "verdict": power.verdict,
        "difference": power.exact,
        "replicates": power.replicates,
        "sd": power.spread and power.spread.sd,
        "sd_interval": power.spread and [power.spread.low, power.spread.high],
        "supported_if": supported[1],
        "supported_if_interval": [supported[0], supported[2]],
    }


def _region(region: Region | None) -> dict[str, Any] | None:
    if region is None:
        return None
    low, high = (end if math.isfinite(end) else None for end in (region.low, region.high))
    return {"low": low, "high": high, "between": region.inside}


def show(plan: Plan, console: Console) -> None:
    """Print the plan as a table, after the notices."""
    study = plan.study
    show_notices(plan.state, console)
    console.print(f"[bold]{escape(study.name)}[/]  {escape(study.grid.question)}")
    for line in _design_lines(study):
        console.print(escape(line), highlight=False)
    if plan.original is not None:
        console.print(escape(_replication(plan.original)), highlight=False)
    for line in how_data_are_read(study):
        console.print(f"data: {escape(line)}", highlight=False)
    rows = [item for item in plan.cells if item.cell.excluded is None]
    console.print(cell_table(console, COLUMNS, [_row(item) for item in rows[:MAX_ROWS]], LEAVE_OUT))
    if len(rows) > MAX_ROWS:
        console.print(f"and {plural(len(rows) - MAX_ROWS, 'more cell')}; --json lists them all")
    for line in _excluded(plan):
        console.print(f"[dim]excluded: {escape(line)}[/]")
    show_claims(study, [claim_line(power) for power in plan.claims], console)
    show_registration(plan.state, console)
    if note := missing_estimates(plan.claims):
        console.print(note, highlight=False)
    for line in look_lines.lines(plan):
        console.print(escape(line), highlight=False)
    for warning in look_lines.warnings(plan):
        console.print(f"[yellow]warning:[/] {escape(warning)}", highlight=False)
    console.print(summary(plan))


def _replication(found: Original) -> str:
    """That nothing of the original is used, or what is."""
    if found.shared:
        return f"replication of {found.name}, with which it shares {plural(found.shared, 'stage')}"
    return f"replication of {found.name} with new seeds: no stage is shared with it, pre-training included"


def _excluded(plan: Plan) -> Iterator[str]:
    """The excluded cells with their reasons; where many share a reason, their number and the first."""
    by_reason: dict[str, list[str]] = {}
    for item in plan.cells:
        if item.cell.excluded is not None:
            by_reason.setdefault(item.cell.excluded, []).append(item.cell.name)
    for reason, names in by_reason.items():
        if len(names) > MAX_NAMED:
            yield f"{plural(len(names), 'cell')}, the first {names[0]}: {reason}"
        else:
            yield from (f"{name}: {reason}" for name in names)


def _row(item: CellPlan) -> list[str]:
    numbers = [getattr(item.size, name) for name in SIZES] if item.size else []
    done = f"{item.done}/{item.trials}"
    sizes = [*map(short, numbers)] or [""] * len(SIZES)
    return [escape(item.cell.name), *sizes, f"[green]{done}[/]" if item.done == item.trials else done]


def summary(plan: Plan) -> str:
    """One or two lines: cells, trials, distinct stages, how many are done."""
    cells = [item for item in plan.cells if item.cell.excluded is None]
    kinds = Counter(stage.kind for stage in plan.stages)
    text = (
        f"{plural(len(cells), 'cell')} x {_replicates(plan)}; {plural(len(plan.stages), 'stage')} "
        f"({plural(kinds['pretrain'], 'pre-training')}, {plural(kinds['finetune'], 'fine-tuning')}), "
    )
    shared = plan.uses - len(plan.stages)
    text += f"{shared} more avoided by sharing; " if shared else ""
    text += f"{len(plan.done)} done, {len(plan.missing)} to run"
    return f"{text}\n{_tuning_summary(plan)}" if plan.study.space else text


def _tuning_summary(plan: Plan) -> str:
    assert plan.study.space is not None
    budget, number, searches = plan.study.space.budget, tuning_state.num_tunings(plan.study), plan.study.space.searches
    failed = sum(one.failed for one in plan.tunings)
    _, waiting = tuning_state.num_remaining(plan.study, plan.tunings)
    trials = plural(budget, "trial")
    text = f"search: {trials}; " if searches else f"tuning: {_tunings(plan.study)} x {trials} = {number * budget}; "
    text += f"{number * budget - plan.tuning_left} ended{f' ({failed} failed)' if failed else ''}, "
    text += f"{plan.tuning_left} to run"
    text += f"; then {plural(waiting, 'replicate')} of the tuned cells" if waiting else ""
    if plan.study.space.early_stopping:
        rungs = ", ".join(map(str, plan.study.space.early_stopping.rungs))
        text += f"; early stopping after epochs {rungs}"
    failed_cells = sum(one.all_failed for one in plan.tunings)
    if failed_cells and searches:
        return f"{text}; no trial succeeded, all are retried"
    return text + (
        f"; {plural(failed_cells, 'cell')} without a successful trial will be tuned again" if failed_cells else ""
    )


def _tunings(study: Study) -> str:
    """As in `4 cells`, or `4 cells x 3 replicates`."""
    cells = plural(len(study.included), "cell")
    each = study.space.tunings if study.space else 1
    return cells if each == 1 else f"{cells} x {plural(each, 'replicate')}"


def _replicates(plan: Plan) -> str:
    """As in `5 replicates = 20 trials`, or `3 to 10 replicates, now 12 trials`."""
    adaptive = plan.study.grid.adaptive
    _, waiting = tuning_state.num_remaining(plan.study, plan.tunings)
    trials = plural(len(plan.trials) + waiting, "trial")
    if adaptive is None:
        return f"{plural(plan.study.grid.least_replicates, 'replicate')} = {trials}"
    return f"{adaptive.min} to {plural(adaptive.max, 'replicate')}, now {trials}"


def claim_line(power: ClaimPower) -> str:
    """A claim with its verdict, or with what the planned replicates can decide of it."""
    if power.exact is not None:
        return f"{power.claim.claim}: {power.verdict}; the difference is {_difference(power.exact, power.claim.metric)}"
    if power.decided:
        return f"{power.claim.claim}: {power.verdict}"
    return f"{power.claim.claim}: {_power(power, power.spread)}" if power.spread else power.claim.claim


def missing_estimates(powers: list[ClaimPower]) -> str:
    """One note on all claims without a power estimate; empty where every claim has one."""
    count = sum(power.claim.by_replicate and power.spread is None and not power.decided for power in powers)
    if not count:
        return ""
    which = "" if count == len(powers) else f" for {count} of these claims"
    return f"power estimates{which} appear after two replicates"


def _power(power: ClaimPower, spread: "Spread") -> str:
    """What the replicates can decide over the interval of the SD."""
    assert power.freedom is not None
    metric, replicates = power.claim.metric, plural(power.replicates, "replicate")
    test, name = power.freedom.test, "SD"
    so_far = f"{power.verdict}; " if power.verdict else ""
    ends = spread.ends
    if power.freedom.crossed is not None:  # an SD over replicates would hide that images do not become more
        name, ends = "standard error", power.freedom.standard_errors(spread.ends, power.replicates)
    low, sd, high = (_difference(end, metric).lstrip("+") for end in ends)
    least, _, most = power.supported
    if least is None:
        return (
            f"{so_far}{replicates} cannot support it with 80% power ({test}, {name} {sd}, 80% interval {low} to {high})"
        )
    worst = f" or {_condition(most, metric)} ({name} {high})" if most else f", and for no difference at {name} {high}"
    return (
        f"{so_far}80% power with {replicates} ({test}) if the true difference {_condition(least, metric)} "
        f"({name} {low}){worst}: the {name} is {sd}, and these are the ends of its 80% interval"
    )


def _condition(region: Region, metric: str) -> str:
    """As in `exceeds +0.50 points`."""
    low, high = (_difference(end, metric) for end in (region.low, region.high))
    if math.isfinite(region.low) and math.isfinite(region.high):
        return f"is between {low} and {high}" if region.inside else f"is below {low} or above {high}"
    return f"exceeds {low}" if math.isfinite(region.low) else f"is below {high}"


def _difference(number: float, metric: str) -> str:
    unit = unit_of(metric)
    return f"{unit.signed(number)} {unit.name}"


def short(number: int) -> str:
    """Three significant digits with k, M or G."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= limit:
            return f"{number / limit:#.3g}".rstrip(".") + unit
    return str(number)
