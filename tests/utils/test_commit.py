"""The commit of the code, in real git repositories: recorded only if the repository is the package's own."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from study.launch import preflight
from study.utils import provenance
from study.utils.provenance import GitProblem, commit, git_problem

Place = Callable[[Path], None]


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Place]:
    """Makes a folder the one that holds the package `study`; git has no settings of this machine."""
    monkeypatch.delenv("STUDY_COMMIT", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")

    def put(root: Path) -> None:
        (root / "study").mkdir(parents=True, exist_ok=True)
        (root / "study" / "code.py").write_text("x = 1\n")
        monkeypatch.setattr(provenance, "PACKAGE", root / "study")
        provenance._checkout.cache_clear()

    yield put
    provenance._checkout.cache_clear()


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def committed(folder: Path) -> str:
    """A repository with everything in the folder committed; its commit."""
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "one", "--allow-empty")
    return git(folder, "rev-parse", "HEAD")


def test_the_commit_of_the_package_s_own_repository(place: Place, tmp_path: Path) -> None:
    place(tmp_path / "clone")
    found = committed(tmp_path / "clone")
    assert (commit(), git_problem()) == (found, None)
    (tmp_path / "clone" / "study" / "code.py").write_text("x = 2\n")
    provenance._checkout.cache_clear()
    assert commit() == f"{found}-dirty"


def test_a_worktree_is_a_repository_of_its_own(place: Place, tmp_path: Path) -> None:
    place(tmp_path / "clone")
    committed(tmp_path / "clone")
    git(tmp_path / "clone", "worktree", "add", "-q", str(tmp_path / "tree"))
    place(tmp_path / "tree")
    assert commit() == git(tmp_path / "tree", "rev-parse", "HEAD")


@pytest.mark.parametrize("inside", ["vendor/project", ".venv/lib/python3.11/site-packages"])
def test_a_surrounding_repository_is_not_that_of_the_package(place: Place, tmp_path: Path, inside: str) -> None:
    place(tmp_path / "theirs" / inside)
    committed(tmp_path / "theirs")
    assert (commit(), git_problem()) == ("unknown", None)


def test_an_unpacked_package_has_no_commit_and_needs_no_git(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    place(tmp_path / "unpacked")
    assert (commit(), git_problem()) == ("unknown", None)
    assert preflight.code_version().status == "ok"


def test_git_variables_of_a_hook_name_no_other_repository(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place(tmp_path / "clone")
    found = committed(tmp_path / "clone")
    (tmp_path / "other").mkdir()
    committed(tmp_path / "other")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other" / ".git"))
    assert commit() == found


def test_a_checkout_of_another_user_is_reported_with_the_fix(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "a clone"
    place(root)
    found = committed(root)
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    problem = git_problem()
    assert commit() == "unknown"
    assert problem == GitProblem(
        f"{root} belongs to another user, so git does not read it",
        f"git config --global --add safe.directory '{root}'",
    )
    finding = preflight.code_version()
    assert (finding.status, finding.suggestion) == ("warning", problem.fix)
    (tmp_path / "home").mkdir()
    subprocess.run(problem.fix, shell=True, check=True, env=os.environ)  # the suggested command
    provenance._checkout.cache_clear()
    assert (commit(), git_problem()) == (found, None)


def test_a_missing_git_is_reported_for_a_checkout(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place(tmp_path / "clone")
    committed(tmp_path / "clone")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert shutil.which("git") is None
    assert commit() == "unknown"
    assert git_problem() == GitProblem("git is not installed", "install git")


def test_a_repository_without_a_commit_is_a_problem(place: Place, tmp_path: Path) -> None:
    place(tmp_path / "clone")
    git(tmp_path / "clone", "init", "-q")
    problem = git_problem()
    assert commit() == "unknown"
    assert problem is not None
    assert problem.reason.startswith("git failed: ")


def test_a_given_commit_needs_no_repository(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place(tmp_path / "image")
    monkeypatch.setenv("STUDY_COMMIT", "abc")
    assert (commit(), git_problem()) == ("abc", None)
