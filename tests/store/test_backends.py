"""Storage: one suite of rules for folders, object storage in memory, and servers that speak as S3 and Google's do."""

import csv
import importlib
import json
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from study.design.stages import unique_stages
from study.design.study import expand
from study.design.study import load as load_grid
from study.execution.run_stage import run_stage
from study.store.backends import Folder, Storage, open_storage
from study.store.backends.objects import Objects
from study.store.results import Store, StoreError
from study.tracking.trained_models import load as load_model
from study.utils.errors import StudyError

FILES = {"a.json": b"{}", "model.safetensors": b"\0" * 100}


@pytest.fixture(params=["folder", "memory", "s3", "gs"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "folder":
        return open_storage(tmp_path / "store")
    if request.param == "memory":
        return open_storage(f"memory://{tmp_path.name}-{time.monotonic_ns()}/store")
    place = request.getfixturevalue({"s3": "bucket", "gs": "gs_folder"}[request.param])
    return open_storage(f"{place}/a/store")


# --- rules that hold everywhere ---


def test_nothing_is_there_at_first(storage: Storage) -> None:
    assert storage.listed("finetune") == {}
    assert storage.folders("finetune") == []
    assert not storage.has_folder("finetune/k")
    assert storage.read_folder("finetune/k", ["a.json"]) is None
    with pytest.raises(FileNotFoundError):
        storage.read("failed/k.json")
    with pytest.raises(FileNotFoundError), storage.as_local("finetune/k"):
        pass
    storage.remove("failed/k.json")
    storage.remove_folder("finetune/k")
    assert storage.sweep("finetune", [], 0.0) == 0


def test_preparing_leaves_nothing(storage: Storage) -> None:
    storage.prepare()
    assert storage.listed("") == {}


def test_files_are_written_replaced_and_removed(storage: Storage) -> None:
    storage.write("failed/k.json", b"1")
    storage.write("failed/k.json", b"22")
    assert storage.read("failed/k.json") == b"22"
    assert list(storage.listed("failed")) == ["k.json"]
    storage.remove("failed/k.json")
    assert storage.listed("failed") == {}


def test_a_file_is_created_once(storage: Storage) -> None:
    assert storage.create("leases/k.1", b"mine")
    assert not storage.create("leases/k.1", b"yours")
    assert storage.read("leases/k.1") == b"mine"
    assert list(storage.listed("leases")) == ["k.1"]


def test_times_are_the_storages_own_and_go_on(storage: Storage) -> None:
    storage.write("leases/one", b"")
    time.sleep(1.1)  # services tell whole seconds
    storage.write("leases/two", b"")
    times = storage.listed("leases")
    assert 0.5 < times["two"] - times["one"] < 60


def test_a_folder_is_whole_or_absent_and_the_first_ones_stays(storage: Storage) -> None:
    storage.write_folder("finetune/k", FILES)
    assert storage.has_folder("finetune/k")
    assert storage.folders("finetune") == ["k"]
    assert storage.read_folder("finetune/k", ["a.json", "none"]) == {"a.json": b"{}"}
    storage.write_folder("finetune/k", {"a.json": b"other"})
    assert storage.read_folder("finetune/k", ["a.json"]) == {"a.json": b"{}"}
    with storage.as_local("finetune/k") as folder:
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == FILES


def test_a_folder_that_is_removed_can_be_written_again(storage: Storage) -> None:
    storage.write_folder("finetune/k", FILES)
    storage.remove_folder("finetune/k")
    assert not storage.has_folder("finetune/k")
    assert storage.folders("finetune") == []
    storage.write_folder("finetune/k", {"a.json": b"new"})
    assert storage.read_folder("finetune/k", list(FILES)) == {"a.json": b"new"}


def test_keys_of_which_one_begins_like_the_other_are_kept_apart(storage: Storage) -> None:
    storage.write_folder("finetune/ab", {"a.json": b"ab"})
    storage.write_folder("finetune/a", {"a.json": b"a"})
    storage.remove_folder("finetune/a")
    assert storage.read_folder("finetune/ab", ["a.json"]) == {"a.json": b"ab"}
    assert not storage.has_folder("finetune/a")


def test_what_a_killed_writer_has_left_is_swept_once_it_is_old(storage: Storage) -> None:
    unfinished = f"finetune/.k-{'0' * 32}/a.json" if isinstance(storage, Folder) else f"finetune/k.{'0' * 32}/a.json"
    storage.write(unfinished, b"half")
    storage.write_folder("finetune/whole", FILES)
    assert storage.folders("finetune") == ["whole"]
    assert storage.sweep("finetune", [], 3600.0) == 0
    time.sleep(1.1)  # services tell whole seconds
    assert storage.sweep("finetune", ["k"], 0.0) == 0  # somebody is at work on it
    assert storage.sweep("finetune", [], 0.0) == 1
    assert storage.sweep("finetune", [], 0.0) == 0
    with pytest.raises(FileNotFoundError):
        storage.read(unfinished)
    assert storage.read_folder("finetune/whole", list(FILES)) == FILES


def test_what_is_left_of_a_finished_stage_goes_at_once(tmp_path: Path) -> None:
    storage = open_storage(tmp_path)
    for key in ("ended", "kept", "begun"):
        storage.write(f"unfinished/.{key}-{'0' * 32}", b"half")
    assert storage.sweep("unfinished", ["kept"], 3600.0, ended=["ended", "kept"]) == 1
    assert sorted(path.name.split("-")[0] for path in (tmp_path / "unfinished").iterdir()) == [".begun", ".kept"]


def _create(
    address: str, name: str, start: "multiprocessing.synchronize.Event", won: "multiprocessing.Queue[str]"
) -> None:
    storage = open_storage(address)
    start.wait()
    if storage.create("leases/k.1", name.encode()):
        won.put(name)
    storage.write_folder("finetune/k", {"a.json": name.encode(), "b.json": name.encode() * 1000})


@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_of_writers_at_the_same_moment_one_wins(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    address = str(tmp_path / "store") if kind == "folder" else f"{request.getfixturevalue('bucket')}/store"
    context = multiprocessing.get_context("spawn")
    start, won = context.Event(), context.Queue()
    writers = [context.Process(target=_create, args=(address, str(i), start, won)) for i in range(3)]
    for writer in writers:
        writer.start()
    time.sleep(0.5)
    start.set()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * 3
    storage = open_storage(address)
    assert storage.read("leases/k.1").decode() == won.get(timeout=5)
    assert won.empty()
    found = storage.read_folder("finetune/k", ["a.json", "b.json"])
    assert found is not None
    assert found["b.json"] == found["a.json"] * 1000
    if isinstance(storage, Objects):  # the others have cleared away what they wrote
        assert len([entry for entry in storage._entries("finetune") if entry["type"] == "directory"]) == 1


def test_listings_of_many_are_whole(bucket: str) -> None:
    """S3 answers a thousand names at a time, the tests' server ten."""
    storage = open_storage(f"{bucket}/store")
    assert isinstance(storage, Objects)
    storage._fs.pipe({storage._at(f"finetune/{i:064x}"): b"{}" for i in range(25)})
    assert len(storage.folders("finetune")) == 25


# --- what is stored is data ---


@pytest.mark.parametrize("named", ["../../elsewhere", "k", "other.0", "", None, 5, ["k"]])
def test_a_marker_names_nothing_but_a_folder_beside_it(named: object) -> None:
    storage = open_storage(f"memory://trust-{time.monotonic_ns()}/store")
    storage.write("finetune/k", json.dumps({"folder": named}).encode())
    storage.write("finetune/other.0/a.json", b"not yours")
    assert storage.read_folder("finetune/k", ["a.json"]) == {}
    storage.remove_folder("finetune/k")
    assert storage.read("finetune/other.0/a.json") == b"not yours"


# --- places that cannot be used are one message ---


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("s3://me:hunter2@bucket/store", ["'s3://***@bucket/store'", "AWS_ACCESS_KEY_ID"]),
        ("s3://bucket/store?secret=hunter2", ["must not hold", "parameters"]),
        ("gs://user@bucket", ["GOOGLE_APPLICATION_CREDENTIALS"]),
        ("s3:///store", ["names no bucket"]),
        ("nonsense://bucket/store", ["invalid scheme nonsense://", "s3://BUCKET/NAME"]),
    ],
)
def test_addresses_that_cannot_be(address: str, words: list[str]) -> None:
    with pytest.raises(StudyError) as caught:
        Store(address)
    assert all(word in str(caught.value) for word in words)
    assert "hunter2" not in str(caught.value)


def test_a_driver_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    known = importlib.import_module("fsspec.registry")._registry  # an attribute of fsspec has taken the module's name
    monkeypatch.delitem(known, "gs", raising=False)  # it may have been imported before
    with pytest.raises(StudyError, match=r"needs the package gcsfs: .*lightweight-vit-study\[cluster\]"):
        Store("gs://bucket/store")


def test_a_bucket_that_is_not_there(bucket: str) -> None:
    store = Store("s3://no-such-bucket/store")
    with pytest.raises(
        StoreError, match=r"s3://no-such-bucket/store cannot be read: there is no bucket 'no-such-bucket'"
    ):
        store.keys()
    with pytest.raises(StoreError, match=r"cannot be written: there is no bucket .*--store"):
        store.prepare()


def test_a_server_that_does_not_answer(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    store = Store(f"{bucket}/down")
    store.storage._fs.retries = 1  # type: ignore[attr-defined]  # patience is s3fs's, not tested here
    with pytest.raises(StoreError, match="cannot be read: Could not connect to the endpoint"):
        store.keys()


def test_credentials_that_are_missing(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    with pytest.raises(StoreError, match=r"cannot be written: .*credentials"):
        Store(f"{bucket}/anonymous").prepare()


# --- a study whose store is a bucket ---


def study(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "study", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)


@pytest.mark.system
def test_a_study_on_s3_from_grid_to_report_and_model(tiny: Path, bucket: str, place: Path) -> None:
    """One stage is there already. Ray's workers write the others; the driver, a report and a stranger read them."""
    text = tiny.read_text().replace("replicates: 2", "replicates: 1")
    tiny.write_text("".join(line for line in text.splitlines(True) if not line.startswith(("  kv heads:", "  mode:"))))
    address = f"{bucket}/store"
    first = unique_stages(expand(load_grid(tiny)))[0]
    run_stage(first, Store(address), "cpu", lambda row: None)
    ran = study("run", tiny.name, "--store", address)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "1 done, 2 to run" in ran.stdout
    assert "2 of 2 stages run" in ran.stdout
    with (place / "reports" / "tiny" / "results.csv").open(newline="") as file:
        trials = list(csv.DictReader(file))
    assert [row["status"] for row in trials] == ["done"] * 2
    assert all(row["run_id"] for row in trials)
    assert not (place / ".study" / "finetune").exists()
    again = study("run", tiny.name, "--store", address)
    assert "0 to run" in again.stdout, again.stderr
    assert "report up to date" in again.stdout

    assert load_model(f"{address}/finetune/{trials[0]['key']}").num_classes == 10
    with pytest.raises(StudyError, match="no model is stored here"):
        load_model(f"{address}/finetune/{'0' * 64}")
