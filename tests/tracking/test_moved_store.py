"""A store that is moved, copied or linked, or has an unusual path, works fully, MLflow and its artifacts included."""

import json
import os
import shlex
import shutil
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from helpers.distinct_stages import unique_stages
from helpers.mlflow_servers import Reader
from helpers.ports import free_port
from helpers.tiny_grid import ONE_REPLICATE, TINY
from mlflow import MlflowClient
from mlflow.entities import Run

import study
from study.design.study import expand, load
from study.execution.run_stage import run_stage
from study.planning.state import StudyState
from study.store.results import Store
from study.tracking import Tracker, default_uri, normalised, undelivered
from study.tracking.ledger import Ledger
from study.utils.errors import StudyError

ODD = ["moved", "100% %41 a?b#c", "ü 'q' \"d\"", "a;b&c=d+e"]


def sync(grid: Path, store: Path) -> int:
    """As the verb does. Returns the number of runs delivered."""
    state = StudyState.look(load(grid), Store(store))
    uri = default_uri(state.store)
    missing = undelivered(state, uri)
    if missing:
        with Tracker(state, uri, {}) as tracker:
            tracker.flush()
            tracker.finish("FINISHED", None)
        assert tracker.problem is None
    return len(missing)


def runs(store: Path) -> dict[str, Run]:
    """The runs of stages, by key."""
    client = Reader(default_uri(Store(store)))
    experiment = client.get_experiment_by_name("tiny")
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id])
    return {run.data.tags["key"]: run for run in found if "key" in run.data.tags}


def assert_artifacts_are_in(store: Path, to: Path) -> None:
    """Every run's model is in the store, and the client reads it."""
    client = Reader(default_uri(Store(store)))
    for key, run in runs(store).items():
        to.mkdir(exist_ok=True)
        path = Path(client.download_artifacts(run.info.run_id, "model/model.safetensors", str(to)))
        assert path.read_bytes() == next(store.glob(f"*/{key}/model.safetensors")).read_bytes()
        assert (store / "mlartifacts" / "tiny" / run.info.run_id / "artifacts" / "model").is_dir()


@pytest.fixture
def grid(tiny: Path, place: Path) -> Path:
    tiny.write_text(ONE_REPLICATE)
    return tiny


@pytest.mark.parametrize("name", ODD)
def test_a_moved_store_works_fully(grid: Path, tiny_results: Path, tmp_path: Path, name: str) -> None:
    """Delivered runs are known and readable there, new ones go there, and nothing is created outside."""
    first, second = tmp_path / f"first {name}", tmp_path / name / "store"
    shutil.copytree(tiny_results, first)
    assert sync(grid, first) == 6
    assert_artifacts_are_in(first, tmp_path / "copy")
    second.parent.mkdir()
    first.rename(second)
    assert sync(grid, second) == 0  # known by the ledger, without a query
    grid.write_text(TINY)  # another replicate
    stage = next(stage for stage in unique_stages(expand(load(grid))) if not Store(second).has(stage))
    run_stage(stage, Store(second), "cpu", lambda row: None)
    assert sync(grid, second) == 1
    assert len(runs(second)) == 7
    assert_artifacts_are_in(second, tmp_path / "copy")
    run = runs(second)[next(second.glob("finetune/*")).name]
    assert study.load(run.info.run_id, store=str(second)) is not None
    assert {path.name for path in tmp_path.iterdir()} == {grid.name, name, "copy"}
    assert not list(tmp_path.glob("*/mlruns"))


def test_a_run_is_read_before_any_delivery(grid: Path, tiny_results: Path, tmp_path: Path) -> None:
    """`study.load` repairs the locations itself."""
    shutil.copytree(tiny_results, tmp_path / "a")
    sync(grid, tmp_path / "a")
    run = runs(tmp_path / "a")[next((tmp_path / "a").glob("finetune/*")).name]
    (tmp_path / "a").rename(tmp_path / "b")
    assert study.load(run.info.run_id, store=str(tmp_path / "b")) is not None


def test_a_copy_and_a_link(grid: Path, tiny_results: Path, tmp_path: Path) -> None:
    """A copied store reads its own artifacts, and the original keeps its own; a link is the store that it names."""
    original, copy = tmp_path / "original", tmp_path / "copied"
    shutil.copytree(tiny_results, original)
    sync(grid, original)
    shutil.copytree(original, copy)
    (tmp_path / "link").symlink_to(copy)
    assert sync(grid, tmp_path / "link") == 0
    grid.write_text(TINY)
    stage = next(stage for stage in unique_stages(expand(load(grid))) if not Store(copy).has(stage))
    run_stage(stage, Store(copy), "cpu", lambda row: None)
    assert sync(grid, tmp_path / "link") == 1
    assert all(run.info.artifact_uri.startswith((copy / "mlartifacts").as_uri()) for run in runs(copy).values())
    assert all(run.info.artifact_uri.startswith((original / "mlartifacts").as_uri()) for run in runs(original).values())
    assert len(runs(copy)) == len(runs(original)) + 1


