"""A database file that cannot be used: one sentence within seconds, and the command that it names helps."""

import os
import re
import resource
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from helpers.distinct_stages import unique_stages
from helpers.mlflow_servers import Reader
from helpers.small_disk import SmallDisk
from helpers.tiny_grid import ONE_REPLICATE
from mlflow import MlflowClient

import study
from study.cli.app import main
from study.design.study import expand, load
from study.launch import preflight
from study.store.results import Store
from study.tracking import default_uri, new_database
from study.tracking.ledger import Ledger
from study.utils import stale_dirs
from study.utils.command_line import Invocation
from study.utils.errors import StudyError

Command = Callable[..., tuple[int, str]]

pytestmark = pytest.mark.slow


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """`study` with arguments: its exit code, and all that it printed on both streams."""

    def run(*arguments: str) -> tuple[int, str]:
        capfd.readouterr()
        monkeypatch.setattr("sys.argv", ["study", *arguments])
        with pytest.raises(SystemExit) as caught:
            main()
        found = capfd.readouterr()
        return int(caught.value.code or 0), found.out + found.err

    return run


@pytest.fixture(scope="module")
def delivered(tmp_path_factory: pytest.TempPathFactory, tiny_results: Path) -> Path:
    """A store whose stages are in its database."""
    folder = tmp_path_factory.mktemp("delivered")
    (folder / "tiny.yaml").write_text(ONE_REPLICATE)
    shutil.copytree(tiny_results, folder / "store")
    arguments = [sys.executable, "-m", "study", "sync", "tiny.yaml", "--store", "store"]
    subprocess.run(arguments, cwd=folder, check=True, capture_output=True)
    return folder / "store"


@pytest.fixture
def database(tiny: Path, place: Path, delivered: Path) -> Path:
    """The database of a copy of that store, at a path that needs quotes."""
    tiny.write_text(ONE_REPLICATE)
    shutil.copytree(delivered, place / "my store")
    return place / "my store" / "mlflow.db"


