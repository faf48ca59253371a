"""Checkpoints: a stage killed in any epoch loses at most that epoch, and its result is bit-identical."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import nn

from study.design.stages import Stage
from study.execution import checkpoint
from study.execution.checkpoint import Checkpoints
from study.execution.run_stage import run_stage
from study.store.results import Result, Store
from study.utils.errors import StudyError
from study.vit.settings import Encoder, Finetune, Pretrain
from study.vit.stages import StageSettings
from study.vit.training import Diverged, Snapshot

ENCODER = Encoder(
    image_size=8, patch_size=4, channels=1, width=16, depth=2, num_heads=2, num_kv_heads=1,
    experts_by_depth=(2, 3), ffn_width_first=8, ffn_width_last=4,
)  # fmt: skip
JITTER = {"shift": 0.1, "rotate": 10.0, "erase": 0.3}
SHARED: dict[str, Any] = {"dataset": "digits", "epochs": 6, "train_images": 150, "batch_size": 32, "warmup_epochs": 1.5}
DECODER = {"width": 16, "depth": 1, "ffn_width": 8, "num_heads": 2, "num_kv_heads": 1}
PRETRAIN = Stage(StageSettings(ENCODER, Pretrain.model_validate(SHARED | {"augment": JITTER, "decoder": DECODER})), 7)


def finetuning(**changes: Any) -> Stage:
    return Stage(
        StageSettings(ENCODER, Finetune.model_validate(SHARED | {"augment": JITTER | {"mixup": 0.2}} | changes)), 7
    )


STAGES = {
    "pretrain": PRETRAIN,
    "finetune": finetuning(layer_decay=0.8, learning_rate=0.01),
    "best": finetuning(keep="best", learning_rate=0.03),
    "probe": replace(finetuning(mode="probe"), parent=PRETRAIN),
    "probe, best, plain": replace(finetuning(mode="probe", keep="best", augment={}), parent=PRETRAIN),
}
TIMINGS = {"seconds", "train_seconds", "images_per_second"}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Killed(BaseException):
    """Ends a stage like a kill: no `except Exception` runs."""


def train(stage: Stage, store: Store, kill_after: float = 99.0, every: float = 0.0) -> Result:
    """Run a stage; it is killed right before the epoch after `kill_after` is checkpointed."""

    def epoch(row: dict[str, float]) -> None:
        if row["epoch"] > kill_after:
            raise Killed

    return run_stage(stage, store, "cpu", epoch, "abc", every)


def bits(stage: Stage, store: Store) -> tuple[bytes, dict[str, float], list[dict[str, float]], list[list[float]]]:
    """The stored result of a stage without timings."""
    result = store.find(stage)
    assert result is not None
    metrics = {name: value for name, value in result.metrics.items() if name not in TIMINGS}
    history = [{name: value for name, value in row.items() if name not in TIMINGS} for row in result.history]
    return store.weights(stage), metrics, history, result.expert_load


def checkpoint_of(stage: Stage, store: Store) -> Path:
    return store.root / "unfinished" / stage.key


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_resumed_from_any_epoch_is_bit_identical(name: str, tmp_path: Path) -> None:
    stage, whole, resumed = STAGES[name], Store(tmp_path / "whole"), Store(tmp_path / "resumed")
    for store in (whole, resumed):
        if stage.parent is not None:
            train(stage.parent, store)
    train(stage, whole)
    for epochs in (1, 3, 4):  # three kills, each some epochs later
        with pytest.raises(Killed):
            train(stage, resumed, epochs)
    seen: list[float] = []
    result = run_stage(stage, resumed, "cpu", lambda row: seen.append(row["epoch"]), "def", 0.0)
    assert seen == [5, 6]
    assert bits(stage, resumed) == bits(stage, whole)
    assert [(part["commit"], part["epochs"]) for part in result.provenance["parts"]] == [
        ("abc", 1),
        ("abc", 3),
        ("abc", 4),
    ]
    assert not checkpoint_of(stage, resumed).exists()


def test_a_process_killed_at_the_end_of_an_epoch_resumes(tmp_path: Path) -> None:
    """SIGKILL in a separate process, while an epoch is reported."""
    script = """
