"""The store: results are complete or absent, verified when read, and never lost by a failed write."""

import hashlib
import json
import multiprocessing
import os
import stat
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.paths import ROOT, TESTS
from helpers.store_samples import PRETRAIN, RESULT, STAGE
from helpers.store_writers import save

from study import __version__
from study.design.stages import Stage
from study.store import results as store_module
from study.store.predictions import Predictions, decode, encode
from study.store.results import (
    CHECKSUMS,
    PREDICTIONS,
    WEIGHTS,
    CorruptError,
    Failure,
    NewerVersionError,
    Result,
    Store,
    StoreError,
)
from study.utils.errors import StudyError
from study.utils.npz import packed
from study.vit.settings import Encoder, Finetune
from study.vit.stages import StageSettings

FILES = ["stage.json", "result.json", "config.json", WEIGHTS, "checksums.json"]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def folder(store: Store) -> Path:
    """The folder of STAGE in the store."""
    store.save(STAGE, RESULT, b"weights", {"num_classes": 10})
    return store.root / "finetune" / STAGE.key


def temporary_files(store: Store) -> list[str]:
    return [path.name for path in store.root.rglob(".*")]


def test_the_checkpoint_of_a_finished_stage_is_removed(store: Store) -> None:
    """As after a kill between storing the result and deleting the checkpoint."""
    for stage in (STAGE, PRETRAIN):
        store.save_checkpoint(stage, b"state")
    store.storage.write_folder(f"finetune/{STAGE.key}", {"a": b""})
    assert store.remove_abandoned([STAGE.key]) == 0  # still active in another driver
    assert store.remove_abandoned([]) == 1
    assert store.list_files("unfinished").keys() == {PRETRAIN.key}


# --- stored results ---


def test_a_result_is_read_back_exactly(store: Store) -> None:
    assert store.find(STAGE) is None
    assert not store.has(STAGE)
    store.save(STAGE, RESULT, b"weights", {"num_classes": 10})
    assert store.find(STAGE) == RESULT
    assert store.has(STAGE)
    assert store.weights(STAGE) == b"weights"
    assert store.find(PRETRAIN) is None
    assert temporary_files(store) == []


