"""Reads a study's results from the store into tables. Trains, draws and writes nothing."""

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from study.analysis.facts import (
    BudgetFacts,
    FailedLook,
    Origin,
    ParameterFacts,
    ReplicationFacts,
    StudyFacts,
    TuningFacts,
)
from study.analysis.predictions import Predicted
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
from study.design.study import Study, Trial, replicate_seed
from study.planning.budget import budget_of
from study.planning.claim_registration import history
from study.planning.failed_looks import failed_at
from study.planning.notices import notices
from study.planning.other_data import OTHER_DATA
from study.planning.replicated import original
from study.planning.state import StudyState
from study.planning.tuning_state import Tuning, TuningTrial
from study.report import coverage
from study.report.cell_facts import cell_facts, factor_facts
from study.report.design_notes import design_facts
from study.store import exported_models
from study.store.predictions import Predictions
from study.store.results import Failure, Result, Store, UnusableError
from study.utils.canonical_json import canonical_json
from study.utils.errors import StudyError
from study.utils.text import plural, readable
from study.vit import subject

DIGEST_DIGITS = 12  # of the code
PLACE = (  # of an origin, by name in a store
    *("commit", "study", "code", "device", "platform", "instruction_set", "blas", "threads", "versions"),
)
MODELINE = "# yaml-language-server:"

Row = dict[str, object]


def collect(state: StudyState, run_ids: Mapping[str, str] | None = None) -> Results:
    """All results of a study. `run_ids` maps a stage's key to its MLflow run."""
    study, stored = state.study, _Stored.of(state)
    rows = _trial_rows(study, stored, run_ids or {})
    facts = _facts(study, stored)
    tuning_rows = list(_tuning_rows(stored, run_ids or {}))
    kinds = {**TRIAL_KINDS, **{factor.name: "str" for factor in study.factors}}
    return Results(
        facts=facts,
        trials=table(rows, kinds),
        history=table(list(_history_rows(stored)), HISTORY_KINDS),
        expert_load=table(list(_load_rows(stored)), LOAD_KINDS),
        grid=_without_modeline(study.source.text),
        tuning=table(tuning_rows, tuning_kinds(facts.tuning) if facts.tuning else TUNING_KINDS),
        device=table(list(_device_rows(stored)), DEVICE_KINDS),
        predictions=tuple(_predictions(stored)),
    )


def _without_modeline(text: str) -> str:
    """The grid without its schema line, whose relative path is wrong in the report's copy."""
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith(MODELINE))


@dataclass(frozen=True)
class _Stored:
    """The stored results and failures of a study; each is read once."""

    state: StudyState
    tuning_results: Mapping[str, Result]  # of tuning trials, by key
    found: Mapping[str, Result]  # key -> result
    failures: Mapping[str, Failure]  # key -> the last failure, for stages without a result

    @classmethod
    def of(cls, state: StudyState) -> "_Stored":
        store = state.store
        found: dict[str, Result] = {}
        failures: dict[str, Failure] = {}
        for stage in state.stages.values():
            if stage.key in state.other_data.excluded:
                continue
            try:
                result, failure = store.find(stage), store.last_failure(stage)
            except UnusableError as unusable:
                # without its path: reports are read on other machines
                result, failure = None, Failure(f"stored result cannot be used: {unusable.problem}")
            if result is not None:
                found[stage.key] = result
            elif failure is not None:
                failures[stage.key] = failure
        tuning_stages = {stage.key: stage for trial in state.tuning_trials for stage in state.stages_of(trial)}
        results = {key: result for key, stage in tuning_stages.items() if (result := _read(store, stage))}
        return cls(state, results, found, failures)

    @cached_property
    def finished(self) -> list[tuple[Stage, Result]]:
        return [(stage, self.found[key]) for key, stage in self.state.stages.items() if key in self.found]

    def status(self, trial: Trial) -> tuple[str, str]:
        """A trial's status (done, failed, missing or other data) and the reason, which may be its pre-training."""
        *parents, last = stages = self.state.stages_of(trial)
        if (reason := self.state.other_data.reason(stages)) and last.key in self.state.stored:
            return ("done", f"used, but {reason}") if self.state.other_data.accepted else (OTHER_DATA, reason)
        if last.key in self.found:
            return "done", ""
        for parent in parents:
            if parent.key in self.failures:
                return "failed", f"pre-training failed: {self.failures[parent.key].first_line}"
        if last.key in self.failures:
            return "failed", self.failures[last.key].first_line
        waiting = any(parent.key not in self.found for parent in parents)
        return "missing", "its pre-training has not been run" if waiting else "has not been run"