import json, os, signal, sys
import torch
from study.design.stages import Stage
from study.execution.run_stage import run_stage
from study.store.results import Store
torch.set_num_threads(1)
spec, root, last = sys.argv[1:]
def epoch(row):
    if row["epoch"] > int(last):
        os.kill(os.getpid(), signal.SIGKILL)
run_stage(Stage.from_spec(json.loads(spec)), Store(root), "cpu", epoch, "abc", 0.0)
"""
    stage, resumed, whole = STAGES["best"], Store(tmp_path / "resumed"), Store(tmp_path / "whole")
    command = [sys.executable, "-c", script, json.dumps(stage.spec()), str(resumed.root), "3"]
    assert subprocess.run(command, check=False, env=os.environ).returncode == -signal.SIGKILL
    assert checkpoint_of(stage, resumed).exists()
    assert not resumed.has(stage)
    train(stage, resumed)
    train(stage, whole)
    assert bits(stage, resumed) == bits(stage, whole)


@pytest.mark.parametrize("place", [0, 30, 64, 65, 72, 300, -1])
def test_a_damaged_checkpoint_is_discarded_with_a_note(place: int, tmp_path: Path) -> None:
    stage, resumed, whole = STAGES["finetune"], Store(tmp_path / "resumed"), Store(tmp_path / "whole")
    with pytest.raises(Killed):
        train(stage, resumed, 3)
    data = bytearray(checkpoint_of(stage, resumed).read_bytes())
    data[place] ^= 1
    checkpoint_of(stage, resumed).write_bytes(data)
    result = train(stage, resumed)
    train(stage, whole)
    assert bits(stage, resumed) == bits(stage, whole)
    assert result.provenance["parts"] == []
    assert len(result.provenance["notes"]) == 1
    assert "checksum" in result.provenance["notes"][0]


@pytest.mark.parametrize("length", [0, 10, 65, 200])
def test_a_truncated_checkpoint_is_discarded(length: int, tmp_path: Path) -> None:
    stage, store = STAGES["finetune"], Store(tmp_path)
    with pytest.raises(Killed):
        train(stage, store, 3)
    os.truncate(checkpoint_of(stage, store), length)
    assert "checksum" in train(stage, store).provenance["notes"][0]


def test_a_checkpoint_of_another_stage_other_data_or_other_code_is_discarded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, store = STAGES["finetune"], Store(tmp_path)
    tensors = {"a": torch.zeros(1)}

    def snapshot() -> Snapshot:
        history = [{"epoch": 1.0, "learning_rate": 0.1, "seconds": 1.0}]
        return Snapshot(tensors, {"history": history, "images": 1, "seconds": 1.0, "micro_batch": None})

    def note(requested: Stage, data: str) -> str:
        found = Checkpoints(requested, store, {}, data)
        assert found.latest() is None
        assert not checkpoint_of(requested, store).exists()
        return found.notes[0]

    def keep() -> None:
        Checkpoints(stage, store, {}, "data", 0.0).keep(snapshot)

    keep()
    assert Checkpoints(stage, store, {}, "data").latest() == Snapshot(tensors, snapshot().progress)
    assert "its data set content differs" in note(stage, "other")
    keep()
    other = STAGES["best"]
    checkpoint_of(stage, store).rename(checkpoint_of(other, store))
    assert "its stage differs" in note(other, "data")
    keep()
    monkeypatch.setattr(checkpoint, "code", lambda: "new")
    assert "its code differs" in note(stage, "data")
    store.save_checkpoint(stage, b"no safetensors")
    assert "cannot be read" in note(stage, "data")


def _without(name: str) -> Callable[[dict[str, Any]], object]:
    return lambda values: values.pop(next(key for key in values if name in key))


def _changed(name: str, change: Callable[[Any], Any]) -> Callable[[dict[str, Any]], object]:
    def apply(values: dict[str, Any]) -> None:
        key = next(key for key in values if name in key)
        values[key] = change(values[key])

    return apply


WRONG_TENSORS: dict[str, Callable[[dict[str, Any]], object]] = {
    "a weight of another shape": _changed("model/", lambda tensor: tensor[..., :1].clone()),
    "a weight of another type": _changed("model/", lambda tensor: tensor.double()),
    "a weight is missing": _without("model/"),
    "an unknown weight": lambda tensors: tensors.update({"model/new": torch.zeros(1)}),
    "moments of another shape": _changed("exp_avg_sq", lambda tensor: tensor[1:].clone()),
    "moments of another type": _changed("exp_avg_sq", lambda tensor: tensor.half()),
    "moments are missing": _without("exp_avg_sq"),
    "moments of an unknown vector": lambda tensors: tensors.update({"optimizer/99.exp_avg": torch.zeros(1)}),
    "an optimizer's name is none": lambda tensors: tensors.update({"optimizer/x": torch.zeros(1)}),
    "steps of another shape": _changed("step", lambda tensor: tensor.repeat(2)),
    "best weights of another shape": _changed("best/", lambda tensor: tensor[..., :1].clone()),
    "best weights are missing": _without("best/"),
    "nothing": lambda tensors: tensors.clear(),
}
WRONG_PROGRESS: dict[str, Callable[[dict[str, Any]], object]] = {
    "no history": _without("history"),
    "an empty history": _changed("history", lambda rows: []),
    "a history of text": _changed("history", lambda rows: "abc"),
    "a row of text": _changed("history", lambda rows: [*rows[:-1], "abc"]),
    "a metric that is text": _changed("history", lambda rows: [rows[0] | {"train_loss": "0.1"}, *rows[1:]]),
    "a metric that is NaN": _changed("history", lambda rows: [rows[0] | {"train_loss": float("nan")}, *rows[1:]]),
    "a metric is missing": _changed("history", lambda rows: [*rows[:-1], {**rows[-1]} | {"other": 1.0}]),
    "epochs out of order": _changed("history", lambda rows: rows[::-1]),
    "more epochs than the stage": _changed("history", lambda rows: [rows[0] | {"epoch": e} for e in range(1, 20)]),
    "negative images": _changed("images", lambda images: -images),
    "seconds of text": _changed("seconds", str),
    "a fractional micro-batch": _changed("micro_batch", lambda value: 1.5),
    "a micro-batch of zero": _changed("micro_batch", lambda value: 0),
    "an unknown entry": lambda progress: progress.update(more=1),
}


def interrupted(stage: Stage, store: Store) -> Snapshot:
    """The checkpoint of a stage that was killed in its fourth epoch."""
    with pytest.raises(Killed):
        train(stage, store, 3)
    stored = store.load_checkpoint(stage).data
    assert stored is not None
    return Snapshot(safetensors.torch.load(stored), checkpoint._metadata(stored)[checkpoint.PROGRESS])


def replaced(stage: Stage, store: Store, tensors: dict[str, torch.Tensor], **metadata: object) -> None:
    """Write a checkpoint with a valid checksum."""
    stored = store.load_checkpoint(stage).data
    assert stored is not None
    header = {name: json.dumps(value) for name, value in (checkpoint._metadata(stored) | metadata).items()}
    store.save_checkpoint(stage, safetensors.torch.save(tensors, header))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(tmp_path_factory.mktemp("undisturbed"))
    torch.set_num_threads(1)
    train(STAGES["best"], store)
    return store


def assert_starts_anew(store: Store, undisturbed: Store, caplog: pytest.LogCaptureFixture) -> None:
    """The checkpoint is dropped with a line in the log, and the result is that of an undisturbed stage."""
    stage = STAGES["best"]
    caplog.clear()
    result = train(stage, store)
    (note,) = result.provenance["notes"]
    assert "a checkpoint was discarded: " in note
    assert [record.getMessage() for record in caplog.records] == [f"finetune {stage.key[:12]}: {note}"]
    assert result.provenance["parts"] == []
    assert bits(stage, store) == bits(stage, undisturbed)


@pytest.mark.parametrize("name", WRONG_TENSORS)
def test_a_checkpoint_of_other_tensors_is_discarded(
    name: str, tmp_path: Path, undisturbed: Store, caplog: pytest.LogCaptureFixture
) -> None:
    stage, store = STAGES["best"], Store(tmp_path)
    kept = interrupted(stage, store)
    WRONG_TENSORS[name](kept.tensors)
    replaced(stage, store, kept.tensors)
    assert_starts_anew(store, undisturbed, caplog)


@pytest.mark.parametrize("name", WRONG_PROGRESS)
def test_a_checkpoint_of_other_progress_is_discarded(
    name: str, tmp_path: Path, undisturbed: Store, caplog: pytest.LogCaptureFixture
) -> None:
    stage, store = STAGES["best"], Store(tmp_path)
    kept = interrupted(stage, store)
    WRONG_PROGRESS[name](kept.progress)
    replaced(stage, store, kept.tensors, **{checkpoint.PROGRESS: kept.progress})
    assert_starts_anew(store, undisturbed, caplog)


@pytest.mark.parametrize("parts", [None, "abc", [1], {}])
def test_a_checkpoint_of_other_parts_is_discarded(
    parts: object, tmp_path: Path, undisturbed: Store, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(tmp_path)
    kept = interrupted(STAGES["best"], store)
    replaced(STAGES["best"], store, kept.tensors, parts=parts)
    assert_starts_anew(store, undisturbed, caplog)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff" * 100,
        b"\xff" * 7 + b"\x7f{}",
        b"\2\0\0\0\0\0\0\0[]",
        b"\2\0\0\0\0\0\0\0{}",
        b'\x13\0\0\0\0\0\0\0{"__metadata__": []}',
        b'\x19\0\0\0\0\0\0\0{"__metadata__": {"a": 1}}',
        b"\0\1\0\0\0\0\0\0" + b"[" * 256,
    ],
)
def test_garbage_with_a_valid_checksum_is_discarded(
    data: bytes, tmp_path: Path, undisturbed: Store, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(tmp_path)
    store.save_checkpoint(STAGES["best"], data)
    assert_starts_anew(store, undisturbed, caplog)


def test_checkpoints_of_sgd_resume(tmp_path: Path) -> None:
    """Its state has other names than that of AdamW."""
    stage, whole, resumed = finetuning(optimizer="sgd"), Store(tmp_path / "whole"), Store(tmp_path / "resumed")
    train(stage, whole)
    with pytest.raises(Killed):
        train(stage, resumed, 3)
    assert len(train(stage, resumed).provenance["parts"]) == 1
    assert bits(stage, resumed) == bits(stage, whole)


def test_checkpoints_are_written_at_most_once_per_interval(tmp_path: Path) -> None:
    stage, store = STAGES["finetune"], Store(tmp_path)
    with pytest.raises(Killed):
        train(stage, store, 3, every=3600.0)
    assert not checkpoint_of(stage, store).exists()


def test_checkpoints_take_at_most_one_percent_of_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If writing one takes 2 s, the next is written 200 s later."""
    now = [0.0]
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: now[0])
    store, taken = Store(tmp_path), []
    checkpoints = Checkpoints(STAGES["finetune"], store, {}, "data", 10.0)

    def take() -> Snapshot:
        taken.append(now[0])
        now[0] += 2.0
        return Snapshot({}, {"history": []})

    while now[0] < 500:
        checkpoints.keep(take)
        now[0] += 1.0
    assert taken == [10.0, 212.0, 414.0]


