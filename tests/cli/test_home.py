"""A home folder that cannot be written, as on some clusters and in containers."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from helpers.tiny_grid import ONE_REPLICATE

from study.cli import home
from study.execution import ray_token

VARIABLES = ("STUDY_CACHE", "HF_HOME", "MPLCONFIGDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")


@pytest.fixture
def environ(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """No folders from the environment, and temporary files below `tmp_path`."""
    for name in (*VARIABLES, "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.setenv(name, "")  # restored after the test, even if the tested code sets it
        monkeypatch.delenv(name)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return monkeypatch


@pytest.mark.slow
def test_a_study_runs_without_a_writable_home(place: Path) -> None:
    """Ray, MLflow, the notebook and the figures included. Root may write everywhere, except in /proc."""
    (place / "tiny.yaml").write_text(ONE_REPLICATE)
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    environment |= {"HOME": "/proc/none", "TMPDIR": str(place / "t"), "RAY_TMPDIR": "/tmp"}
    (place / "t").mkdir()
    command = [sys.executable, "-m", "study", "run", "tiny.yaml"]
    ended = subprocess.run(
        command, cwd=place, capture_output=True, text=True, check=False, timeout=240, env=environment
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stderr == ""
    assert "warning" not in ended.stdout
    assert (place / "reports" / "tiny" / "report.html").exists()


def test_a_writable_home_is_left_alone(environ: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environ.setenv("HOME", str(tmp_path))
    before = dict(os.environ)
    home.replace_unwritable()
    assert dict(os.environ) == before
    assert list(tmp_path.iterdir()) == []


def test_an_unwritable_home_is_replaced_except_where_the_user_chose(
    environ: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    environ.setenv("HOME", "/proc/none")
    environ.setenv("HF_HOME", "/data/hub")
    home.replace_unwritable()
    assert os.environ["HF_HOME"] == "/data/hub"
    folder = Path(os.environ["MPLCONFIGDIR"]).parent
    assert folder.parent == tmp_path
    assert folder.stat().st_mode & 0o777 == 0o700
    assert Path(os.environ["STUDY_CACHE"]).parent == folder


def test_a_folder_that_others_can_write_is_not_used(environ: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Anybody may create that name in /tmp beforehand."""
    environ.setenv("HOME", "/proc/none")
    taken = tmp_path / f"study-home-{os.getuid()}"
    taken.mkdir()
    taken.chmod(0o777)
    home.replace_unwritable()
    assert Path(os.environ["MPLCONFIGDIR"]).parent != taken


def test_a_local_cluster_gets_its_own_token_unless_the_user_has_one(
    environ: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    environ.setenv("HOME", str(tmp_path))
    ray_token.provide()
    token = os.environ["RAY_AUTH_TOKEN"]
    assert len(token) == 64
    ray_token.provide()
    assert os.environ["RAY_AUTH_TOKEN"] == token
    del os.environ["RAY_AUTH_TOKEN"]
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("the user's")
    (tmp_path / ".ray" / "auth_token").chmod(0o644)  # as Ray itself writes it
    ray_token.provide()
    assert os.environ.pop("RAY_AUTH_TOKEN") != token
    (tmp_path / ".ray" / "auth_token").chmod(0o600)
    ray_token.provide()
    assert "RAY_AUTH_TOKEN" not in os.environ