def test_a_stage_is_one_folder_named_by_its_key(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    stored = json.loads((folder / "stage.json").read_text())
    assert stored == {"identity": STAGE.identity, "spec": json.loads(json.dumps(STAGE.spec())), "study": __version__}


def test_keys_are_those_of_finished_stages(store: Store, folder: Path) -> None:
    assert store.keys() == {STAGE.key}
    store.save(PRETRAIN, RESULT, b"", {})
    store.record_failure(Stage(StageSettings(Encoder(), Finetune(dataset="digits")), 2), "no memory")
    (folder.parent / f".{STAGE.key}-half-written").mkdir()
    assert store.keys() == {STAGE.key, PRETRAIN.key}


def test_a_missing_store_is_empty_and_not_created(store: Store) -> None:
    assert store.keys() == frozenset()
    assert store.failure(STAGE) is None
    assert not store.root.exists()


def test_a_discarded_stage_is_absent(store: Store, folder: Path) -> None:
    store.discard(STAGE)
    assert store.find(STAGE) is None
    store.discard(STAGE)


def test_nan_metrics_are_stored(store: Store) -> None:
    """One undefined metric must not cost the whole result."""
    store.save(STAGE, Result({"loss": float("nan")}, {}, [], []), b"", {})
    found = store.find(STAGE)
    assert found is not None
    assert found.metrics["loss"] != found.metrics["loss"]


# --- predictions of the test images ---

PREDICTED = Predictions(np.array([0, 2, 1]), np.array([0, 1, 1]), "ab" * 32, ("cat", "dog", "ä ö"))


def test_predictions_are_read_back_exactly(store: Store) -> None:
    store.save(STAGE, RESULT, b"weights", {}, PREDICTED)
    found = store.predictions(STAGE)
    assert found is not None
    assert (found.predicted_N.tolist(), found.labels_N.tolist()) == ([0, 2, 1], [0, 1, 1])
    assert (found.images, found.class_names) == (PREDICTED.images, PREDICTED.class_names)
    store.check(STAGE)


def test_stages_without_predictions_are_complete(store: Store, folder: Path) -> None:
    """As stored by earlier versions. A file that was not stored with the stage is not part of it."""
    assert store.predictions(STAGE) is None
    assert store.predictions(PRETRAIN) is None
    (folder / PREDICTIONS).write_bytes(b"someone's own")
    assert store.predictions(STAGE) is None
    store.check(STAGE)


@pytest.mark.parametrize("damage", [lambda data: data[:-1], None])
def test_damaged_predictions_are_detected(store: Store, damage: Callable[[bytes], bytes] | None) -> None:
    store.save(STAGE, RESULT, b"weights", {}, PREDICTED)
    path = store.root / "finetune" / STAGE.key / PREDICTIONS
    if damage:
        path.write_bytes(damage(path.read_bytes()))
    else:
        path.unlink()
    assert store.find(STAGE) == RESULT  # which does not depend on them
    for read in (store.check, store.predictions):
        with pytest.raises(CorruptError, match=PREDICTIONS):
            read(STAGE)


def inconsistent(**arrays: np.ndarray) -> bytes:
    """Predictions of three images, with other arrays."""
    own = {"predicted": np.uint8([0, 2, 1]), "labels": np.uint8([0, 1, 1]), "images": np.array("ab")}
    return packed({**own, "class_names": np.array(["a", "b", "c"]), **arrays})


INCONSISTENT = [
    inconsistent(predicted=np.uint8([0, 1])),
    inconsistent(predicted=np.uint8(3)),
    inconsistent(predicted=np.uint8([[0, 2, 1]]), labels=np.uint8([[0, 1, 1]])),
    inconsistent(predicted=np.uint8([]), labels=np.uint8([])),
    inconsistent(predicted=np.float64([0, 0.5, 1])),
    inconsistent(predicted=np.int8([0, -1, 1])),
    inconsistent(predicted=np.array(["a", "b", "c"])),
    inconsistent(predicted=np.uint8([0, 3, 1])),
]


@pytest.mark.parametrize("data", INCONSISTENT)
def test_verification_finds_predictions_that_are_undamaged_but_not_one_class_per_image(
    store: Store, data: bytes
) -> None:
    store.save(STAGE, RESULT, b"weights", {}, PREDICTED)
    path = store.root / "finetune" / STAGE.key / PREDICTIONS
    path.write_bytes(data)
    checksums = json.loads((path.parent / CHECKSUMS).read_text())
    (path.parent / CHECKSUMS).write_text(json.dumps({**checksums, PREDICTIONS: hashlib.sha256(data).hexdigest()}))
    for read in (store.check, store.predictions):
        with pytest.raises(CorruptError, match=PREDICTIONS):
            read(STAGE)


@pytest.mark.parametrize("data", [b"", b"no zip", b"PK\x03\x04", packed({"labels": np.zeros(1)}), *INCONSISTENT])
def test_other_content_is_no_predictions(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (any message)
        decode(data)


def test_ten_thousand_images_of_a_thousand_classes_take_few_bytes_and_always_the_same() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 1_000, 10_000)
    wrong = np.where(rng.random(10_000) < 0.3, rng.integers(0, 1_000, 10_000), labels)
    data = encode(Predictions(wrong, labels, "ab" * 32))
    assert len(data) < 40_000
    assert data == encode(decode(data))
    assert decode(data).predicted_N.dtype == np.uint16


# --- damage ---


@pytest.mark.parametrize("name", ["stage.json", "result.json", "checksums.json"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:-2],
        lambda data: data.replace(b'"', b"'", 1),
        lambda data: data.replace(b"0", b"1"),
        lambda data: b"\xff" + data,
        lambda data: b"[]",
        None,
    ],
)
def test_damaged_files_are_detected(
    store: Store, folder: Path, name: str, damage: Callable[[bytes], bytes] | None
) -> None:
    path = folder / name
    if damage is None:
        path.unlink()
    else:
        changed = damage(path.read_bytes())
        assert changed != path.read_bytes()
        path.write_bytes(changed)
    with pytest.raises(CorruptError, match="--recompute-damaged") as caught:
        store.find(STAGE)
    assert str(folder) in str(caught.value)