def test_training_continues_if_a_checkpoint_cannot_be_written(tmp_path: Path) -> None:
    stage, store = STAGES["finetune"], Store(tmp_path)
    (tmp_path / "unfinished").write_text("in the way")
    result = train(stage, store)
    assert "could not be" in result.provenance["notes"][0]


def test_a_diverged_stage_leaves_no_checkpoint(tmp_path: Path) -> None:
    stage, store = finetuning(learning_rate=1e30, clip_norm=0.0, warmup_epochs=6.0), Store(tmp_path)
    with pytest.raises(Diverged, match=r"diverged in epoch \d: .* became NaN or inf; last finite values: "):
        train(stage, store)
    assert not checkpoint_of(stage, store).exists()


@contextmanager
def memory_for(images: int) -> Iterator[list[int]]:
    """A GPU with memory for that many images in training; yields the number of images of each forward pass."""
    requested: list[int] = []

    def check(module: nn.Module, arguments: tuple[Any, ...]) -> None:
        if type(module).__name__ in {"Classifier", "MaskedAutoencoder"} and module.training:
            requested.append(len(arguments[0]))
            if requested[-1] > images:
                raise torch.OutOfMemoryError(f"CUDA out of memory. Tried to allocate {requested[-1]} MiB.\nmore")

    handle = nn.modules.module.register_module_forward_pre_hook(check)
    try:
        yield requested
    finally:
        handle.remove()