def _read(store: Store, stage: Stage) -> Result | None:
    try:
        return store.find(stage)
    except UnusableError:  # its validation accuracy is in the tuning record
        return None


def _trial_rows(study: Study, stored: _Stored, run_ids: Mapping[str, str]) -> list[Row]:
    """In order of cells, then replicates."""
    of_cell: dict[str, list[Row]] = {cell.name: [] for cell in study.cells}
    for trial in stored.state.trials:
        of_cell[trial.cell.name].append(_trial_row(trial, stored, run_ids))
    for tuning in stored.state.tunings if study.space and not study.space.searches else ():
        if tuning.best_settings is None:
            of_cell[tuning.cell.name].extend(_untuned_rows(study, tuning))
    for cell in study.cells:
        if cell.excluded is not None:
            of_cell[cell.name] = [{"status": "excluded", "reason": cell.excluded}]
    return [
        {"study": study.name, "cell": cell.name, **cell.labels, **row}
        for cell in study.cells
        for row in sorted(of_cell[cell.name], key=_replicate)
    ]


def _replicate(row: Row) -> int:
    found = row.get("replicate")
    return found if isinstance(found, int) else 0


def _trial_row(trial: Trial, stored: _Stored, run_ids: Mapping[str, str]) -> Row:
    *parents, last = stored.state.stages_of(trial)
    status, reason = stored.status(trial)
    row: Row = {"replicate": trial.replicate, "seed": trial.seed, "status": status, "reason": reason}
    row |= {"key": last.key, "run_id": run_ids.get(last.key, "")}
    for parent in parents:
        row["pretrain_key"] = parent.key
        if (pretrained := stored.found.get(parent.key)) is not None:
            row["pretrain_seconds"] = pretrained.metrics.get("train_seconds")
    if status == "done" and (result := stored.found.get(last.key)) is not None:
        row |= {name: result.metrics.get(name) for name in ("test_accuracy", "val_accuracy", "train_seconds")}
        row |= {name: result.facts.get(name) for name in ("params", "params_active", "macs", "macs_active")}
        row |= _place(result.provenance)
    elif status == "failed":  # the first of its stages that failed
        failures = (stored.failures[stage.key] for stage in (*parents, last) if stage.key in stored.failures)
        row |= _place(next(failures, Failure("")).provenance)
    return row


def _place(provenance: Mapping[str, Any]) -> Row:
    """When, where and by which code a stage was computed, or failed."""
    row: Row = {
        name: str(provenance.get(name, "")) for name in ("started", "finished", "host", "device", "gpu", "commit")
    }
    return row | {"code": str(provenance.get("code", ""))[:DIGEST_DIGITS]}


def _untuned_rows(study: Study, tuning: Tuning) -> Iterator[Row]:
    """The replicates of a cell that cannot run before this tuning is finished."""
    status, reason = "missing", f"its tuning is not finished ({tuning.ended} of {plural(tuning.space.budget, 'trial')})"
    if tuning.all_failed:
        status, reason = (
            "failed",
            f"0 of {plural(tuning.space.budget, 'tuning trial')} succeeded; last error: {tuning.trials[-1].error}",
        )
    for replicate in [tuning.replicate] if tuning.replicate else range(1, study.grid.least_replicates + 1):
        seed = replicate_seed(study.grid.seed, replicate)
        yield {"replicate": replicate, "seed": seed, "status": status, "reason": reason}


def _tuning_rows(stored: _Stored, run_ids: Mapping[str, str]) -> Iterator[Row]:
    for tuning in stored.state.tunings:
        for trial in tuning.within_budget:
            row: Row = {"cell": tuning.cell.name, "trial": trial.number, "status": trial.status, "reason": trial.error}
            row["replicate"] = tuning.replicate or None
            row |= {"best": "yes" if tuning.best is trial else "", "val_accuracy": trial.val_accuracy}
            if trial.status == "stopped":
                row |= {"epochs": trial.epochs, "reason": "pruned by early stopping"}
            row |= {name: json.dumps(value) for name, value in trial.values.items()}
            with contextlib.suppress(InvalidError):  # invalid combinations of values have no stages
                row["key"] = key = stored.state.stages_of(tuning.trial(trial))[-1].key
                row["run_id"] = run_ids.get(key, "")
                if (reason := stored.state.other_data.excluded.get(key)) and trial.status == "done":
                    row |= {"status": OTHER_DATA, "reason": reason, "val_accuracy": None}
                elif key in stored.tuning_results and trial.status == "done":
                    row |= _tuning_result(tuning, trial, stored.tuning_results[key])
            yield row


