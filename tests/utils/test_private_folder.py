"""Folders that only their owner can read and write."""

import os
import stat
from pathlib import Path

import pytest

from study.utils.errors import StudyError
from study.utils.private_folder import private_folder

REMEDY = "set RAY_TMPDIR to another folder"


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_only_the_owner_has_access_whatever_the_umask(umask: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        found = private_folder(tmp_path / "new" / "own", REMEDY)
    finally:
        os.umask(before)
    assert stat.S_IMODE(found.stat().st_mode) == 0o700


def test_an_own_folder_that_others_can_read_becomes_private(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir(mode=0o755)
    assert stat.S_IMODE(private_folder(tmp_path / "own", REMEDY).stat().st_mode) == 0o700


@pytest.mark.parametrize("kind", ["link to a folder", "dangling link", "file", "fifo"])
def test_anything_else_in_its_place_is_refused_in_one_sentence(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "taken"
    if kind == "link to a folder":
        (tmp_path / "target").mkdir()
        path.symlink_to("target")
    elif kind == "dangling link":
        path.symlink_to("nowhere")
    elif kind == "file":
        path.write_text("")
    else:
        os.mkfifo(path)
    with pytest.raises(StudyError, match="must be a private") as raised:
        private_folder(path, REMEDY)
    assert str(path) in str(raised.value)
    assert str(raised.value).endswith(REMEDY)
    assert "\n" not in str(raised.value)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir(mode=0o777)
    os.chown(tmp_path / "taken", 12345, 12345)
    with pytest.raises(StudyError, match="belongs to another user"):
        private_folder(tmp_path / "taken", REMEDY)