OTHER_ENTRIES: dict[str, Callable[[Path], object]] = {
    "file": lambda path: path.write_bytes(b"x"),
    "empty folder": lambda path: path.mkdir(),
    "fifo": lambda path: os.mkfifo(path),
    "broken link": lambda path: path.symlink_to("nowhere"),
    "loop": lambda path: path.symlink_to(path.name),
    "socket": lambda path: os.mknod(path, stat.S_IFSOCK | 0o600),
    "device": lambda path: path.symlink_to("/dev/zero"),
    "link to a folder": lambda path: path.symlink_to(path.parent, target_is_directory=True),
}


@pytest.mark.parametrize("entry", OTHER_ENTRIES)
def test_anything_else_in_place_of_a_stage_is_damage_and_can_be_removed(store: Store, folder: Path, entry: str) -> None:
    store.discard(STAGE)
    OTHER_ENTRIES[entry](folder)
    assert store.has(STAGE)
    assert store.keys() == {STAGE.key}
    with pytest.raises(CorruptError, match="--recompute-damaged"):
        store.find(STAGE)
    with pytest.raises(CorruptError):
        store.check(STAGE)
    store.discard(STAGE)
    assert not store.has(STAGE)
    assert list(folder.parent.iterdir()) == []
    store.save(STAGE, RESULT, b"", {})
    assert store.find(STAGE) == RESULT


@pytest.mark.parametrize("name", ["stage.json", "result.json", "checksums.json", WEIGHTS])
@pytest.mark.parametrize("entry", [name for name in OTHER_ENTRIES if name != "file"])
def test_anything_else_in_place_of_a_file_is_damage(store: Store, folder: Path, name: str, entry: str) -> None:
    (folder / name).unlink()
    OTHER_ENTRIES[entry](folder / name)
    with pytest.raises(CorruptError, match=name.replace(".", r"\.")):
        store.check(STAGE)


def test_a_link_to_a_stage_is_that_stage_and_only_the_link_is_removed(store: Store, folder: Path) -> None:
    elsewhere = folder.rename(store.root / "elsewhere")
    folder.symlink_to(elsewhere)
    store.check(STAGE)
    assert store.find(STAGE) == RESULT
    (elsewhere / WEIGHTS).write_bytes(b"other")
    with pytest.raises(CorruptError, match="checksum"):
        store.check(STAGE)
    store.discard(STAGE)
    assert not store.has(STAGE)
    assert (elsewhere / WEIGHTS).exists()
    store.save(STAGE, RESULT, b"", {})
    assert store.find(STAGE) == RESULT


@pytest.mark.parametrize("name", ["stage.json", "result.json", "checksums.json", WEIGHTS])
def test_a_link_to_a_file_counts_as_the_file(store: Store, folder: Path, name: str) -> None:
    """As in annexes of large files."""
    (folder / name).rename(store.root / name)
    (folder / name).symlink_to(store.root / name)
    store.check(STAGE)
    assert store.find(STAGE) == RESULT


@pytest.mark.parametrize("entry", [name for name in OTHER_ENTRIES if name != "file"])
def test_anything_else_in_place_of_a_record_is_none_and_is_replaced(tmp_path: Path, entry: str) -> None:
    """Checkpoints, failures, leases: reading never blocks."""
    store = Store(tmp_path)
    for path in (f"unfinished/{STAGE.key}", f"failed/{STAGE.key}.json", "leases/x"):
        (tmp_path / path).parent.mkdir()
        OTHER_ENTRIES[entry](tmp_path / path)
        assert store.read(path) is None
    assert store.load_checkpoint(STAGE).data is None
    assert store.last_failure(STAGE) is None
    store.save(STAGE, RESULT, b"", {})
    assert store.find(STAGE) == RESULT
    store.remove("leases/x")
    assert [child for name in ("unfinished", "failed", "leases") for child in (tmp_path / name).iterdir()] == []


