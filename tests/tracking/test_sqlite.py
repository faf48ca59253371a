"""SQLite URIs: every path survives, and SQLAlchemy reads them alike."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.engine import make_url

from study.tracking.sqlite import normalised, path_of, uri_of
from study.utils.errors import StudyError

names = st.text(st.characters(codec="utf-8", exclude_characters="\0/~", exclude_categories=["Cc", "Cs"]), min_size=1)


@given(st.lists(names, min_size=1, max_size=3), st.booleans())
def test_a_path_survives(parts: list[str], absolute: bool) -> None:
    path = Path("/" if absolute else "", *parts)
    assert path_of(uri_of(path)) == path
    assert make_url(uri_of(path)).database == str(path)
    assert normalised(uri_of(path)) == uri_of(path)


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("sqlite:///runs.db", "runs.db"),
        ("sqlite:////tmp/100%25/runs.db", "/tmp/100%/runs.db"),
        ("sqlite:////tmp/100%/runs.db", "/tmp/100%/runs.db"),  # written without escapes
        ("sqlite:////tmp/a?b/runs.db", "/tmp/a?b/runs.db"),
        ("sqlite:////tmp/runs.db?timeout=5", "/tmp/runs.db"),
        ("sqlite+pysqlite:////tmp/runs.db", "/tmp/runs.db"),
    ],
)
def test_what_users_write(uri: str, path: str) -> None:
    assert path_of(uri) == Path(path)


def test_a_home_folder_is_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert normalised("sqlite:///~/runs.db") == "sqlite:////home/me/runs.db"


@pytest.mark.parametrize("uri", ["http://host:5000/a%20b", "postgresql://me@host/db", "sqlite:////x.db?timeout=5"])
def test_other_uris_stay(uri: str) -> None:
    assert normalised(uri) == uri


def test_a_path_that_is_not_utf_8_is_refused() -> None:
    with pytest.raises(StudyError, match=r"st\\xe4x/mlflow.db cannot be used: its path is not UTF-8"):
        uri_of(Path(os.fsdecode(b"st\xe4x")) / "mlflow.db")