def locations(store: Path) -> set[str]:
    """All locations in the database, of experiments and runs."""
    with closing(sqlite3.connect(store / "mlflow.db")) as database:
        rows = database.execute("SELECT artifact_location FROM experiments UNION SELECT artifact_uri FROM runs")
        return {str(location) for (location,) in rows}


def run_another(grid: Path, store: Path) -> None:
    """A stage of the second replicate."""
    grid.write_text(TINY)
    stage = next(stage for stage in unique_stages(expand(load(grid))) if not Store(store).has(stage))
    run_stage(stage, Store(store), "cpu", lambda row: None)


def newest(store: Path) -> Run:
    return max(runs(store).values(), key=lambda run: int(run.info.start_time))


def moved_twice(first: Path, last: Path) -> None:
    """Unopened in between."""
    first.rename(first.with_name("between"))
    first.with_name("between").rename(last)


def copied_without_artifacts(first: Path, last: Path) -> None:
    shutil.copytree(first, last, ignore=shutil.ignore_patterns("mlartifacts"))


def copied_twice(first: Path, last: Path) -> None:
    shutil.copytree(first, first.with_name("between"))
    shutil.copytree(first.with_name("between"), last)


def replaced_by_a_link(first: Path, last: Path) -> None:
    """The old path leads to the new place, as after a move to a larger disk."""
    first.rename(last)
    first.symlink_to(last)


@pytest.mark.parametrize("move", [moved_twice, copied_without_artifacts, copied_twice, replaced_by_a_link])
def test_the_database_of_a_moved_store_names_no_other_place(
    grid: Path, tiny_results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, move: Callable[[Path, Path], None]
) -> None:
    """Nor is anything written there. The store is given by a relative path."""
    first, last = tmp_path / "first", tmp_path / "new disk" / "ü%41"
    shutil.copytree(tiny_results, first)
    assert sync(grid, first) == 6
    last.parent.mkdir()
    move(first, last)
    old = {path: sorted(path.rglob("*")) for path in tmp_path.iterdir() if path.is_dir() and path != last.parent}
    monkeypatch.chdir(last.parent)
    run_another(grid, Path(last.name))
    assert sync(grid, Path(last.name)) == 1
    assert all(location.startswith(f"{last.as_uri()}/mlartifacts/") for location in locations(last))
    for run in runs(last).values() if move is not copied_without_artifacts else [newest(last)]:
        assert study.load(run.info.run_id, store=last.name) is not None
    assert {path: sorted(path.rglob("*")) for path in old} == old or move is replaced_by_a_link


def test_a_study_with_the_name_of_mlflows_first_experiment(grid: Path, tiny_results: Path, tmp_path: Path) -> None:
    """`Default`, whose location is the working folder when the database is made."""
    shutil.copytree(tiny_results, tmp_path / "store")
    grid.write_text(ONE_REPLICATE.replace("study: tiny", "study: Default"))
    assert sync(grid, tmp_path / "store") == 6
    assert all(
        location.startswith((tmp_path / "store" / "mlartifacts").as_uri()) for location in locations(tmp_path / "store")
    )
    assert not (tmp_path / "mlruns").exists()


def test_an_experiment_elsewhere_is_refused(grid: Path, tiny_results: Path, tmp_path: Path) -> None:
    """Of a database that came from somebody else, with a run that must keep its place."""
    shutil.copytree(tiny_results, tmp_path / "store")
    client = MlflowClient(default_uri(Store(tmp_path / "store")))
    experiment = client.create_experiment("tiny", (tmp_path / "outside").as_uri())
    run = client.create_run(experiment)
    with pytest.raises(StudyError, match=r"artifact location .* is refused: it is a local folder outside the store"):
        study.load(run.info.run_id, store=str(tmp_path / "store"))
    state = StudyState.look(load(grid), Store(tmp_path / "store"))
    with Tracker(state, default_uri(state.store), {}) as tracker:
        tracker.flush()
    assert "is refused: it is a local folder outside the store" in str(tracker.problem)
    assert not (tmp_path / "outside").exists()