@pytest.mark.parametrize("depth", [101, 990, 100_000])
@pytest.mark.parametrize("name", ["stage.json", "result.json", "checksums.json"])
def test_deep_json_is_damage(store: Store, folder: Path, name: str, depth: int) -> None:
    (folder / name).write_text('{"history": ' + "[" * depth + "]" * depth + "}")
    if name != "checksums.json":
        checksums = json.loads((folder / "checksums.json").read_text())
        checksums[name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        (folder / "checksums.json").write_text(json.dumps(checksums))
    with pytest.raises(CorruptError, match=f"{name} cannot be read \\(nested too deeply"):
        store.find(STAGE)


@pytest.mark.parametrize("position", [0, 3, -1])
def test_one_flipped_bit_in_the_weights_is_detected(store: Store, folder: Path, position: int) -> None:
    data = bytearray((folder / WEIGHTS).read_bytes())
    data[position] ^= 1
    (folder / WEIGHTS).write_bytes(data)
    assert store.find(STAGE) == RESULT  # weights are verified only when read
    with pytest.raises(CorruptError, match=r"checksum mismatch in model\.safetensors"):
        store.weights(STAGE)


def test_missing_weights_are_detected(store: Store, folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    with pytest.raises(CorruptError, match=r"model\.safetensors"):
        store.weights(STAGE)


def test_a_folder_renamed_to_another_key_is_detected(store: Store, folder: Path) -> None:
    folder.rename(folder.with_name("0" * 64))
    other = Stage(StageSettings(Encoder(), Finetune(dataset="digits", epochs=7)), 1, PRETRAIN)
    (folder.parent / ("0" * 64)).rename(folder.parent / other.key)
    with pytest.raises(CorruptError, match="describes another stage"):
        store.find(other)


def rewrite(folder: Path, name: str, change: Callable[[dict[str, dict[str, object]]], object]) -> None:
    """Change a stored file and its checksum, as if another version of the code had written it."""
    data = json.loads((folder / name).read_text())
    change(data)
    (folder / name).write_text(json.dumps(data))
    sums = json.loads((folder / "checksums.json").read_text())
    sums[name] = store_module.hashlib.sha256((folder / name).read_bytes()).hexdigest()
    (folder / "checksums.json").write_text(json.dumps(sums))


def test_a_changed_default_is_detected(store: Store, folder: Path) -> None:
    """Keys leave out defaults, but stage.json has the full settings."""
    rewrite(folder, "stage.json", lambda data: data["spec"]["recipe"].update(weight_decay=0.07))  # type: ignore[attr-defined]
    with pytest.raises(CorruptError, match=r"a default setting changed .*weight_decay was 0\.07, now 0\.05"):
        store.find(STAGE)


def test_a_changed_default_of_the_parent_is_detected(store: Store, folder: Path) -> None:
    rewrite(folder, "stage.json", lambda data: data["spec"]["parent"]["recipe"].update(mask_ratio=0.5))  # type: ignore[index]
    with pytest.raises(CorruptError, match=r"parent\.recipe\.mask_ratio was 0\.5"):
        store.find(STAGE)


def test_settings_newer_than_the_result_are_ignored(store: Store, folder: Path) -> None:
    rewrite(folder, "stage.json", lambda data: data["spec"]["encoder"].pop("pooling"))  # type: ignore[attr-defined]
    assert store.find(STAGE) == RESULT


# --- stores of newer versions ---


def test_fields_that_a_newer_version_added_are_ignored(store: Store, folder: Path) -> None:
    """A new setting at its neutral value is not part of the key, so the stage is the same."""
    rewrite(folder, "result.json", lambda data: data.update(surprise={}))
    rewrite(folder, "stage.json", lambda data: data["spec"]["encoder"].update(new=None))  # type: ignore[attr-defined]
    rewrite(folder, "stage.json", lambda data: data["spec"]["parent"]["recipe"].update(new={"a": 1}))  # type: ignore[index]
    rewrite(folder, "stage.json", lambda data: data.update(study="999.0", more=[1]))
    assert store.find(STAGE) == RESULT
    store.check(STAGE)


def incomplete(data: dict[str, dict[str, object]]) -> None:
    del data["metrics"]


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("result.json", incomplete),
        ("stage.json", lambda data: data["spec"]["recipe"].update(weight_decay=0.07)),
    ],
    ids=["result without metrics", "another default"],
)
def test_what_only_a_newer_version_can_read_is_not_damaged(
    store: Store, folder: Path, name: str, change: Callable[[dict[str, dict[str, object]]], object]
) -> None:
    rewrite(folder, name, change)
    with pytest.raises(CorruptError):
        store.find(STAGE)
    rewrite(folder, "stage.json", lambda data: data.update(study="999.0"))
    with pytest.raises(NewerVersionError, match=rf"newer version of study \(999\.0; this is {__version__}\)") as caught:
        store.find(STAGE)
    assert str(caught.value).endswith("update this installation")
    assert "recompute" not in str(caught.value)