def execute(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as opened:
        for statement in statements:
            opened.execute(statement)


def replaced(path: Path, make: Callable[[Path], object]) -> None:
    path.unlink()
    make(path)


def middle_destroyed(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 3 : len(data) // 2] = os.urandom(len(data) // 2 - len(data) // 3)
    path.write_bytes(data)


def other_log(path: Path) -> None:
    """The write-ahead log of a later state, beside an earlier database."""
    earlier = path.read_bytes()
    with closing(sqlite3.connect(path)) as opened:
        opened.execute("PRAGMA journal_mode=WAL")
        opened.execute("PRAGMA wal_autocheckpoint=0")
        opened.execute("CREATE TABLE other (x)")
        opened.executemany("INSERT INTO other VALUES (?)", [("x" * 500,)] * 5000)
        opened.commit()
        log = Path(f"{path}-wal").read_bytes()
    path.write_bytes(earlier[: len(earlier) // 2])
    Path(f"{path}-wal").write_bytes(log)


SHOWN = ("one page", "garbage", "newer", "folder")  # in every CI, one of each kind
DAMAGED: dict[str, Callable[[Path], object]] = {
    "truncated": lambda path: os.truncate(path, path.stat().st_size // 2),
    "one page": lambda path: os.truncate(path, 4096),
    "ten bytes": lambda path: os.truncate(path, 10),
    "garbage": lambda path: path.write_bytes(os.urandom(path.stat().st_size)),
    "text": lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\n"),
    "header": lambda path: path.write_bytes(os.urandom(100) + path.read_bytes()[100:]),
    "middle": middle_destroyed,
    "other log": other_log,
    "newer": lambda path: execute(path, "UPDATE alembic_version SET version_num = 'ffffffffffff'"),
    "no metrics": lambda path: execute(path, "DROP TABLE metrics"),
    "no runs": lambda path: execute(path, "DROP TABLE runs"),
    "folder": lambda path: replaced(path, Path.mkdir),
    "full folder": lambda path: replaced(path, lambda place: shutil.copytree(place.parent / "finetune", place)),
    "fifo": lambda path: replaced(path, os.mkfifo),
    "dangling link": lambda path: replaced(path, lambda place: place.symlink_to("nothing")),
    "loop": lambda path: replaced(path, lambda place: place.symlink_to(place)),
}


def assert_all_delivered(database: Path) -> None:
    """Each stage is one finished run of the database, with its model."""
    store = Store(database.parent)
    client, stages = Reader(default_uri(store)), unique_stages(expand(load(Path("tiny.yaml"))))
    experiment = client.get_experiment_by_name("tiny")
    found = client.search_runs([experiment.experiment_id], "attributes.status = 'FINISHED'")
    assert sorted(run.data.tags["key"] for run in found if "key" in run.data.tags) == sorted(s.key for s in stages)
    for run_id in Ledger(store, "tiny").runs(default_uri(store)).values():
        assert study.load(run_id, store=str(store)) is not None


def assert_one_sentence(text: str) -> None:
    assert len(text.strip().splitlines()) == 1
    assert "Traceback" not in text
    assert "sqlalchemy" not in text.lower()
    assert len(text) < 600


def assert_doctor_names(database: Path, problem: str) -> None:
    """`doctor` has the sentence and the remedy of `sync`, and changes nothing."""
    before = {path.name for path in database.parent.iterdir()}
    invocation = Invocation("tiny.yaml", {"store": "my store"})
    found = preflight.sqlite(default_uri(Store(database.parent)), invocation)
    assert found.status == "warning"
    assert found.message in problem
    assert found.suggestion in problem
    assert {path.name for path in database.parent.iterdir()} - before <= {"mlflow.db-wal", "mlflow.db-shm"}


@pytest.mark.parametrize(
    "kind", [kind if kind in SHOWN else pytest.param(kind, marks=pytest.mark.nightly) for kind in DAMAGED]
)
def test_a_damaged_database_is_rebuilt_by_the_command_in_the_message(
    database: Path, command: Command, kind: str
) -> None:
    run_id = next(iter(Ledger(Store(database.parent), "tiny").runs(default_uri(Store(database.parent))).values()))
    DAMAGED[kind](database)
    began = time.monotonic()
    code, text = command("sync", "tiny.yaml", "--store", "my store")
    assert time.monotonic() - began < 60  # MLflow alone would try for minutes
    assert code == 2
    assert_one_sentence(text)
    assert f"the MLflow database {database} " in text
    assert_doctor_names(database, text)
    advice = re.search(r"python -m study (sync .*--rebuild)", text)
    assert advice is not None, text
    try:
        assert study.load(run_id, store="my store") is not None  # what it needs may be intact
    except StudyError as error:
        assert_one_sentence(str(error))
    code, text = command(*shlex.split(advice[1]))
    assert code == 0, text
    assert "6 runs delivered" in text
    assert_all_delivered(database)
    aside = [path for path in database.parent.iterdir() if path.name.startswith("mlflow.db-2")]
    assert len(aside) == 1
    assert {"mlflow.db", "mlartifacts"} <= {path.name for path in aside[0].iterdir()}
    assert command("sync", "tiny.yaml", "--store", "my store")[1].startswith("0 runs")


@pytest.mark.parametrize(
    "lose",
    [
        lambda path: path.write_bytes(b""),
        Path.unlink,
        lambda path: shutil.copy(path.with_name("earlier"), path),
    ],
    ids=["empty", "removed", "an earlier copy"],
)
def test_runs_that_a_database_has_lost_are_delivered_again(
    tiny: Path, place: Path, tiny_results: Path, command: Command, lose: Callable[[Path], object]
) -> None:
    """The ledger names them; the database does not have them."""
    store, database = place / "store", place / "store" / "mlflow.db"
    shutil.copytree(tiny_results, store)
    tiny.write_text(ONE_REPLICATE)
    shutil.move(store / "finetune", place / "finetune")
    assert command("sync", "tiny.yaml", "--store", "store")[0] == 0
    execute(database, "PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(database, store / "earlier")
    shutil.move(place / "finetune", store / "finetune")
    assert command("sync", "tiny.yaml", "--store", "store")[0] == 0
    execute(database, "PRAGMA wal_checkpoint(TRUNCATE)")
    lose(database)
    code, text = command("sync", "tiny.yaml", "--store", "store")
    assert code == 0, text
    assert_all_delivered(database)


@pytest.mark.parametrize("mode", [pytest.param("DELETE", marks=pytest.mark.nightly), "WAL"])
def test_a_locked_database(database: Path, command: Command, mode: str) -> None:
    """By another process, with an exclusive transaction for the whole time; nothing is set aside."""
    execute(database, f"PRAGMA journal_mode={mode}")
    Ledger(Store(database.parent), "tiny").path.unlink()
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        for arguments in ((), ("--rebuild",)):
            began = time.monotonic()
            code, text = command("sync", "tiny.yaml", "--store", "my store", *arguments)
            assert time.monotonic() - began < 60
            assert code == 2
            assert_one_sentence(text)
            assert f"the MLflow database {database} is locked by another process; end it and try again" in text
            assert_doctor_names(database, text)
    assert not list(database.parent.glob("mlflow.db-2*"))
    assert command("sync", "tiny.yaml", "--store", "my store")[0] == 0
    assert_all_delivered(database)


def test_a_database_of_an_earlier_version_is_upgraded_by_the_command_in_the_message(
    database: Path, command: Command
) -> None:
    from alembic import command as alembic
    from mlflow.store.db.utils import _get_alembic_config

    Ledger(Store(database.parent), "tiny").path.unlink()
    alembic.downgrade(_get_alembic_config(f"sqlite:///{database}"), "-1")
    code, text = command("sync", "tiny.yaml", "--store", "my store")
    if "is of an earlier version of MLflow" in text:
        assert code == 2
        assert_one_sentence(text)
        assert_doctor_names(database, text)
        upgrade = shlex.split(text.partition("to upgrade it: ")[2])
        assert upgrade[0] == "python"
        subprocess.run([sys.executable, *upgrade[1:]], check=True, capture_output=True)
        code, text = command("sync", "tiny.yaml", "--store", "my store")
    assert code == 0, text
    assert_all_delivered(database)


def test_doctor_has_a_line_for_the_database(database: Path, command: Command) -> None:
    line = re.compile(r"(\w+) +MLflow database +(.*)")
    assert line.search(command("doctor", "--store", "my store")[1])[1] == "ok"
    database.write_bytes(os.urandom(5000))
    status, rest = line.search(" ".join(command("doctor", "tiny.yaml", "--store", "my store")[1].split())).groups()
    assert status == "warning"
    assert re.search(r"is damaged .* python -m study sync tiny.yaml --store 'my store' --rebuild", rest)


KILLED = """
import os, signal, sys
from pathlib import Path
from study.tracking import new_database
new_database.forget = lambda uri: os.kill(os.getpid(), signal.SIGKILL)
new_database.create(Path(sys.argv[1]))
"""


def test_what_a_killed_creation_leaves_is_removed(database: Path, command: Command) -> None:
    """At the next delivery; after a while also what a process of another machine has left."""
    database.unlink()
    done = subprocess.run([sys.executable, "-c", KILLED, str(database)], check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL
    (killed,) = database.parent.glob(f"{new_database.PREFIX}*")
    live, elsewhere, old = (database.with_name(f"{new_database.PREFIX}{name}") for name in ("live", "other", "old"))
    for folder in (live, elsewhere, old):
        folder.mkdir()
    stale_dirs.claim(live)
    for folder in (elsewhere, old):
        (folder / stale_dirs.MARK).write_text("another-machine:1:1")
    os.utime(old, (0, time.time() - 2 * stale_dirs.MAX_CREATION))
    assert command("sync", "tiny.yaml", "--store", "my store")[0] == 0
    assert not killed.exists()
    assert set(database.parent.glob(f"{new_database.PREFIX}*")) == {live, elsewhere}
    assert_all_delivered(database)


def test_a_server_is_not_rebuilt(database: Path, command: Command) -> None:
    code, text = command("sync", "tiny.yaml", "--store", "my store", "--rebuild", "--tracking-uri", "http://host:5000")
    assert code == 2
    assert "--rebuild is for a database file, not for the server http://host:5000" in text


@pytest.mark.parametrize("limit", [pytest.param(1, marks=pytest.mark.nightly), 150_000])
def test_a_creation_that_fails_leaves_nothing(tiny: Path, place: Path, tiny_results: Path, limit: int) -> None:
    """No file may grow beyond the limit, as on a full disk."""
    shutil.copytree(tiny_results, place / "store")
    tiny.write_text(ONE_REPLICATE)
    sync = [sys.executable, "-m", "study", "sync", "tiny.yaml", "--store", "store"]
    done = subprocess.run(
        sync,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert done.returncode == 2
    assert_one_sentence(done.stdout + done.stderr)
    assert not [path.name for path in (place / "store").iterdir() if "mlflow" in path.name]
    assert subprocess.run(sync, capture_output=True, check=False).returncode == 0
    assert_all_delivered(place / "store" / "mlflow.db")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    made = SmallDisk(tmp_path / "disk", megabytes=16)
    made.mount()
    if not made.mounted:
        pytest.skip("mounts are not permitted here")
    yield made
    made.unmount()


@pytest.mark.parametrize(
    ("exists", "leave"),
    [
        (False, 0),
        *(pytest.param(*case, marks=pytest.mark.nightly) for case in ((True, 0), (False, 40_000), (False, 600_000))),
    ],
)
def test_a_full_disk(
    tiny: Path, place: Path, delivered: Path, disk: SmallDisk, command: Command, exists: bool, leave: int
) -> None:
    """One sentence with the remedy. Once there is space, the same command delivers everything, once."""
    tiny.write_text(ONE_REPLICATE)
    store = disk.folder / "store"
    shutil.copytree(delivered, store, ignore=shutil.ignore_patterns("mlflow.db*", "mlartifacts", "tracking"))
    if exists:
        MlflowClient(default_uri(Store(store))).search_experiments()
    disk.fill(leave)
    code, text = command("sync", "tiny.yaml", "--store", str(store))
    assert code == 2, text
    assert len(text.strip().splitlines()) <= 2  # what was delivered before, and the error
    assert_one_sentence(text.strip().splitlines()[-1])
    assert re.search(r"(disk is full|No space left on device); free disk space", text), text
    disk.free()
    code, text = command("sync", "tiny.yaml", "--store", str(store))
    assert code == 0, text
    assert_all_delivered(store / "mlflow.db")
    assert not list(store.glob(f"{new_database.PREFIX}*"))


FEW_STAGES = ONE_REPLICATE.replace("  mode: {path: finetune.mode, levels: [finetune, probe]}\n", "")


@pytest.mark.system
@pytest.mark.parametrize("kind", [pytest.param("garbage", marks=pytest.mark.nightly), "locked"])
def test_a_sweep_is_not_affected(tiny: Path, place: Path, kind: str) -> None:
    """Everything is stored, the exit code is that of the trials, and one sentence names the remedy."""
    tiny.write_text(FEW_STAGES)
    database = place / ".study" / "mlflow.db"
    database.parent.mkdir()
    other = sqlite3.connect(database, isolation_level=None)
    execute(database, "CREATE TABLE empty (x)")
    if kind == "locked":
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
    else:
        database.write_bytes(os.urandom(50_000))
    with closing(other):
        run = [sys.executable, "-m", "study", "run", "tiny.yaml"]
        done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(Store(database.parent).keys()) == 5
    assert "5 of 5 stages run" in done.stdout
    (line,) = (line for line in done.stdout.splitlines() if "MLflow" in line)
    assert "is incomplete" in line
    assert "python -m study sync tiny.yaml" in line
    for word in ("Traceback", "sqlalchemy", "alembic", "WARNING"):
        assert word not in done.stdout + done.stderr
