"""The MLflow experiment of a study, and the tag that identifies the study, so that no other study shares it unasked."""

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from study.planning.state import StudyState
from study.planning.study_identity import Identity, conflict
from study.tracking import server
from study.tracking.client import Client
from study.utils.errors import StudyError

if TYPE_CHECKING:
    from mlflow.entities import Experiment

TAG = "study.identity"
MAX_TAG = 5_000  # characters; the limit of MLflow
LOOK_SECONDS = 10.0  # for a server to answer before a run


class AnotherStudyError(StudyError):
    """The experiment is of another study with the same name."""


def check(experiment: "Experiment", state: StudyState) -> None:
    """Raises AnotherStudyError. An experiment without the tag, of an earlier version, is accepted."""
    before = Identity.recorded(experiment.tags.get(TAG, "").encode())
    if before is not None and (difference := conflict(before, Identity.of(state.study), state.contents.same)):
        raise AnotherStudyError(
            f"the experiment {experiment.name!r} there is of another study, of the grid {before.grid}: {difference}; "
            "choose another name ('study:'), which gets its own experiment"
        )


def tags(now: Identity) -> dict[str, str]:
    """What identifies the study of an experiment."""
    return {TAG: _text(now)}


def mark(client: Client, experiment: "Experiment", now: Identity) -> None:
    """Record which study the experiment is of."""
    for key, text in tags(now).items():
        if experiment.tags.get(key) != text:
            client.set_experiment_tag(experiment.experiment_id, key, text)


def check_early(uri: str, state: StudyState) -> None:
    """Raises AnotherStudyError if the server answers soon and has an experiment of another study.

    Otherwise the experiment is checked when the server is connected.
    """
    if not server.exists(uri):
        return
    try:
        found = server.connect(uri, state.store, LOOK_SECONDS).get_experiment_by_name(state.study.name)
    except StudyError:  # reported when the runs are delivered
        return
    if found is not None:
        check(found, state)


def _text(identity: Identity) -> str:
    """As JSON; without the settings, then the question, of the few studies for which a tag is too short."""
    shorter = replace(identity, baseline={})
    texts = (json.dumps(asdict(one)) for one in (identity, shorter, replace(shorter, question="")))
    return next((text for text in texts if len(text) <= MAX_TAG), "")