# --- concurrent and interrupted writers ---


def test_the_first_of_two_results_is_kept(store: Store, folder: Path) -> None:
    store.save(STAGE, Result({"test_accuracy": 0.9}, {}, [], []), b"other", {})
    assert store.find(STAGE) == RESULT
    assert store.weights(STAGE) == b"weights"


def test_concurrent_writers_leave_one_complete_result(store: Store) -> None:
    context = multiprocessing.get_context("spawn")
    start = context.Event()
    writers = [context.Process(target=save, args=(str(store.root), float(i), start)) for i in range(4)]
    for writer in writers:
        writer.start()
    start.set()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * 4
    found = store.find(STAGE)
    assert found is not None
    assert store.weights(STAGE) == str(found.metrics["value"]).encode() * 100_000
    assert temporary_files(store) == []


def test_a_writer_that_loses_the_race_keeps_the_other_result(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other writer renames between this one's check and rename."""
    rename = os.rename

    def late(source: Path, target: Path) -> None:
        monkeypatch.setattr(os, "rename", rename)
        store.save(STAGE, RESULT, b"weights", {})
        rename(source, target)

    monkeypatch.setattr(os, "rename", late)
    store.save(STAGE, Result({"test_accuracy": 0.9}, {}, [], []), b"other", {})
    assert store.find(STAGE) == RESULT
    assert temporary_files(store) == []


def test_ctrl_c_while_writing_leaves_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(source: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "rename", interrupt)
    with pytest.raises(KeyboardInterrupt):
        store.save(STAGE, RESULT, b"weights", {})
    assert store.find(STAGE) is None
    assert temporary_files(store) == []


def test_a_kill_while_writing_leaves_no_result(store: Store) -> None:
    """Killed before the final rename."""
    script = f"""
        import os, signal
        from study.store.results import Store
        from helpers.store_samples import RESULT, STAGE
        os.rename = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        Store({str(store.root)!r}).save(STAGE, RESULT, b"weights", {{}})
    """
    assert python(script).returncode == -9
    assert temporary_files(store) != []
    assert store.find(STAGE) is None
    assert store.keys() == frozenset()
    store.save(STAGE, RESULT, b"weights", {})
    assert store.find(STAGE) == RESULT


# --- recorded failures ---


def test_a_failure_is_recorded_until_there_is_a_result(store: Store) -> None:
    store.record_failure(STAGE, "loss is not finite in epoch 3")
    assert store.failure(STAGE) == "loss is not finite in epoch 3"
    assert store.find(STAGE) is None
    assert store.keys() == frozenset()
    store.record_failure(STAGE, "again")
    assert store.failure(STAGE) == "again"
    store.save(STAGE, RESULT, b"", {})
    assert store.failure(STAGE) is None


def test_each_failure_has_a_unique_id(store: Store) -> None:
    first = store.record_failure(STAGE, "no memory")
    assert store.last_failure(STAGE) == Failure("no memory", first)
    second = store.record_failure(STAGE, "no memory")
    assert second != first
    assert store.last_failure(STAGE) == Failure("no memory", second)


def test_a_failure_has_its_provenance_and_whether_it_is_certain(store: Store) -> None:
    store.record_failure(STAGE, "a loss became NaN", {"host": "node-1", "versions": {"torch": "2.13.0"}}, certain=True)
    found = store.last_failure(STAGE)
    assert found is not None
    assert (found.provenance, found.certain) == ({"host": "node-1", "versions": {"torch": "2.13.0"}}, True)


@pytest.mark.parametrize("provenance", ["node-1", 3, ["host"], None])
def test_a_failure_record_without_a_usable_provenance_is_damaged(store: Store, provenance: object) -> None:
    store.write(f"failed/{STAGE.key}.json", json.dumps({"error": "x", "provenance": provenance}).encode())
    assert "cannot be read" in (store.failure(STAGE) or "")


def test_a_damaged_failure_record_is_reported(store: Store) -> None:
    store.record_failure(STAGE, "x")
    (store.root / "failed" / f"{STAGE.key}.json").write_text("{")
    assert "cannot be read" in (store.failure(STAGE) or "")


# --- full disks and files in the way (not permissions: they do not restrict root, who may run the tests) ---


def python(script: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env=os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{TESTS}"},
        capture_output=True,
        text=True,
        check=False,
    )


LIMITED = """
    import resource
    from study.store.results import Store
    from helpers.store_samples import RESULT, STAGE
    store = Store({root!r})
    store.record_failure(STAGE, "an earlier error")
    resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))  # like a disk with this many bytes left
    try:
        {action}
    except Exception as error:
        print(type(error).__name__, error)
"""


def test_a_full_disk_while_saving_changes_nothing(store: Store) -> None:
    """The small files fit on the disk, the weights do not."""
    action = 'store.save(STAGE, RESULT, b"x" * 100_000, {})'
    ended = python(LIMITED.format(root=str(store.root), limit=20_000, action=action))
    message = f"StoreError the store {store.root} cannot be written: File too large; free disk space"
    assert ended.stdout.startswith(message), ended.stderr
    assert store.find(STAGE) is None
    assert store.failure(STAGE) == "an earlier error"
    assert temporary_files(store) == []


def test_a_full_disk_while_recording_a_failure_keeps_the_earlier_one(store: Store) -> None:
    ended = python(LIMITED.format(root=str(store.root), limit=100, action='store.record_failure(STAGE, "new")'))
    assert "File too large" in ended.stdout, ended.stderr
    assert store.failure(STAGE) == "an earlier error"
    assert temporary_files(store) == []


def test_a_full_disk_is_reported_before_anything_runs(store: Store) -> None:
    ended = python(LIMITED.format(root=str(store.root), limit=1000, action="store.prepare()"))
    message = f"StoreError the store {store.root} cannot be written: File too large; free disk space"
    assert ended.stdout.startswith(message), ended.stderr
    assert temporary_files(store) == []


def test_a_file_in_place_of_the_store(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("mine")
    for root in (taken, taken / "store"):
        with pytest.raises(StudyError, match=r"cannot be written: .*use another store with --store"):
            Store(root).prepare()
        with pytest.raises(StudyError, match=r"cannot be read: .*use another store with --store"):
            Store(root).keys()
    assert taken.read_text() == "mine"


def test_a_file_in_place_of_a_folder_of_the_store(store: Store) -> None:
    store.root.mkdir()
    (store.root / "finetune").write_text("mine")
    with pytest.raises(StoreError, match="Not a directory"):
        store.save(STAGE, RESULT, b"", {})
    with pytest.raises(StudyError, match="cannot be read"):
        store.keys()


def test_preparing_leaves_no_files(store: Store) -> None:
    store.prepare()
    store.prepare()
    assert list(store.root.iterdir()) == []
