"""What a tracking server lacks of a study, by the ledger of deliveries; the server is not queried."""

from concurrent.futures import ThreadPoolExecutor

from study.design.stages import Stage
from study.planning.events import Outcome
from study.planning.state import StudyState
from study.store.heartbeats import mirrors
from study.tracking.ledger import Ledger
from study.tracking.server import exists

THREADS = 16  # object storage has latency


def in_order(state: StudyState, uri: str) -> bool:
    """Whether the server lacks nothing, and no driver has died, or is, writing there. Raises StoreError."""
    return not undelivered(state, uri) and not mirrors(state.store, mirror_of(state, uri))


def mirror_of(state: StudyState, uri: str) -> str:
    """Names the study's experiment on a server, in the heartbeats of the drivers that write there."""
    return f"{state.study.name} {Ledger(state.store, state.study.name).server(uri)}"


def undelivered(state: StudyState, uri: str) -> list[Stage]:
    """Stages whose end the server lacks: done, failed or stopped early."""
    return [*undelivered_results(state, uri), *(outcome.stage for outcome in undelivered_endings(state, uri))]


def undelivered_results(state: StudyState, uri: str) -> list[Stage]:
    """Stages that have a result by now which was not delivered; another one may have been, before it was recomputed."""
    delivered = Ledger(state.store, state.study.name).deliveries(uri) if exists(uri) else {}
    keys = state.store.keys()
    stored = [stage for key, stage in state.all_stages.items() if key in keys]
    known = [stage for stage in stored if stage.key in delivered and delivered[stage.key].result]
    with ThreadPoolExecutor(THREADS) as pool:
        now = dict(zip((stage.key for stage in known), pool.map(state.store.fingerprint, known), strict=True))
    changed = {key for key, fingerprint in now.items() if fingerprint not in ("", delivered[key].result)}
    return [stage for stage in stored if stage.key not in delivered or stage.key in changed]


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
