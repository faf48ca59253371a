"""From the store to tables; nothing is trained, drawn or written here."""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from study.analysis.facts import CellFacts, FactorFacts, LevelFacts, Origin, ParameterFacts, StudyFacts, TuningFacts
from study.analysis.results import (
    DEVICE_KINDS,
    HISTORY_KINDS,
    LOAD_KINDS,
    TRIAL_KINDS,
    TUNING_KINDS,
    Results,
    table,
    tuning_kinds,
)
from study.design.overrides import InvalidError
from study.design.search_space import Parameter
from study.design.stages import Stage
from study.design.study import Cell, Study, Trial, replicate_seed
from study.planning.state import StudyState
from study.planning.tuning_state import Tuning, TuningTrial
from study.report.design_notes import design_facts
from study.store import exported_models
from study.store.results import CorruptError, Result, Store
from study.utils.canonical_json import canonical_json
from study.utils.text import plural
from study.vit import subject

MODELINE = "# yaml-language-server:"

Row = dict[str, object]


def collect(state: StudyState, run_ids: Mapping[str, str] | None = None) -> Results:
    """All results of a study. `run_ids` maps a stage's key to its MLflow run."""
    study, shelf = state.study, _Shelf.of(state)
    rows = _trial_rows(study, shelf, run_ids or {})
    facts = _facts(study, shelf)
    tried = list(_tuning_rows(shelf, run_ids or {}))
    kinds = {**TRIAL_KINDS, **{factor.name: "str" for factor in study.factors}}
    return Results(
        facts=facts,
        trials=table(rows, kinds),
        history=table(list(_history_rows(shelf)), HISTORY_KINDS),
        expert_load=table(list(_load_rows(shelf)), LOAD_KINDS),
        grid=_without_modeline(study.source.text),
        tuning=table(tried, tuning_kinds(facts.tuning) if facts.tuning else TUNING_KINDS),
        device=table(list(_device_rows(shelf)), DEVICE_KINDS),
    )


def _without_modeline(text: str) -> str:
    """A grid without the line with the path of its schema, which is wrong for the copy in the report."""
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith(MODELINE))


@dataclass(frozen=True)
class _Shelf:
    """The stages of a study, each read once."""

    state: StudyState
    tuning_results: Mapping[str, Result]  # of tuning trials, by key
    found: Mapping[str, Result]  # key -> result
    errors: Mapping[str, str]  # key -> first line of the error, for stages without a result

    @classmethod
    def of(cls, state: StudyState) -> "_Shelf":
        store = state.store
        found: dict[str, Result] = {}
        errors: dict[str, str] = {}
        for stage in state.stages.values():
            try:
                result, error = store.find(stage), store.failure(stage)
            except CorruptError as damage:
                result, error = None, str(damage)
            if result is not None:
                found[stage.key] = result
            elif error is not None:
                errors[stage.key] = next(iter(error.strip().splitlines()), "no message")
        tried = {stage.key: stage for trial in state.tuning_trials for stage in state.stages_of(trial)}
        results = {key: result for key, stage in tried.items() if (result := _read(store, stage))}
        return cls(state, results, found, errors)

    @cached_property
    def finished(self) -> list[tuple[Stage, Result]]:
        return [(stage, self.found[key]) for key, stage in self.state.stages.items() if key in self.found]

    def status(self, trial: Trial) -> tuple[str, str]:
        """A trial's status and the reason for it: that of its fine-tuning, or of the pre-training it waits for."""
        *parents, last = self.state.stages_of(trial)
        if last.key in self.found:
            return "done", ""
        for parent in parents:
            if parent.key in self.errors and parent.key not in self.found:
                return "failed", f"pre-training failed: {self.errors[parent.key]}"
        if last.key in self.errors:
            return "failed", self.errors[last.key]
        waits = any(parent.key not in self.found for parent in parents)
        return "missing", "its pre-training has not been run" if waits else "has not been run"


def _read(store: Store, stage: Stage) -> Result | None:
    try:
        return store.find(stage)
    except CorruptError:  # the record of the tuning has its validation accuracy
        return None


def _trial_rows(study: Study, shelf: _Shelf, run_ids: Mapping[str, str]) -> list[Row]:
    """In order of cells, then replicates."""
    of_cell: dict[str, list[Row]] = {cell.name: [] for cell in study.cells}
    for trial in shelf.state.trials:
        of_cell[trial.cell.name].append(_trial_row(trial, shelf, run_ids))
    for one in shelf.state.tunings if study.space and not study.space.searches else ():
        of_cell[one.cell.name] = of_cell[one.cell.name] or list(_untuned_rows(study, one))
    for cell in study.cells:
        if cell.excluded is not None:
            of_cell[cell.name] = [{"status": "excluded", "reason": cell.excluded}]
    return [
        {"study": study.name, "cell": cell.name, **cell.labels, **row}
        for cell in study.cells
        for row in of_cell[cell.name]
    ]


