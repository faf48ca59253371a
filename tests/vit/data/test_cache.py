"""Decoded images are cached once per machine, atomically; a failing cache never stops a trial."""

import logging
import multiprocessing
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from helpers.data_samples import digits, save_table
from helpers.paths import ROOT
from helpers.slow_source import remember_slowly

from study.vit.data import available, cache, load
from study.vit.data.arrays import Decoded
from study.vit.data.catalogue import find
from study.vit.data.parquet import Parquet
from study.vit.data.source import Source

IMAGES, LABELS = digits()


@pytest.fixture
def name(tmp_path: Path) -> str:
    return f"parquet:{save_table(tmp_path / 'mine' / 'train.parquet', IMAGES, LABELS)}"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes at which images have been decoded so far."""
    sizes: list[int] = []
    read = Parquet.read

    def counted(self: Parquet, size: int) -> Decoded:
        sizes.append(size)
        return read(self, size)

    monkeypatch.setattr(Parquet, "read", counted)
    return sizes


def cached(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.suffix != ".lock")


def test_decoded_once(name: str, reads: list[int], forget: Callable[[], None], cache_folder: Path) -> None:
    first = load(name, 8)
    assert load(name, 8) is first, "within a process the tensors are the same"
    forget()
    second = load(name, 8)
    assert reads == [8]
    assert torch.equal(first.train.images, second.train.images)
    assert torch.equal(first.test.labels, second.test.labels)
    assert (first.info, first.digest) == (second.info, second.digest)
    assert len(cached(cache_folder)) == 1


@pytest.mark.parametrize(
    ("module", "before", "after"),
    [
        ("digits.py", "images_NCHW = (", "images_NCHW = 255 - ("),
        ("splits.py", "in sorted(groups):", "in sorted(groups, reverse=True):"),
    ],
)
def test_edited_code_does_not_use_images_of_the_code_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, before: str, after: str
) -> None:
    """In a copy of the package; each load is a process of its own, with the same cache folder."""
    shutil.copytree(ROOT / "study", tmp_path / "study")
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    command = [sys.executable, "-c", "from study.vit.data import digest; print(digest('digits', 8))"]

    def loaded() -> str:
        return subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path).stdout

    file = tmp_path / "study" / "vit" / "data" / module
    text, first = file.read_text(), loaded()
    assert before in text
    file.write_text(text.replace(before, after))
    second = loaded()
    file.write_text(text)
    assert second != first == loaded()


def test_images_at_their_own_size_are_used_for_every_larger_size(
    name: str, reads: list[int], forget: Callable[[], None]
) -> None:
    for size in (8, 16, 36, 4, 36, 4, 5):
        forget()
        assert load(name, size).train.images.shape[2:] == (min(size, 8), min(size, 8))
    assert reads == [8, 4, 5]


def test_only_a_few_data_sets_stay_in_memory(name: str) -> None:
    from study.vit.data import tensors

    for size in range(2, 9):
        load(name, size)
    assert len(tensors._held) == tensors.KEPT
    assert [key[1] for key in tensors._held] == [5, 6, 7, 8]


@pytest.mark.parametrize("damage", [b"", b"\x10\0\0\0\0\0\0\0{no json", None])
def test_a_damaged_file_is_written_again(
    damage: bytes | None, name: str, reads: list[int], forget: Callable[[], None], cache_folder: Path
) -> None:
    digest = load(name, 8).digest
    forget()
    (file,) = cached(cache_folder)
    content = file.read_bytes()
    file.unlink()  # tensors of the first loading may still be mapped to it
    file.write_bytes(content[:-100] if damage is None else damage)
    assert load(name, 8).digest == digest
    assert reads == [8, 8]


def test_a_cache_that_is_not_writable(
    name: str, reads: list[int], cache_folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (cache_folder.parent / "file").write_text("in the way")
    monkeypatch.setenv("STUDY_CACHE", str(cache_folder.parent / "file"))
    with caplog.at_level(logging.WARNING):
        data = load(name, 8)
    assert (len(data.train), len(data.validation), len(data.test)) == (140, 20, 40)
    assert "are not cached" in caplog.text


def test_a_full_disk_leaves_nothing_behind(name: str, cache_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert len(load(name, 8).train) == 140
    assert cached(cache_folder) == []


def test_files_are_readable_for_other_users(name: str, cache_folder: Path) -> None:
    load(name, 8)
    (file,) = cached(cache_folder)
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(file.stat().st_mode) == 0o666 & ~umask


def test_writing_to_a_tensor_does_not_reach_the_file(name: str, forget: Callable[[], None]) -> None:
    """It is forbidden; but if it happens, other processes and later trials must not be affected."""
    data = load(name, 8)
    before = data.train.images.clone()
    data.train.images.zero_()
    forget()
    assert torch.equal(load(name, 8).train.images, before)


def test_processes_wait_for_the_first_that_decodes(tmp_path: Path, cache_folder: Path) -> None:
    notes = tmp_path / "notes"
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        found = pool.map(remember_slowly, [str(notes)] * 3)
    assert notes.read_text() == "read\n"
    assert found == [str(file) for file in cached(cache_folder)] * 3


def test_cached_data_are_available_without_their_source(monkeypatch: pytest.MonkeyPatch) -> None:
    def unavailable(self: Source) -> None:
        raise AssertionError("the source was used")

    load("digits", 8)
    monkeypatch.setattr(type(find("digits")), "available", unavailable)
    available("digits")


def test_the_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STUDY_CACHE", "~/mine")
    assert cache.folder() == Path.home() / "mine" / "data"
    monkeypatch.delenv("STUDY_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.folder() == tmp_path / "lightweight-vit-study" / "data"
