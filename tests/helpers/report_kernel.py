"""Code that runs both in this process and in the kernel that executes a report's notebook."""

from pathlib import Path

import pytest


def run_in_kernel_too(code: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the code now, and in every Python process started from here on.

    Python imports `sitecustomize` when it starts, if it finds one.
    """
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(code, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(folder))
    exec(compile(code, str(folder / "sitecustomize.py"), "exec"), {})