def _trial_row(trial: Trial, shelf: _Shelf, run_ids: Mapping[str, str]) -> Row:
    *parents, last = shelf.state.stages_of(trial)
    status, reason = shelf.status(trial)
    row: Row = {"replicate": trial.replicate, "seed": trial.seed, "status": status, "reason": reason}
    row |= {"key": last.key, "run_id": run_ids.get(last.key, "")}
    for parent in parents:
        row["pretrain_key"] = parent.key
        if (pretrained := shelf.found.get(parent.key)) is not None:
            row["pretrain_seconds"] = pretrained.metrics.get("train_seconds")
    if (result := shelf.found.get(last.key)) is not None:
        row |= {name: result.metrics.get(name) for name in ("test_accuracy", "val_accuracy", "train_seconds")}
        row |= {name: result.facts.get(name) for name in ("params", "params_active", "macs", "macs_active")}
        row |= {name: str(result.provenance.get(name, "")) for name in ("device", "commit")}
    return row


def _untuned_rows(study: Study, one: Tuning) -> Iterator[Row]:
    """Replicates that cannot run before their tuning is finished."""
    status, reason = "missing", f"its tuning is not finished ({one.ended} of {plural(one.space.budget, 'trial')})"
    if one.all_failed:
        status, reason = (
            "failed",
            f"no tuning trial of {one.space.budget} succeeded; last error: {one.trials[-1].error}",
        )
    for replicate in range(1, study.grid.least_replicates + 1):
        seed = replicate_seed(study.grid.seed, replicate)
        yield {"replicate": replicate, "seed": seed, "status": status, "reason": reason}


def _tuning_rows(shelf: _Shelf, run_ids: Mapping[str, str]) -> Iterator[Row]:
    for one in shelf.state.tunings:
        for tried in one.within_budget:
            row: Row = {"cell": one.cell.name, "trial": tried.number, "status": tried.status, "reason": tried.error}
            row |= {"best": "yes" if one.best is tried else "", "val_accuracy": tried.val_accuracy}
            if tried.status == "stopped":
                row |= {"epochs": tried.epochs, "reason": "pruned by early stopping"}
            row |= {name: json.dumps(value) for name, value in tried.values.items()}
            with contextlib.suppress(InvalidError):  # values that do not go together were never a stage
                row["key"] = key = shelf.state.stages_of(one.trial(tried))[-1].key
                row["run_id"] = run_ids.get(key, "")
                if key in shelf.tuning_results and tried.status == "done":
                    row |= _tried_row(one, tried, shelf.tuning_results[key])
            yield row


def _tried_row(one: Tuning, tried: TuningTrial, result: Result) -> Row:
    """Numbers of a tuning trial from its result; test accuracies only for a search, whose trials are its results."""
    row: Row = {"train_seconds": result.metrics.get("train_seconds")}
    if one.space.searches:
        row["epochs"] = len(result.history)
        row |= {"test_accuracy": result.metrics.get("test_accuracy"), "latency": tried.costs.get("latency")}
        row |= {name: result.facts.get(name) for name in ("params", "macs")}
    return row


def _history_rows(shelf: _Shelf) -> Iterator[Row]:
    for stage, result in shelf.finished:
        for epoch in result.history:
            yield {"stage": stage.kind, "key": stage.key, **epoch}


def _load_rows(shelf: _Shelf) -> Iterator[Row]:
    for stage, result in shelf.finished:
        for block, shares in enumerate(result.expert_load, start=1):
            for expert, share in enumerate(shares, start=1):
                yield {"stage": stage.kind, "key": stage.key, "block": block, "expert": expert, "share": share}


def _device_rows(shelf: _Shelf) -> Iterator[Row]:
    """Of each cell the first replicate whose model was exported."""
    store = shelf.state.store
    exported, seen = exported_models.keys(store), set()
    for trial in shelf.state.trials:
        stage = shelf.state.stages_of(trial)[-1]
        if trial.cell.name in seen or stage.key not in exported or stage.key not in shelf.found:
            continue
        if (found := exported_models.read(store, stage)) is not None:
            seen.add(trial.cell.name)
            yield {
                "cell": trial.cell.name,
                "key": stage.key,
                "tolerance": found.tolerance,
                "fp32_bytes": found.fp32.file_bytes,
                "int8_bytes": found.int8.file_bytes,
                "fp32_ms": found.fp32.milliseconds,
                "int8_ms": found.int8.milliseconds,
                "fp32_accuracy": found.fp32.val_accuracy,
                "int8_accuracy": found.int8.val_accuracy,
                "processor": str(found.provenance.get("device", "")),
                "commit": str(found.provenance.get("commit", "")),
                "measured": str(found.provenance.get("finished", "")),
            }


