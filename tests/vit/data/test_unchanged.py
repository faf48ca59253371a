"""A folder is listed once per process, and again when an entry is added, removed or renamed."""

import os
from collections import Counter
from pathlib import Path

import pytest
from helpers.data_samples import digits, save_images

from study.vit.data import content, describe, load
from study.vit.data.unchanged import kept_while_unchanged

LONG_AGO = 10**9  # nanoseconds since 1970


def age(folder: Path) -> None:
    for path in [folder, *folder.rglob("*")]:
        os.utime(path, ns=(LONG_AGO, LONG_AGO))


def test_one_walk_per_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels = digits()
    name = f"imagefolder:{save_images(tmp_path / 'train', images, labels).parent}"
    age(tmp_path)
    listed: Counter[Path] = Counter()
    iterdir = Path.iterdir

    def counted(path: Path) -> object:
        listed[path] += 1
        return iterdir(path)

    monkeypatch.setattr(Path, "iterdir", counted)
    describe(name)
    content(name)
    load(name, 8)
    describe(name)
    assert set(listed.values()) == {1}
    assert {path.name for path in listed} == {tmp_path.name, "train", *map(str, range(10))}


def test_a_changed_folder_is_listed_again(tmp_path: Path) -> None:
    names = kept_while_unchanged(lambda folder: sorted(path.name for path in folder.iterdir()))
    assert names(tmp_path) == []
    (tmp_path / "a").touch()
    assert names(tmp_path) == ["a"], "new folders can change again without another time"
    age(tmp_path)
    assert names(tmp_path) is names(tmp_path)
    (tmp_path / "b").touch()
    assert names(tmp_path) == ["a", "b"]