def _tuning_result(tuning: Tuning, trial: TuningTrial, result: Result) -> Row:
    """Metrics of a finished tuning trial. Only a search has test accuracies, because its trials are its results."""
    row: Row = {"train_seconds": result.metrics.get("train_seconds")}
    if tuning.space.searches:
        row["epochs"] = len(result.history)
        row |= {"test_accuracy": result.metrics.get("test_accuracy"), "latency": trial.costs.get("latency")}
        row |= {name: result.facts.get(name) for name in ("params", "macs")}
    return row


def _history_rows(stored: _Stored) -> Iterator[Row]:
    for stage, result in stored.finished:
        for epoch in result.history:
            yield {"stage": stage.kind, "key": stage.key, **{name: _rounded(value) for name, value in epoch.items()}}


def _load_rows(stored: _Stored) -> Iterator[Row]:
    for stage, result in stored.finished:
        for block, shares in enumerate(result.expert_load, start=1):
            for expert, share in enumerate(shares, start=1):
                row = {"stage": stage.kind, "key": stage.key, "block": block, "expert": expert}
                yield row | {"share": _rounded(share)}


def _rounded(value: float) -> float:
    """To nine significant digits, with which every float32 is distinct: losses and shares have no more."""
    return float(f"{value:.9g}")


def _device_rows(stored: _Stored) -> Iterator[Row]:
    """The first exported replicate of each cell."""
    store = stored.state.store
    exported, seen = exported_models.keys(store), set()
    for trial in stored.state.trials:
        stage = stored.state.stages_of(trial)[-1]
        if trial.cell.name in seen or stage.key not in exported or stage.key not in stored.found:
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


def _predictions(stored: _Stored) -> Iterator[Predicted]:
    """The predictions of finished trials, by test split. Damaged ones are left out: `verify` reports them."""
    found: dict[str, dict[str, Predictions]] = {}
    for trial in stored.state.trials:
        last = stored.state.stages_of(trial)[-1]
        if stored.status(trial)[0] != "done" or last.key not in stored.found:
            continue
        with contextlib.suppress(UnusableError):
            if (one := stored.state.store.predictions(last)) is not None:
                own = found.setdefault(one.images, {})
                if all(np.array_equal(one.labels_N, other.labels_N) for other in list(own.values())[:1]):
                    own[last.key] = one
    for images, by_key in found.items():
        first = next(iter(by_key.values()))
        predicted_TN = np.stack([one.predicted_N for one in by_key.values()])
        yield Predicted(images, first.labels_N, first.class_names, tuple(by_key), predicted_TN)


def _facts(study: Study, stored: _Stored) -> StudyFacts:
    assert study.baseline.settings is not None, "the baseline is never excluded"
    budgets = _budgets(stored.state)
    return StudyFacts(
        study=study.name,
        question=study.grid.question,
        **design_facts(study),
        replicates=study.grid.least_replicates,
        replicates_until=study.grid.adaptive and study.grid.adaptive.max,
        seed=study.grid.seed,
        grid=_shown_path(study.path),
        factors=factor_facts(study),
        cells=tuple(cell_facts(cell, budgets.get(cell.name)) for cell in study.cells),
        baseline=study.baseline.settings.model_dump(mode="json"),
        origins=tuple(_origins(stored)),
        claims=tuple(study.grid.claims),
        compare=tuple(study.grid.compare),
        failures=study.grid.failures,
        failed_looks=_failed_looks(study, stored.state) if study.grid.adaptive else (),
        registered=history(study, stored.state.store),
        covered=coverage.covered(study),
        not_covered=coverage.not_covered(study),
        drawn_for_testing=coverage.drawn_for_testing(study),
        data=_data(stored),
        notices=tuple(notices(stored.state)),
        tuning=_tuning_facts(study, stored),
        replication=_replication(stored.state),
    )