def _facts(study: Study, shelf: _Shelf) -> StudyFacts:
    assert study.baseline.settings is not None, "a study's baseline is always valid"
    return StudyFacts(
        study=study.name,
        question=study.grid.question,
        **design_facts(study),
        replicates=study.grid.least_replicates,
        replicates_until=study.grid.adaptive and study.grid.adaptive.max,
        seed=study.grid.seed,
        grid=_shown_path(study.path),
        factors=tuple(
            FactorFacts(
                name=factor.name,
                levels=tuple(LevelFacts(label=level.label, fields=dict(level.fields)) for level in factor.levels),
            )
            for factor in study.factors
        ),
        cells=tuple(_cell_facts(cell) for cell in study.cells),
        baseline=study.baseline.settings.model_dump(mode="json"),
        origins=tuple(_origins(shelf)),
        claims=tuple(study.grid.claims),
        tuning=_tuning_facts(study, shelf),
    )


def _tuning_facts(study: Study, shelf: _Shelf) -> TuningFacts | None:
    if study.space is None:
        return None
    parameters = tuple(_parameter_facts(parameter, study) for parameter in study.space.parameters)
    importances = shelf.state.tunings[0].importances
    return TuningFacts(
        budget=study.space.budget,
        warm_start=study.space.warm_start,
        parameters=parameters,
        searches=study.space.searches,
        objectives=study.space.objectives,
        sampler=study.space.sampler,
        rungs=tuple(study.space.early_stopping.rungs) if study.space.early_stopping else (),
        importances=importances.shares,
        unavailable_importances=importances.unavailable,
    )


def _parameter_facts(parameter: Parameter, study: Study) -> ParameterFacts:
    cells = [cell.settings for cell in study.included if cell.settings and parameter.belongs_to(cell.settings)]
    below, above = parameter.beyond(cells[0]) if cells else (False, False)
    return ParameterFacts(
        name=parameter.name,
        low=parameter.low,
        high=parameter.high,
        log=parameter.log,
        choices=parameter.choices,
        opens_below=below,
        opens_above=above,
    )


def _cell_facts(cell: Cell) -> CellFacts:
    stages = subject.stages_of(cell.settings) if cell.settings else ()
    besides = None
    if cell.settings is not None:
        text = canonical_json(subject.without_pretraining(cell.settings))
        besides = hashlib.sha256(text.encode()).hexdigest()[:12]
    return CellFacts(
        name=cell.name,
        labels=dict(cell.labels),
        changed=cell.changed,
        excluded=cell.excluded,
        pretrain_dataset=stages[0].dataset if len(stages) > 1 else None,
        finetune_dataset=stages[-1].dataset if stages else None,
        besides_pretraining=besides,
    )


def _origins(shelf: _Shelf) -> Iterator[Origin]:
    """Finished stages grouped by provenance, the earliest first."""
    users: dict[str, dict[str, None]] = {}
    for trial in shelf.state.trials:
        for stage in shelf.state.stages_of(trial):
            users.setdefault(stage.key, {})[trial.cell.name] = None
    groups: dict[str, list[tuple[Stage, Result]]] = {}
    for stage, result in shelf.finished:
        place = [result.provenance.get(name) for name in ("commit", "device", "platform", "threads", "versions")]
        groups.setdefault(canonical_json(place), []).append((stage, result))
    origins = [_origin(group, users) for group in groups.values()]
    yield from sorted(origins, key=lambda origin: (origin.first, origin.commit))


def _origin(group: list[tuple[Stage, Result]], users: Mapping[str, Iterable[str]]) -> Origin:
    place = group[0][1].provenance
    results = [result for _, result in group]
    threads = place.get("threads")
    return Origin(
        commit=str(place.get("commit", "unknown")),
        device=str(place.get("device", "unknown")),
        platform=str(place.get("platform", "")),
        threads=int(threads) if threads is not None else None,
        versions={str(name): str(version) for name, version in (place.get("versions") or {}).items()},
        stages=len(group),
        seconds=sum(float(result.metrics.get("train_seconds", 0.0)) for result in results),
        first=min(str(result.provenance.get("started", "")) for result in results),
        last=max(str(result.provenance.get("finished", "")) for result in results),
        cells=tuple(dict.fromkeys(cell for stage, _ in group for cell in users[stage.key])),
    )


def _shown_path(path: Path) -> str:
    """Relative to the working directory, so that a committed report has no absolute path."""
    relative = Path(os.path.relpath(path.resolve()))
    return path.name if ".." in relative.parts else relative.as_posix()
