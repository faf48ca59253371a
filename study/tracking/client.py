"""A client of MLflow that trusts no answer: ids and locations are checked, errors are one sentence, calls end in time.

A server may be slow, damaged, something else that listens on the port, or hostile.
"""

import os
import posixpath
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from study.store.results import Store
from study.tracking import artifact_locations, database_file, new_database, sqlite
from study.tracking.time_limit import within
from study.utils.errors import StudyError

ID = re.compile(r"[a-zA-Z0-9][\w-]{0,255}", re.ASCII)  # of experiments and runs; they become names of files
GRACE = 5.0  # seconds in addition to the timeout of the HTTP client, which has the better message
SLOWEST = 50_000.0  # bytes per second of an upload or download; slower ones end as unanswered

Answer = TypeVar("Answer")


class Client:
    """`MlflowClient` for one server or database file, its methods included. All raise StudyError alone."""

    def __init__(self, uri: str, store: Store, limit: float | None = None) -> None:
        """limit: seconds that a request may take (default: the timeout of MLflow's HTTP client, and some grace)."""
        from mlflow import MlflowClient

        self._uri, self._store, self._path = uri, store, sqlite.path_of(uri)
        self._limit = limit or float(os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"]) + GRACE
        if (path := self._path) is not None:
            new_database.forget(uri)
            if new_database.is_missing(path):
                self._ask(lambda: new_database.create(path))
        self._client: MlflowClient = self._ask(lambda: MlflowClient(uri))

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)

        def call(*arguments: object, **options: object) -> Any:
            answer = self._ask(lambda: method(*arguments, **options))
            self._check(name, answer)
            return answer

        return call

    def upload(self, location: str, folder: Path, to: str) -> None:
        """Send the files of a folder to the folder `to` of a run's artifacts. Raises StudyError if one is not there
        afterwards: a proxy may answer for the server."""
        artifacts = self._artifacts(location)
        sizes = {path.name: path.stat().st_size for path in folder.iterdir() if path.is_file()}
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        self._ask(partial(artifacts.log_artifacts, str(folder), to), size)
        listed = {name: found for name, _, found in self._files(artifacts, to)}
        if missing := [name for name, size in sizes.items() if listed.get(name, -1) not in (size, None)]:
            raise StudyError(f"{missing[0]} was sent but is not among the server's artifacts of this run")

    def download(self, location: str, source: str, folder: Path) -> None:
        """Fetch the files of the folder `source` of a run's artifacts."""
        artifacts = self._artifacts(location)
        for name, path, size in self._files(artifacts, source):
            # not download_artifacts: the process would wait for its threads when it ends
            self._ask(partial(artifacts._download_file, path, str(folder / name)), size or 0)

    def delete_for_good(self, experiment: str) -> None:
        """Remove an experiment that is in the trash of a database file, with all of its runs, as `mlflow gc` does."""
        from mlflow.entities import ViewType

        backend: Any = self._client._tracking_client.store
        while runs := self.search_runs([experiment], run_view_type=ViewType.ALL, max_results=1000):
            for run in runs:
                self._ask(partial(backend._hard_delete_run, run.info.run_id))
        self._ask(partial(backend._hard_delete_experiment, experiment))

    def _files(self, artifacts: Any, folder: str) -> list[tuple[str, str, int | None]]:
        """Name, path and size of the files in a folder of artifacts. A name is within its folder whatever is sent."""
        listed = self._ask(lambda: artifacts.list_artifacts(folder))
        files = [(posixpath.basename(file.path), file.path, file.file_size) for file in listed if not file.is_dir]
        return [file for file in files if file[0] not in ("", ".", "..")]

    def _artifacts(self, location: str) -> Any:
        """MLflow's ArtifactRepository."""
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        artifact_locations.local_folder(location, self._uri, self._store)
        # client.log_artifacts would request the location again
        return self._ask(lambda: get_artifact_repository(location, tracking_uri=self._uri))

    def _ask(self, request: Callable[[], Answer], size: float = 0.0) -> Answer:
        try:
            if self._path is not None:  # SQLite has its own limit
                return request()
            return within(self._limit + size / SLOWEST, self._uri, request)
        except StudyError:
            raise
        except Exception as error:  # of MLflow, of SQLAlchemy, or of a parser that expected other types
            raise self._explained(error) from error

    def _explained(self, error: Exception) -> StudyError:
        if self._path is None:
            return StudyError(_sentence(error))
        return database_file.problem(error, self._path) or StudyError(" ".join(str(error).split())[:300])

    def _check(self, name: str, answer: object) -> None:
        """Raise StudyError for an answer without an id, or with a location that must not be used."""
        from mlflow.entities import Experiment, Run

        for one in answer if isinstance(answer, list) else [answer]:
            if isinstance(one, Experiment):
                _check_id("experiment", one.experiment_id)
                self._check_location(one.artifact_location)
            elif isinstance(one, Run):
                _check_id("run", one.info.run_id)
        if name == "create_experiment":
            _check_id("experiment", answer)
        if name == "create_run" and isinstance(answer, Run):
            self._check_location(answer.info.artifact_uri)

    def _check_location(self, location: str | None) -> None:
        artifact_locations.local_folder(location or "", self._uri, self._store)


def _check_id(kind: str, found: object) -> None:
    if not (isinstance(found, str) and ID.fullmatch(found)):
        raise StudyError(f"the server gives {kind} id {str(found)[:40]!r}, so nothing is sent to it; check the server")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _sentence(error: Exception) -> str:
    """Without the body of the answer, which may be a page of HTML."""
    from mlflow.exceptions import MlflowException

    text = " ".join(str(error).partition("Response body:")[0].split()).rstrip(". ")
    causes = list(_causes(error))
    if any("timed out" in str(cause).lower() for cause in causes):
        return "the server did not answer in time"
    if reason := next((cause.strerror for cause in causes if isinstance(cause, OSError) and cause.strerror), None):
        return f"the server cannot be reached: {reason}"
    if isinstance(error, MlflowException | OSError):
        return text[:300]
    return f"unusable answer of the server ({type(error).__name__}: {text[:100]})"
