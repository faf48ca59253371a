"""What the store knows and a server has not been told; asks the ledger, not the server."""

from study.design.stages import Stage, stages_of, unique_stages
from study.design.study import Study
from study.planning import tuning_state
from study.planning.events import Outcome
from study.planning.trials import everything
from study.store.results import Store
from study.tracking.ledger import Ledger
from study.tracking.server import exists


def undelivered(study: Study, store: Store, uri: str) -> list[Stage]:
    """Stages of a study of whose end the server does not know: they are finished, have failed or were stopped."""
    return [*finished(study, store, uri), *(outcome.stage for outcome in unfinished(study, store, uri))]


def finished(study: Study, store: Store, uri: str) -> list[Stage]:
    """Those that have a result."""
    delivered = Ledger(store, study.name).runs(uri) if exists(uri) else {}
    stages = unique_stages(everything(study, store))
    return [stage for stage in stages if stage.key not in delivered and store.has(stage)]


def unfinished(study: Study, store: Store, uri: str) -> list[Outcome]:
    """How those ended that have none: the last failure of each, and what a search has stopped early."""
    noted = [*_failures(study, store), *_stops(study, store)]
    told = Ledger(store, study.name).endings(uri) if noted and exists(uri) else frozenset()
    return [outcome for outcome in noted if ending(outcome) not in told]


def ending(outcome: Outcome) -> str:
    """What tells a failure, or a stop, from all others, those of the same stage too."""
    return f"{outcome.stage.key}.{outcome.note or outcome.status}"


def _failures(study: Study, store: Store) -> list[Outcome]:
    """Those noted in the store; not those noted before notes had names, which were delivered in their own sweep."""
    noted = store.list_files("failed")
    stages = unique_stages(everything(study, store)) if noted else []
    without = [stage for stage in stages if f"{stage.key}.json" in noted and not store.has(stage)]
    found = ((stage, store.last_failure(stage)) for stage in without)
    return [Outcome(stage, "failed", one.error, note=one.id) for stage, one in found if one and one.id]


def _stops(study: Study, store: Store) -> list[Outcome]:
    """Of their epochs the store has the validation accuracy."""
    if study.space is None or study.space.early_stopping is None:
        return []
    stopped = {}
    for one in tuning_state.load(study, store):
        for tried in one.trials:
            if tried.status == "stopped":  # a trial of the same values as an earlier one ends with it
                stage = stages_of(one.trial(tried))[-1]
                epochs = sorted((int(epoch), accuracy) for epoch, accuracy in tried.learning_curve.items())
                curve = tuple({"epoch": epoch, "val_accuracy": accuracy} for epoch, accuracy in epochs)
                stopped[stage.key] = Outcome(stage, "stopped", learning_curve=curve)
    return [outcome for outcome in stopped.values() if not store.has(outcome.stage)]
