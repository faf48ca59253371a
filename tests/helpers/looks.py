"""Functions of a `StudyState`, called with a study and a store that is read anew."""

from collections.abc import Mapping

from study import report, tracking
from study.analysis.results import Results
from study.design.stages import Stage
from study.design.study import Study, Trial
from study.planning import plan
from study.planning.state import StudyState
from study.store.results import Store


def make_plan(study: Study, store: Store) -> plan.Plan:
    return plan.make_plan(StudyState.look(study, store))


def collect(study: Study, store: Store, run_ids: Mapping[str, str] | None = None) -> Results:
    return report.collect(StudyState.look(study, store), run_ids)


def undelivered(study: Study, store: Store, uri: str) -> list[Stage]:
    return tracking.undelivered(StudyState.look(study, store), uri)


def requested_trials(study: Study, store: Store) -> list[Trial]:
    return StudyState.look(study, store).trials
