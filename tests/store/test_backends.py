"""Storage backends: one conformance suite for folders, in-memory object storage, and local S3 and GCS servers."""

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
from helpers.storage_clock import tick
from helpers.store_writers import create_and_write

from study.store.backends import Folder, Storage, open_storage
from study.store.backends.objects import Objects
from study.store.results import Store, StoreError
from study.utils.errors import StudyError

FILES = {"a.json": b"{}", "model.safetensors": b"\0" * 100}


@pytest.fixture(params=["folder", "memory", "s3", "gs"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "folder":
        return open_storage(tmp_path / "store")
    if request.param == "memory":
        return open_storage(f"memory://{tmp_path.name}-{time.monotonic_ns()}/store")
    location = request.getfixturevalue({"s3": "bucket", "gs": "gs_folder"}[request.param])
    return open_storage(f"{location}/a/store")


# --- every backend ---


def test_a_new_storage_is_empty(storage: Storage) -> None:
    assert storage.list_files("finetune") == {}
    assert storage.list_folders("finetune") == []
    assert not storage.has_folder("finetune/k")
    assert storage.read_folder("finetune/k", ["a.json"]) is None
    with pytest.raises(FileNotFoundError):
        storage.read("failed/k.json")
    with pytest.raises(FileNotFoundError), storage.as_local("finetune/k"):
        pass
    storage.remove("failed/k.json")
    storage.remove_folder("finetune/k")
    assert storage.remove_partial("finetune", [], 0.0) == 0


def test_usage_has_the_size_of_files_and_of_complete_folders(storage: Storage) -> None:
    assert storage.usage("finetune") == {}
    storage.write_folder("finetune/k", FILES)
    storage.write_folder("finetune/l", {"a.json": b"{}"})
    storage.write("finetune/note", b"12345")
    found = storage.usage("finetune")
    assert sorted(found) == ["k", "l", "note"]
    assert found["note"].size == 5
    markers = found["l"].size - 2  # object storage has one per folder
    assert found["k"].size == 102 + markers
    assert abs(found["k"].modified - storage.list_files("finetune")["note"]) < 60.0


def test_usage_leaves_out_partial_writes(storage: Storage) -> None:
    storage.write("finetune/.k-" + 32 * "0" if isinstance(storage, Folder) else f"finetune/k.{32 * '0'}/a", b"1")
    assert storage.usage("finetune") == {}


def test_a_tree_is_removed_with_all_its_files_and_no_others(storage: Storage) -> None:
    for path in ("claims/a/1.json", "claims/a/looks/1.json", "claims/ab/1.json", "claims/b.json"):
        storage.write(path, b"1")
    storage.remove_tree("claims/a")
    storage.remove_tree("claims/a")
    storage.remove_tree("claims/nothing")
    assert (storage.list_files("claims/a"), storage.list_files("claims/a/looks")) == ({}, {})
    assert list(storage.list_files("claims/ab")) == ["1.json"]
    assert list(storage.list_files("claims")) == ["b.json"]


def test_preparing_leaves_no_files(storage: Storage) -> None:
    storage.prepare()
    assert storage.list_files("") == {}


def test_files_are_written_replaced_and_removed(storage: Storage) -> None:
    storage.write("failed/k.json", b"1")
    storage.write("failed/k.json", b"22")
    assert storage.read("failed/k.json") == b"22"
    assert list(storage.list_files("failed")) == ["k.json"]
    storage.remove("failed/k.json")
    assert storage.list_files("failed") == {}


def test_create_does_not_replace(storage: Storage) -> None:
    assert storage.create("leases/k.1", b"mine")
    assert not storage.create("leases/k.1", b"yours")
    assert storage.read("leases/k.1") == b"mine"
    assert list(storage.list_files("leases")) == ["k.1"]


def test_modification_times_increase(storage: Storage) -> None:
    storage.write("leases/one", b"")
    tick(storage)
    storage.write("leases/two", b"")
    times = storage.list_files("leases")
    assert 0 < times["two"] - times["one"] < 60


def test_the_first_of_two_folders_is_kept_complete(storage: Storage) -> None:
    storage.write_folder("finetune/k", FILES)
    assert storage.has_folder("finetune/k")
    assert storage.list_folders("finetune") == ["k"]
    assert storage.read_folder("finetune/k", ["a.json", "none"]) == {"a.json": b"{}"}
    storage.write_folder("finetune/k", {"a.json": b"other"})
    assert storage.read_folder("finetune/k", ["a.json"]) == {"a.json": b"{}"}
    with storage.as_local("finetune/k") as folder:
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == FILES


def test_a_removed_folder_can_be_written_again(storage: Storage) -> None:
    storage.write_folder("finetune/k", FILES)
    storage.remove_folder("finetune/k")
    assert not storage.has_folder("finetune/k")
    assert storage.list_folders("finetune") == []
    storage.write_folder("finetune/k", {"a.json": b"new"})
    assert storage.read_folder("finetune/k", list(FILES)) == {"a.json": b"new"}


def test_a_name_that_is_a_prefix_of_another_is_a_different_folder(storage: Storage) -> None:
    storage.write_folder("finetune/ab", {"a.json": b"ab"})
    storage.write_folder("finetune/a", {"a.json": b"a"})
    storage.remove_folder("finetune/a")
    assert storage.read_folder("finetune/ab", ["a.json"]) == {"a.json": b"ab"}
    assert not storage.has_folder("finetune/a")


def test_old_partial_writes_are_removed(storage: Storage) -> None:
    unfinished = f"finetune/.k-{'0' * 32}/a.json" if isinstance(storage, Folder) else f"finetune/k.{'0' * 32}/a.json"
    storage.write(unfinished, b"half")
    storage.write_folder("finetune/whole", FILES)
    assert storage.list_folders("finetune") == ["whole"]
    assert storage.remove_partial("finetune", [], 3600.0) == 0
    tick(storage)
    assert storage.remove_partial("finetune", ["k"], 0.0) == 0  # active
    assert storage.remove_partial("finetune", [], 0.0) == 1
    assert storage.remove_partial("finetune", [], 0.0) == 0
    with pytest.raises(FileNotFoundError):
        storage.read(unfinished)
    assert storage.read_folder("finetune/whole", list(FILES)) == FILES


def test_partial_writes_of_finished_stages_are_removed_at_any_age(tmp_path: Path) -> None:
    storage = open_storage(tmp_path)
    for key in ("finished", "active", "started"):
        storage.write(f"unfinished/.{key}-{'0' * 32}", b"half")
    assert storage.remove_partial("unfinished", ["active"], 3600.0, finished=["finished", "active"]) == 1
    assert sorted(path.name.split("-")[0] for path in (tmp_path / "unfinished").iterdir()) == [".active", ".started"]


@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_of_concurrent_writers_one_succeeds(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    address = str(tmp_path / "store") if kind == "folder" else f"{request.getfixturevalue('bucket')}/store"
    context = multiprocessing.get_context("spawn")
    start, succeeded = context.Event(), context.Queue()
    writers = [context.Process(target=create_and_write, args=(address, str(i), start, succeeded)) for i in range(3)]
    for writer in writers:
        writer.start()
    time.sleep(0.5)
    start.set()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * 3
    storage = open_storage(address)
    assert storage.read("leases/k.1").decode() == succeeded.get(timeout=5)
    assert succeeded.empty()
    found = storage.read_folder("finetune/k", ["a.json", "b.json"])
    assert found is not None
    assert found["b.json"] == found["a.json"] * 1000
    if isinstance(storage, Objects):  # the other writers removed their folders
        assert len([entry for entry in storage._entries("finetune") if entry["type"] == "directory"]) == 1


def test_long_listings_are_complete(bucket: str) -> None:
    """S3 returns 1,000 names per page, the test server 10."""
    storage = open_storage(f"{bucket}/store")
    assert isinstance(storage, Objects)
    storage._fs.pipe({storage._at(f"finetune/{i:064x}"): b"{}" for i in range(25)})
    assert len(storage.list_folders("finetune")) == 25


# --- stored content is untrusted ---


@pytest.mark.parametrize("entry", ["finetune/k", "finetune/k/a.json", "finetune/k/", "finetune/k/deeper/a.json"])
def test_objects_that_are_no_folder_count_as_a_damaged_one_and_can_be_replaced(storage: Storage, entry: str) -> None:
    """Empty markers, and files as in a folder, from a store that was copied."""
    if isinstance(storage, Folder) or (entry.endswith("/") and storage.address.startswith(("memory:", "gs:"))):
        pytest.skip("see test_results.py" if isinstance(storage, Folder) else "cannot be written there")
    storage.write(entry, b"")
    storage.write_folder("finetune/other", FILES)
    assert sorted(storage.list_folders("finetune")) == ["k", "other"]
    assert storage.has_folder("finetune/k")
    assert storage.read_folder("finetune/k", list(FILES)) == {}
    storage.remove_folder("finetune/k")
    assert storage.list_folders("finetune") == ["other"]
    storage.write_folder("finetune/k", FILES)
    assert storage.read_folder("finetune/k", list(FILES)) == FILES


@pytest.mark.parametrize("name", FILES)
def test_a_part_that_is_missing_or_empty_is_seen(storage: Storage, name: str) -> None:
    storage.write_folder("finetune/k", FILES)
    place = "finetune/k"
    if isinstance(storage, Objects):
        (place,) = (f"finetune/{entry}" for entry in _folders(storage) if entry.startswith("k."))
    storage.write(f"{place}/{name}", b"")
    assert storage.read_folder("finetune/k", list(FILES)) == FILES | {name: b""}
    storage.remove(f"{place}/{name}")
    assert name not in (storage.read_folder("finetune/k", list(FILES)) or {})
    storage.remove_folder("finetune/k")
    assert storage.list_folders("finetune") == []


def _folders(storage: Objects) -> list[str]:
    entries = storage._entries("finetune")
    return [str(entry["name"]).rpartition("/")[2] for entry in entries if entry["type"] == "directory"]


@pytest.mark.parametrize("named", ["../../elsewhere", "k", "other.0", "", None, 5, ["k"]])
def test_a_marker_can_only_name_a_folder_beside_it(named: object) -> None:
    storage = open_storage(f"memory://trust-{time.monotonic_ns()}/store")
    storage.write("finetune/k", json.dumps({"folder": named}).encode())
    storage.write("finetune/other.0/a.json", b"not yours")
    assert storage.read_folder("finetune/k", ["a.json"]) == {}
    storage.remove_folder("finetune/k")
    assert storage.read("finetune/other.0/a.json") == b"not yours"


# --- invalid or unreachable storage is one clear message ---


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("s3://me:hunter2@bucket/store", ["'s3://***@bucket/store'", "AWS_ACCESS_KEY_ID"]),
        ("s3://bucket/store?secret=hunter2", ["must not contain", "parameters"]),
        ("gs://user@bucket", ["GOOGLE_APPLICATION_CREDENTIALS"]),
        ("s3:///store", ["the bucket is missing"]),
        ("nonsense://bucket/store", ["unsupported store URL nonsense://", "s3://BUCKET/NAME"]),
    ],
)
def test_invalid_urls(address: str, words: list[str]) -> None:
    with pytest.raises(StudyError) as caught:
        Store(address)
    assert all(word in str(caught.value) for word in words)
    assert "hunter2" not in str(caught.value)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    known = importlib.import_module("fsspec.registry")._registry  # fsspec.registry is also an attribute of fsspec
    monkeypatch.delitem(known, "gs", raising=False)  # if an earlier test imported it
    with pytest.raises(StudyError, match=r"requires the package gcsfs: .*lightweight-vit-study\[cluster\]"):
        Store("gs://bucket/store")


def test_a_missing_bucket(bucket: str) -> None:
    store = Store("s3://no-such-bucket/store")
    with pytest.raises(
        StoreError, match=r"s3://no-such-bucket/store cannot be read: bucket 'no-such-bucket' not found"
    ):
        store.keys()
    with pytest.raises(StoreError, match=r"cannot be written: bucket .* not found.*--store"):
        store.prepare()


def test_an_unreachable_server(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    store = Store(f"{bucket}/down")
    store.storage._fs.retries = 1  # type: ignore[attr-defined]  # do not wait for s3fs's own retries
    with pytest.raises(StoreError, match="cannot be read: Could not connect to the endpoint"):
        store.keys()


def test_missing_credentials(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    with pytest.raises(StoreError, match=r"cannot be written: .*credentials"):
        Store(f"{bucket}/anonymous").prepare()


# --- a study with a bucket as its store ---


def study(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "study", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)


@pytest.mark.system
def test_a_study_on_s3_from_grid_to_report_and_model(tiny: Path, bucket: str, place: Path) -> None:
    """One stage is stored beforehand. Ray workers write the others; the driver, the report and `load` read them."""
    from helpers.distinct_stages import unique_stages

    from study.design.study import expand
    from study.design.study import load as load_grid
    from study.execution.run_stage import run_stage
    from study.tracking.trained_models import load as load_model

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
    with pytest.raises(StudyError, match="no model found"):
        load_model(f"{address}/finetune/{'0' * 64}")