def _replication(state: StudyState) -> ReplicationFacts | None:
    found = original(state)
    return ReplicationFacts(study=found.name, seed=found.seed, verdicts=found.verdicts) if found else None


def _failed_looks(study: Study, state: StudyState) -> tuple[FailedLook, ...]:
    found = failed_at(study, state.trials, state.observed)
    return tuple(
        FailedLook(looked=looked, labels=labels, replicate=replicate)
        for looked in sorted(found)
        for labels, replicate in sorted(found[looked])
    )


def _data(stored: _Stored) -> tuple[str, ...]:
    """How each data set was read, in the order of the stages."""
    ways = {
        (str(result.provenance.get("reading")), stage.settings.dataset, stage.settings.encoder.image_size): (
            stage,
            result,
        )
        for stage, result in stored.finished
    }
    return tuple(dict.fromkeys(_how_read(stage, result) for stage, result in ways.values()))


def _how_read(stage: Stage, result: Result) -> str:
    """Recorded with the result; results of earlier versions lack it, but named data sets do not change."""
    settings = stage.settings
    if (line := result.provenance.get("reading")) is not None:
        return str(line)
    if subject.is_own_data(settings.dataset):
        return f"{settings.dataset}: not recorded"
    return subject.how_read(settings.dataset, settings.encoder.image_size)


def _tuning_facts(study: Study, stored: _Stored) -> TuningFacts | None:
    if study.space is None:
        return None
    parameters = tuple(_parameter_facts(parameter, study) for parameter in study.space.parameters)
    importances = stored.state.tunings[0].importances
    return TuningFacts(
        budget=study.space.budget,
        tunings=study.space.tunings,
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


def _budgets(state: StudyState) -> dict[str, BudgetFacts]:
    """By cell; those of tuned cells have their tuned values, and none if they are not tuned yet."""
    first: dict[str, Trial] = {}
    for trial in state.trials:
        first.setdefault(trial.cell.name, trial)
    found: dict[str, BudgetFacts] = {}
    for name, trial in first.items():
        with contextlib.suppress(StudyError):  # own data that are not on this machine
            found[name] = budget_of([stage.settings for stage in state.stages_of(trial)])
    return found


def _origins(stored: _Stored) -> Iterator[Origin]:
    """Finished stages grouped by provenance, the earliest first."""
    users: dict[str, dict[str, None]] = {}
    for trial in stored.state.trials:
        for stage in stored.state.stages_of(trial):
            users.setdefault(stage.key, {})[trial.cell.name] = None
    groups: dict[str, list[tuple[Stage, Result]]] = {}
    for stage, result in stored.finished:
        place = [result.provenance.get(name) for name in PLACE]
        groups.setdefault(canonical_json(place), []).append((stage, result))
    origins = [_origin(group, users) for group in groups.values()]
    yield from sorted(origins, key=lambda origin: (origin.first, origin.commit))


def _origin(group: list[tuple[Stage, Result]], users: Mapping[str, Iterable[str]]) -> Origin:
    place = group[0][1].provenance
    results = [result for _, result in group]
    threads = place.get("threads")
    return Origin(
        commit=str(place.get("commit", "unknown")),
        version=str(place.get("study", "")),
        code=str(place.get("code", ""))[:DIGEST_DIGITS],
        device=str(place.get("device", "unknown")),
        platform=str(place.get("platform", "")),
        instruction_set=str(place.get("instruction_set", "")),
        blas=str(place.get("blas", "")),
        threads=int(threads) if threads is not None else None,
        versions={str(name): str(version) for name, version in (place.get("versions") or {}).items()},
        stages=len(group),
        seconds=sum(float(result.metrics.get("train_seconds", 0.0)) for result in results),
        first=min(str(result.provenance.get("started", "")) for result in results),
        last=max(str(result.provenance.get("finished", "")) for result in results),
        cells=tuple(dict.fromkeys(cell for stage, _ in group for cell in users[stage.key])),
    )


def _shown_path(path: Path) -> str:
    """Relative to the working directory, so that a committed report has no absolute path; undecodable bytes escaped."""
    relative = Path(os.path.relpath(path.resolve()))
    return readable(path.name if ".." in relative.parts else relative.as_posix())
