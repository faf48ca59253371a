"""The digest of own data: equal for equal files wherever they are, another one for any change."""

import os
import shutil
import unicodedata
import uuid
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.data_samples import digits, encode, save_images, save_table
from hypothesis import given, settings
from hypothesis import strategies as st

from study.utils.errors import StudyError
from study.vit.data import content, load

IMAGES, LABELS = digits()
LONG_AGO = 10**9  # nanoseconds since 1970
NAMES = st.text(st.sampled_from("abcXYZ 0é-_."), min_size=1, max_size=6).filter(lambda name: name.strip(" .") == name)
Files = dict[tuple[str, str, str], int]
FILES = st.dictionaries(
    st.tuples(st.sampled_from(["train", "test", "validation"]), st.sampled_from(["ant", "bee"]), NAMES),
    st.integers(0, 199),
    min_size=1,
    max_size=6,
)


def save(root: Path, files: Files) -> str:
    """Own images, by split, class and name; each split has both classes. Returns the name of the data set."""
    complete = {("train", "ant", "first"): 0, ("train", "bee", "second"): 1, **files}
    for (split, label, name), number in complete.items():
        file = root / split / label / f"{name}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(IMAGES[number])
    return f"imagefolder:{root}"


def age(folder: Path) -> None:
    """Files that are not new: only those are taken as unchanged while their time is."""
    for path in [folder, *folder.rglob("*")]:
        os.utime(path, ns=(LONG_AGO, LONG_AGO))


@given(files=FILES)
@settings(deadline=None)
def test_the_same_files_have_the_same_digest_wherever_they_are(
    files: Files, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("data")
    here, there = root / "here", root / "there"
    name = save(here, files)
    shutil.copytree(here, there)
    link = root / "link"
    link.symlink_to(here)
    for path in sorted(there.rglob("*"), key=lambda path: -len(path.parts)):  # as macOS may copy them
        path.rename(path.with_name(unicodedata.normalize("NFD", path.name)))
    spelled = f"imagefolder:{root}/./there/../here/"
    assert {content(f"imagefolder:{path}") for path in (here, there, link)} == {content(name)} == {content(spelled)}


@given(files=FILES, data=st.data())
@settings(deadline=None)
def test_any_change_of_a_file_gives_another_digest(
    files: Files, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("data") / "mine"
    name = save(root, files)
    before = content(name)
    file = data.draw(st.sampled_from(sorted(root.rglob("*.png"))))
    other = {"ant": "bee", "bee": "ant"}[file.parent.name]
    change = data.draw(st.sampled_from(["byte", "name", "label", "split", "copy"]))
    if change == "byte":
        old = bytearray(file.read_bytes())
        position = data.draw(st.integers(100 if len(old) > 110 else 0, len(old) - 1))
        old[position] ^= 1 << data.draw(st.integers(0, 7))
        file.write_bytes(old)
    else:
        target = {
            "name": file.with_name("renamed-1.png"),
            "label": file.parents[1] / other / f"{uuid.uuid4()}.png",
            "split": root / "test" / file.parent.name / "moved-2.png",
            "copy": file.with_name("copied-3.png"),
        }[change]
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
        if change != "copy" and len(list(file.parent.iterdir())) > 1:
            file.unlink()
    assert content(name) != before


def tables(folder: Path) -> str:
    return f"parquet:{save_table(folder / 'train.parquet', IMAGES, LABELS)}"


def folders(folder: Path) -> str:
    return f"imagefolder:{save_images(folder, IMAGES, LABELS)}"


@pytest.mark.parametrize("make", [tables, folders])
def test_files_of_the_same_size_and_time_are_not_read_again(make: Callable[[Path], str], tmp_path: Path) -> None:
    """Also in another process: the digest is in the cache folder."""
    name = make(tmp_path / "mine")
    age(tmp_path / "mine")
    before = content(name)
    file = next(path for path in sorted((tmp_path / "mine").rglob("*")) if path.is_file())
    data = bytearray(file.read_bytes())
    data[20] ^= 1
    file.write_bytes(data)
    assert content(name) != before, "the time is new"
    os.utime(file, ns=(LONG_AGO, LONG_AGO))
    assert content(name) == before, "the file was not read"


def test_a_file_changed_right_after_it_was_read_is_noticed(tmp_path: Path) -> None:
    """Two changes within one tick of the file system's clock have the same time."""
    name = folders(tmp_path / "mine")
    before, file = content(name), tmp_path / "mine" / "3" / "0003.png"
    now = file.stat().st_mtime_ns
    file.write_bytes(bytes(reversed(file.read_bytes())))
    os.utime(file, ns=(now, now))
    assert content(name) != before


def paths(folder: Path, images: list[Path | bytes]) -> str:
    """A table that has the paths of images, or images."""
    cells = [
        {"bytes": None, "path": str(image)} if isinstance(image, Path) else {"bytes": image, "path": "x.png"}
        for image in images
    ]
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    folder.mkdir(parents=True)
    pq.write_table(pa.table({"image": pa.array(cells, kind), "label": LABELS[: len(images)]}), folder / "train.parquet")
    return f"parquet:{folder}"


def test_a_file_behind_a_table_of_paths_belongs_to_the_data(tmp_path: Path) -> None:
    save_images(tmp_path / "files", IMAGES[:40], LABELS[:40])
    files: list[Path | bytes] = [*sorted((tmp_path / "files").rglob("*.png"))]
    name = paths(tmp_path / "mine", [*files, IMAGES[41]])
    before, digest = content(name), load(name, 8).digest
    file = files[-1]
    assert isinstance(file, Path)
    file.write_bytes(encode(15 * (1 - np.eye(8))))
    assert content(name) != before
    assert load(name, 8).digest != digest
    file.unlink()
    with pytest.raises(
        StudyError, match=f"data set in {tmp_path / 'mine'}: 1 image cannot be read.*\n  {file}: No such"
    ):
        content(name)


def test_named_data_sets_have_no_content() -> None:
    assert content("digits") is None


def test_without_a_cache_folder_the_digest_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = folders(tmp_path / "mine")
    age(tmp_path / "mine")
    before = content(name)
    (tmp_path / "file").touch()
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "file" / "none"))
    monkeypatch.setattr("study.vit.data.content_digest._known", {})
    assert content(name) == before
