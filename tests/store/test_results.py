"""The store: whole or absent, checked whenever read, and nothing lost where it cannot be written."""

import json
import multiprocessing
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.paths import ROOT
from helpers.store_samples import PRETRAIN, RESULT, STAGE

from study.design.stages import Stage
from study.store import results as store_module
from study.store.results import WEIGHTS, CorruptError, Failure, Result, Store, StoreError
from study.utils.errors import StudyError
from study.vit.settings import Encoder, Finetune
from study.vit.stages import StageSettings

FILES = ["stage.json", "result.json", "config.json", WEIGHTS, "checksums.json"]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def folder(store: Store) -> Path:
    """The folder of STAGE, stored."""
    store.save(STAGE, RESULT, b"weights", {"num_classes": 10})
    return store.root / "finetune" / STAGE.key


def leftovers(store: Store) -> list[str]:
    return [path.name for path in store.root.rglob(".*")]


def test_a_checkpoint_of_what_is_stored_by_now_is_swept(store: Store) -> None:
    """Its writer was killed between storing the result and removing the checkpoint."""
    for stage in (STAGE, PRETRAIN):
        store.keep_unfinished(stage, b"state")
    store.storage.write_folder(f"finetune/{STAGE.key}", {"a": b""})
    assert store.sweep([STAGE.key]) == 0  # a living driver says that it is at work on it
    assert store.sweep([]) == 1
    assert store.listed("unfinished").keys() == {PRETRAIN.key}


# --- what is stored ---


def test_what_is_saved_is_found_to_the_last_digit(store: Store) -> None:
    assert store.find(STAGE) is None
    assert not store.has(STAGE)
    store.save(STAGE, RESULT, b"weights", {"num_classes": 10})
    assert store.find(STAGE) == RESULT
    assert store.has(STAGE)
    assert store.weights(STAGE) == b"weights"
    assert store.find(PRETRAIN) is None
    assert leftovers(store) == []


