"""`study data convert` on the command line."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from study.vit.data import describe

Command = Callable[..., tuple[int, str, str]]


def test_a_data_set_is_converted_once(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    images = np.arange(6 * 64, dtype=np.uint8).reshape(6, 8, 8)
    np.savez("mine.npz", train_images=images, train_labels=[0, 1] * 3, test_images=images[:1], test_labels=[1])
    code, shown, _ = command("data", "convert", "mine.npz", "data/mine")
    assert (code, shown) == (0, "data/mine: train 6 images, test 1 image; in a grid: parquet:data/mine\n")
    assert describe("parquet:data/mine").class_names == ("0", "1")
    code, _, error = command("data", "convert", "mine.npz", "data/mine")
    assert (code, error.count("error:")) == (2, 1)
    assert "data/mine exists" in error
    assert "--overwrite" in error
    assert command("data", "convert", "mine.npz", "data/mine", "--overwrite")[0] == 0


def test_bad_input_is_one_message_and_nothing_is_written(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, shown, error = command("data", "convert", "nowhere.npz", "out")
    assert (code, shown, error) == (2, "", "error: nowhere.npz not found\n")
    Path("bad.npz").write_bytes(b"PK but no archive")
    code, _, error = command("data", "convert", "bad.npz", "out")
    assert (code, error.count("error:")) == (2, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["bad.npz"]
