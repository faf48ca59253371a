"""A checkout that git does not read is reported once by a run, with the fix."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from helpers.paths import ROOT

from study.utils import provenance

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def of_another_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """This checkout belongs to another user, for git."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    monkeypatch.delenv("STUDY_COMMIT", raising=False)
    for name, value in {"GIT_TEST_ASSUME_DIFFERENT_OWNER": "1", "GIT_CONFIG_NOSYSTEM": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    provenance._checkout.cache_clear()
    yield
    provenance._checkout.cache_clear()


@pytest.mark.usefixtures("of_another_user")
def test_a_run_reports_it_once_with_the_fix(finished: Path, command: Command) -> None:
    code, shown, _ = command("run", finished.name)
    assert code == 0
    assert shown.count("the commit is not recorded") == 1
    assert f"to fix it: git config --global --add safe.directory {ROOT}" in " ".join(shown.split())