def test_a_stage_lies_in_one_folder_named_by_its_key(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    stored = json.loads((folder / "stage.json").read_text())
    assert stored == {"identity": STAGE.identity, "spec": json.loads(json.dumps(STAGE.spec()))}


def test_keys_are_those_of_finished_stages(store: Store, folder: Path) -> None:
    assert store.keys() == {STAGE.key}
    store.save(PRETRAIN, RESULT, b"", {})
    store.fail(Stage(StageSettings(Encoder(), Finetune(dataset="digits")), 2), "no memory")
    (folder.parent / f".{STAGE.key}-half-written").mkdir()
    assert store.keys() == {STAGE.key, PRETRAIN.key}


def test_a_store_that_is_not_there_is_empty(store: Store) -> None:
    assert store.keys() == frozenset()
    assert store.failure(STAGE) is None
    assert not store.root.exists()


def test_what_is_discarded_is_computed_again(store: Store, folder: Path) -> None:
    store.discard(STAGE)
    assert store.find(STAGE) is None
    store.discard(STAGE)


def test_not_a_number_survives(store: Store) -> None:
    """A metric that cannot be computed is not a reason to lose a result."""
    store.save(STAGE, Result({"loss": float("nan")}, {}, [], []), b"", {})
    found = store.find(STAGE)
    assert found is not None
    assert found.metrics["loss"] != found.metrics["loss"]


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
def test_damage_to_what_is_read_is_found(
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


@pytest.mark.parametrize("position", [0, 3, -1])
def test_one_bit_of_the_weights_is_enough(store: Store, folder: Path, position: int) -> None:
    data = bytearray((folder / WEIGHTS).read_bytes())
    data[position] ^= 1
    (folder / WEIGHTS).write_bytes(data)
    assert store.find(STAGE) == RESULT  # metrics are not the weights' business
    with pytest.raises(CorruptError, match=r"model\.safetensors does not have the checksum"):
        store.weights(STAGE)


def test_missing_weights_are_found(store: Store, folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    with pytest.raises(CorruptError, match=r"model\.safetensors"):
        store.weights(STAGE)


def test_a_stage_under_the_name_of_another_is_found(store: Store, folder: Path) -> None:
    folder.rename(folder.with_name("0" * 64))
    other = Stage(StageSettings(Encoder(), Finetune(dataset="digits", epochs=7)), 1, PRETRAIN)
    (folder.parent / ("0" * 64)).rename(folder.parent / other.key)
    with pytest.raises(CorruptError, match="describes another stage"):
        store.find(other)


def rewrite(folder: Path, name: str, change: Callable[[dict[str, dict[str, object]]], object]) -> None:
    """Change a stored file as another version of the code would have written it: with its checksum."""
    data = json.loads((folder / name).read_text())
    change(data)
    (folder / name).write_text(json.dumps(data))
    sums = json.loads((folder / "checksums.json").read_text())
    sums[name] = store_module.hashlib.sha256((folder / name).read_bytes()).hexdigest()
    (folder / "checksums.json").write_text(json.dumps(sums))


def test_a_default_that_has_changed_since_is_found(store: Store, folder: Path) -> None:
    """The key leaves defaults out; the whole settings beside the result do not."""
    rewrite(folder, "stage.json", lambda data: data["spec"]["recipe"].update(weight_decay=0.07))  # type: ignore[attr-defined]
    with pytest.raises(CorruptError, match=r"a default has changed .*recipe\.weight_decay was 0\.07, is 0\.05"):
        store.find(STAGE)


def test_a_default_of_the_parent_counts_too(store: Store, folder: Path) -> None:
    rewrite(folder, "stage.json", lambda data: data["spec"]["parent"]["recipe"].update(mask_ratio=0.5))  # type: ignore[index]
    with pytest.raises(CorruptError, match=r"parent\.recipe\.mask_ratio was 0\.5"):
        store.find(STAGE)


def test_a_knob_that_is_newer_than_the_result_does_not_matter(store: Store, folder: Path) -> None:
    rewrite(folder, "stage.json", lambda data: data["spec"]["encoder"].pop("pooling"))  # type: ignore[attr-defined]
    assert store.find(STAGE) == RESULT


def test_a_result_of_another_version_is_no_traceback(store: Store, folder: Path) -> None:
    rewrite(folder, "result.json", lambda data: data.update(surprise={}))
    with pytest.raises(CorruptError, match="other fields"):
        store.find(STAGE)


# --- several writers, and interrupted ones ---


def test_of_two_writers_the_first_ones_result_stays(store: Store, folder: Path) -> None:
    store.save(STAGE, Result({"test_accuracy": 0.9}, {}, [], []), b"other", {})
    assert store.find(STAGE) == RESULT
    assert store.weights(STAGE) == b"weights"


def _write(root: Path, value: float, start: "multiprocessing.synchronize.Event") -> None:
    start.wait()
    Store(root).save(STAGE, Result({"value": value}, {}, [], []), str(value).encode() * 100_000, {})


def test_writers_at_the_same_moment_leave_one_whole_result(store: Store) -> None:
    context = multiprocessing.get_context("spawn")
    start = context.Event()
    writers = [context.Process(target=_write, args=(store.root, float(i), start)) for i in range(4)]
    for writer in writers:
        writer.start()
    start.set()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * 4
    found = store.find(STAGE)
    assert found is not None
    assert store.weights(STAGE) == str(found.metrics["value"]).encode() * 100_000
    assert leftovers(store) == []


def test_a_writer_that_loses_the_race_keeps_the_winners_result(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The winner comes between looking and renaming."""
    rename = os.rename

    def late(source: Path, target: Path) -> None:
        monkeypatch.setattr(os, "rename", rename)
        store.save(STAGE, RESULT, b"weights", {})
        rename(source, target)

    monkeypatch.setattr(os, "rename", late)
    store.save(STAGE, Result({"test_accuracy": 0.9}, {}, [], []), b"other", {})
    assert store.find(STAGE) == RESULT
    assert leftovers(store) == []


def test_ctrl_c_while_writing_leaves_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(source: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "rename", interrupt)
    with pytest.raises(KeyboardInterrupt):
        store.save(STAGE, RESULT, b"weights", {})
    assert store.find(STAGE) is None
    assert leftovers(store) == []


def test_a_kill_while_writing_leaves_no_result(store: Store) -> None:
    """Killed before the last rename: what has the key's name is whole, so there is nothing of that name."""
    script = f"""
        import os, signal
        from study.store.results import Store
        from tests.helpers.store_samples import RESULT, STAGE
        os.rename = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        Store({str(store.root)!r}).save(STAGE, RESULT, b"weights", {{}})
    """
    assert python(script).returncode == -9
    assert leftovers(store) != []
    assert store.find(STAGE) is None
    assert store.keys() == frozenset()
    store.save(STAGE, RESULT, b"weights", {})
    assert store.find(STAGE) == RESULT


# --- failures are notes, not results ---


def test_a_failure_is_noted_and_forgotten_once_there_is_a_result(store: Store) -> None:
    store.fail(STAGE, "loss is not finite in epoch 3")
    assert store.failure(STAGE) == "loss is not finite in epoch 3"
    assert store.find(STAGE) is None
    assert store.keys() == frozenset()
    store.fail(STAGE, "again")
    assert store.failure(STAGE) == "again"
    store.save(STAGE, RESULT, b"", {})
    assert store.failure(STAGE) is None


def test_each_failure_has_a_name_of_its_own(store: Store) -> None:
    first = store.fail(STAGE, "no memory")
    assert store.last_failure(STAGE) == Failure("no memory", first)
    second = store.fail(STAGE, "no memory")
    assert second != first
    assert store.last_failure(STAGE) == Failure("no memory", second)


def test_a_damaged_note_is_told(store: Store) -> None:
    store.fail(STAGE, "x")
    (store.root / "failed" / f"{STAGE.key}.json").write_text("{")
    assert "cannot be read" in (store.failure(STAGE) or "")


# --- disks that are full or may not be written (root may write anywhere: permissions would prove nothing) ---


def python(script: str) -> "subprocess.CompletedProcess[str]":
    root = ROOT
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], cwd=root, capture_output=True, text=True, check=False
    )


LIMITED = """
    import resource
    from study.store.results import Store
    from tests.helpers.store_samples import RESULT, STAGE
    store = Store({root!r})
    store.fail(STAGE, "noted before")
    resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))  # as a disk with so many bytes left
    try:
        {action}
    except Exception as error:
        print(type(error).__name__, error)
"""


def test_a_full_disk_while_saving_leaves_nothing_and_loses_nothing(store: Store) -> None:
    """The small files fit, the weights do not."""
    action = 'store.save(STAGE, RESULT, b"x" * 100_000, {})'
    ended = python(LIMITED.format(root=str(store.root), limit=20_000, action=action))
    assert ended.stdout.startswith(f"StoreError the store {store.root} cannot be written: File too large; free"), (
        ended.stderr
    )
    assert store.find(STAGE) is None
    assert store.failure(STAGE) == "noted before"
    assert leftovers(store) == []


def test_a_full_disk_while_noting_a_failure_keeps_the_old_note(store: Store) -> None:
    ended = python(LIMITED.format(root=str(store.root), limit=100, action='store.fail(STAGE, "new")'))
    assert "File too large" in ended.stdout, ended.stderr
    assert store.failure(STAGE) == "noted before"
    assert leftovers(store) == []


def test_a_full_disk_is_said_before_anything_runs(store: Store) -> None:
    ended = python(LIMITED.format(root=str(store.root), limit=1000, action="store.prepare()"))
    assert ended.stdout.startswith(
        f"StoreError the store {store.root} cannot be written: File too large; free the disk"
    )
    assert leftovers(store) == []


def test_a_file_where_the_store_should_be(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("mine")
    for root in (taken, taken / "store"):
        with pytest.raises(StudyError, match=r"cannot be written: .*name another store with --store"):
            Store(root).prepare()
        with pytest.raises(StudyError, match=r"cannot be read: .*name another store with --store"):
            Store(root).keys()
    assert taken.read_text() == "mine"


def test_a_file_where_a_folder_of_the_store_should_be(store: Store) -> None:
    store.root.mkdir()
    (store.root / "finetune").write_text("mine")
    with pytest.raises(StoreError, match="Not a directory"):
        store.save(STAGE, RESULT, b"", {})
    with pytest.raises(StudyError, match="cannot be read"):
        store.keys()


def test_preparing_leaves_an_empty_store(store: Store) -> None:
    store.prepare()
    store.prepare()
    assert list(store.root.iterdir()) == []
