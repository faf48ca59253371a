"""What a tracking server lacks of a study, by the ledger of deliveries; the server is not queried."""

from study.design.stages import Stage
from study.planning.events import Outcome
from study.planning.state import StudyState
from study.tracking.ledger import Ledger
from study.tracking.server import exists


def undelivered(state: StudyState, uri: str) -> list[Stage]:
    """Stages whose end the server lacks: done, failed or stopped early."""
    return [*undelivered_results(state, uri), *(outcome.stage for outcome in undelivered_endings(state, uri))]


def undelivered_results(state: StudyState, uri: str) -> list[Stage]:
    """Stages that have a result by now."""
    delivered = Ledger(state.store, state.study.name).runs(uri) if exists(uri) else {}
    stored = state.store.keys()
    return [stage for key, stage in state.all_stages.items() if key not in delivered and key in stored]


def undelivered_endings(state: StudyState, uri: str) -> list[Outcome]:
    """How stages without a result ended: the last failure of each, and the trials that a search stopped early."""
    endings = [*_failures(state), *_stops(state)]
    delivered = Ledger(state.store, state.study.name).endings(uri) if endings and exists(uri) else frozenset()
    return [outcome for outcome in endings if ending_id(outcome) not in delivered]


def ending_id(outcome: Outcome) -> str:
    """Identifies one failure or stop, also among several of the same stage."""
    return f"{outcome.stage.key}.{outcome.note or outcome.status}"


def _failures(state: StudyState) -> list[Outcome]:
    """Failures recorded in the store. Records without an id are older, and were delivered by the sweep itself."""
    store, recorded = state.store, state.store.list_files("failed")
    stages = [stage for key, stage in state.all_stages.items() if f"{key}.json" in recorded and not store.has(stage)]
    failures = ((stage, store.last_failure(stage)) for stage in stages)
    return [Outcome(stage, "failed", one.error, note=one.id) for stage, one in failures if one and one.id]


def _stops(state: StudyState) -> list[Outcome]:
    """Trials that were stopped early, with the validation accuracy of their epochs."""
    if state.study.space is None or state.study.space.early_stopping is None:
        return []
    stopped = {}
    for tuning in state.tunings:
        for trial in tuning.trials:
            if trial.status == "stopped":  # a trial with the values of an earlier one shares its stage and its end
                stage = state.stages_of(tuning.trial(trial))[-1]
                epochs = sorted((int(epoch), accuracy) for epoch, accuracy in trial.learning_curve.items())
                curve = tuple({"epoch": epoch, "val_accuracy": accuracy} for epoch, accuracy in epochs)
                stopped[stage.key] = Outcome(stage, "stopped", learning_curve=curve)
    return [outcome for outcome in stopped.values() if not state.store.has(outcome.stage)]