@pytest.mark.parametrize("name", ["pretrain", "finetune"])
def test_out_of_memory_is_retried_with_gradient_accumulation(name: str, tmp_path: Path) -> None:
    """Without router noise and balance losses, which are per micro-batch, the result is that of whole batches."""
    stage = STAGES[name]
    plain = ENCODER.model_copy(update={"router_noise": False, "importance_weight": 0.0, "load_weight": 0.0})
    recipe = stage.settings.recipe.model_copy(update={"clip_norm": 0.5})
    stage = replace(stage, settings=StageSettings(plain, recipe))
    whole, split = Store(tmp_path / "whole"), Store(tmp_path / "split")
    expected = train(stage, whole)
    with memory_for(10) as requested:
        result = train(stage, split)
    assert result.provenance["micro_batch"] == 8
    assert expected.provenance["micro_batch"] is None
    assert requested[:5] == [30, 8, 8, 8, 6]
    for row, other in zip(result.history, expected.history, strict=True):
        assert row == pytest.approx(other | {"seconds": row["seconds"]}, rel=2e-3, abs=2e-3)
    assert result.history[0]["train_loss"] == pytest.approx(expected.history[0]["train_loss"], rel=1e-5)


def test_one_step_of_accumulated_gradients_is_one_step_of_the_whole_batch(tmp_path: Path) -> None:
    """After a single step the weights agree to float rounding."""
    plain = ENCODER.model_copy(update={"router_noise": False, "importance_weight": 0.0, "load_weight": 0.0})
    changes = {"epochs": 1, "batch_size": 150, "warmup_epochs": 0.0}
    stage = Stage(StageSettings(plain, Finetune.model_validate(SHARED | changes)), 7)
    whole, split = Store(tmp_path / "whole"), Store(tmp_path / "split")
    expected = train(stage, whole)
    with memory_for(40):
        result = train(stage, split)
    assert result.provenance["micro_batch"] == 38
    assert result.metrics["val_loss"] == pytest.approx(expected.metrics["val_loss"], rel=1e-5)
    assert result.history[0]["train_loss"] == pytest.approx(expected.history[0]["train_loss"], rel=1e-6)


def test_out_of_memory_twice_fails_with_both_errors(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with memory_for(7), pytest.raises(StudyError) as caught:
        train(STAGES["finetune"], store)
    assert "out of memory with micro-batch 32 (CUDA" in str(caught.value)
    assert "and again with micro-batch 8 (CUDA" in str(caught.value)
    assert "Tried to allocate 30 MiB" in str(caught.value)
    assert "Tried to allocate 8 MiB" in str(caught.value)
    assert "more\n" not in str(caught.value)


def test_a_stage_with_micro_batches_resumes_with_micro_batches(tmp_path: Path) -> None:
    stage, whole, resumed = STAGES["finetune"], Store(tmp_path / "whole"), Store(tmp_path / "resumed")
    with memory_for(10):
        train(stage, whole)
        with pytest.raises(Killed):
            train(stage, resumed, 3)
    with memory_for(10) as requested:
        result = train(stage, resumed)
    assert max(requested) == 8
    assert result.provenance["micro_batch"] == 8
    assert bits(stage, resumed) == bits(stage, whole)
