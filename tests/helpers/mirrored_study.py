"""A study whose first two stages can be trained and delivered to a real MLflow."""

from pathlib import Path

from helpers.distinct_stages import unique_stages
from helpers.mlflow_servers import Reader
from mlflow.entities import Run

from study.design.stages import Stage
from study.design.study import expand, load
from study.execution.run_stage import run_stage
from study.planning.events import Outcome
from study.planning.state import StudyState
from study.store.results import Store
from study.tracking import PARENT, Tracker, default_uri


class Scene:
    """A study, its first two stages (a pre-training and a fine-tuning), and its tracking server."""

    def __init__(self, grid: Path, store: Path) -> None:
        self.study = load(grid)
        self.store = Store(store)
        self.stages = unique_stages(expand(self.study))[:2]
        self.uri = default_uri(self.store)

    def tracker(self, uri: str | None = None) -> Tracker:
        return Tracker(StudyState.look(self.study, self.store), uri or self.uri, {"commit": "abc"})

    def train(self, tracker: Tracker | None, stage: Stage) -> None:
        if tracker:
            tracker.on_start(stage)
        run_stage(stage, self.store, "cpu", lambda row: tracker.on_epochs(stage, [row]) if tracker else None, "abc")
        if tracker:
            tracker.on_done(Outcome(stage, "done"))

    def runs(self) -> list[Run]:
        client = Reader(self.uri)
        experiment = client.get_experiment_by_name(self.study.name)
        assert experiment is not None
        return list(client.search_runs([experiment.experiment_id], max_results=10_000))

    def nested(self) -> dict[str, Run]:
        return {run.data.tags["key"]: run for run in self.runs() if PARENT in run.data.tags}

    def finished(self) -> dict[str, Run]:
        """The finished runs of stages, by key."""
        return {key: run for key, run in self.nested().items() if run.info.status == "FINISHED"}
