"""The digest of source files."""

from pathlib import Path

import pytest

from study.utils import provenance


@pytest.fixture
def digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """`source_digest` of a package `study` with two packages and a sub-package."""
    for name in ("a/one.py", "a/sub/two.py", "a/page.css", "b/three.py"):
        path = tmp_path / "study" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    monkeypatch.setattr(provenance, "PACKAGE", tmp_path / "study")
    return provenance.source_digest.__wrapped__


@pytest.mark.parametrize("name", ["a/one.py", "a/sub/two.py", "a/page.css"])
def test_every_file_of_a_package_counts(digest, tmp_path: Path, name: str) -> None:
    before = digest("study.a")
    (tmp_path / "study" / name).write_text("changed")
    assert digest("study.a") != before


def test_a_renamed_file_counts(digest, tmp_path: Path) -> None:
    before = digest("study.a")
    (tmp_path / "study" / "a" / "one.py").rename(tmp_path / "study" / "a" / "uno.py")
    assert digest("study.a") != before


def test_compiled_files_and_other_packages_do_not_count(digest, tmp_path: Path) -> None:
    before = digest("study.a")
    (tmp_path / "study" / "a" / "__pycache__").mkdir()
    (tmp_path / "study" / "a" / "__pycache__" / "one.pyc").write_bytes(b"x")
    (tmp_path / "study" / "b" / "three.py").write_text("changed")
    assert digest("study.a") == before


def test_the_order_of_packages_does_not_matter(digest) -> None:
    assert digest("study.a", "study.b") == digest("study.b", "study.a") != digest("study.a")
    assert digest("study.a.sub") != digest("study.a")


def test_an_unknown_package_is_an_error(digest) -> None:
    with pytest.raises(ValueError, match=r"package 'study\.c' not found"):
        digest("study.c")