def test_a_database_elsewhere_has_its_artifacts_beside_it(grid: Path, tiny_results: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_results, tmp_path / "store")
    (tmp_path / "shared").mkdir()
    state = StudyState.look(load(grid), Store(tmp_path / "store"))
    for folder in ("shared", "shared 2"):
        uri = normalised(f"sqlite:///{tmp_path / folder / 'runs.db'}")
        with Tracker(state, uri, {}) as tracker:
            tracker.flush()
            tracker.finish("FINISHED", None)
        assert tracker.problem is None
        run_id = next(iter(Ledger(state.store, "tiny").runs(uri).values()))
        assert study.load(run_id, store="nowhere", tracking_uri=uri) is not None
        assert len(list((tmp_path / folder / "mlartifacts" / "tiny").iterdir())) == 6
        if folder == "shared":
            (tmp_path / "shared").rename(tmp_path / "shared 2")
    assert not (tmp_path / "shared").exists()


def may_mount() -> bool:
    probe = ["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt"]
    return (
        shutil.which("unshare") is not None and subprocess.run(probe, capture_output=True, check=False).returncode == 0
    )


READ_ONLY = "mount --bind {store} {store} && mount -o remount,ro,bind {store} && exec {command}"


@pytest.mark.slow
@pytest.mark.skipif(not may_mount(), reason="mounts are not permitted here")
def test_a_read_only_copy_is_loaded_and_reported_and_not_synchronised(
    grid: Path, tiny_results: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_results, tmp_path / "a")
    sync(grid, tmp_path / "a")
    run_id = runs(tmp_path / "a")[next((tmp_path / "a").glob("finetune/*")).name].info.run_id
    store = tmp_path / "read only"
    shutil.copytree(tmp_path / "a", store)
    (store / "mlflow.db-shm").unlink()  # so that the write-ahead log, in which the runs are, cannot be opened there

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = READ_ONLY.format(store=shlex.quote(str(store)), command=shlex.join([sys.executable, *arguments]))
        return subprocess.run(
            ["unshare", "-rm", "sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False
        )

    done = run("-c", f"import study; print(study.load({run_id!r}, store={str(store)!r}))")
    assert done.returncode == 0, done.stderr
    done = run("-m", "study", "report", grid.name, "--store", store.name)
    assert done.returncode == 0, done.stdout + done.stderr
    assert run_id[:8] in (tmp_path / "reports" / "tiny" / "results.csv").read_text()
    done = run("-m", "study", "sync", grid.name, "--store", store.name)
    assert done.returncode == 2
    (line,) = (done.stdout + done.stderr).strip().splitlines()
    assert f"the MLflow database {store}/mlflow.db cannot be " in line
    assert "make the file and its folder" in line


@pytest.mark.slow
def test_the_pages_of_a_moved_store_have_its_artifacts(grid: Path, tiny_results: Path, tmp_path: Path) -> None:
    """`study ui`, without any other command after the move."""
    store = tmp_path / ODD[1]
    shutil.copytree(tiny_results, tmp_path / "a")
    sync(grid, tmp_path / "a")
    run = next(iter(runs(tmp_path / "a").values()))
    (tmp_path / "a").rename(store)
    port = free_port()
    command = [sys.executable, "-m", "study", "ui", "--store", store.name, "--port", str(port)]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            address = f"http://127.0.0.1:{port}/ajax-api/2.0/mlflow/artifacts/list?run_id={run.info.run_id}&path=model"
            found = json.loads(_when_up(address, server.poll))
        finally:
            server.terminate()
    assert "model/model.safetensors" in {file["path"] for file in found["files"]}
    assert not any(path.name.startswith(("mlruns", "100%25")) for path in tmp_path.iterdir())


def _when_up(address: str, ended: Callable[[], int | None]) -> bytes:
    for _ in range(600):
        try:
            with urllib.request.urlopen(address, timeout=10) as answer:
                return bytes(answer.read())
        except urllib.error.HTTPError:
            raise
        except OSError:
            assert ended() is None
            time.sleep(0.2)
    raise TimeoutError(address)


@pytest.mark.slow
def test_a_sweep_in_an_odd_folder(tiny: Path, place: Path, tmp_path: Path) -> None:
    """Workers write to the relative store of an odd working folder, and the report has the runs."""
    folder = tmp_path / ODD[1]
    folder.mkdir()
    text = ONE_REPLICATE.replace("  mode: {path: finetune.mode, levels: [finetune, probe]}\n", "")
    text = text.replace("  pre-training: {path: pretrain, levels: [null], baseline: digits}\n", "")
    (folder / "a grid.yaml").write_text(text)
    command = [sys.executable, "-m", "study", "run", "a grid.yaml", "--store", "st?re %", "--reports", "r#ports"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=240, env=os.environ)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "incomplete" not in done.stdout
    assert {path.name for path in folder.iterdir()} == {"a grid.yaml", "st?re %", "r#ports"}
    assert (folder / "r#ports" / "tiny" / "report.html").is_file()
    assert len(runs(folder / "st?re %")) == 4
    assert_artifacts_are_in(folder / "st?re %", tmp_path / "copy")
