"""Measured tables in tests/README.md, each between two comments, written by the command that measures."""

import contextlib
import os
import re
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

from helpers.paths import ROOT

README = ROOT / "tests" / "README.md"


def block(text: str, name: str) -> str:
    """The block of this name in a document."""
    return re.findall(
        rf"(?<={re.escape(begin(name))}\n).*?(?={re.escape(end(name))}$)", text, re.DOTALL | re.MULTILINE
    )[0]


def rows(text: str) -> dict[str, str]:
    """The first two cells of each row of a Markdown table, without its head."""
    found = re.findall(r"^\| (.+?) \| (.+?) \|", text, re.MULTILINE)
    return dict(found[1:])


def begin(name: str) -> str:
    return f"<!-- {name}: written by nox -s {name} -- --write -->"


def end(name: str) -> str:
    return f"<!-- end of {name} -->"


def write(name: str, command: str, table: str, began: float) -> None:
    """Replace a block by a table, headed by when, where and how it was measured. began: of `time.monotonic`."""
    minutes = (time.monotonic() - began) / 60
    heading = (
        f"Measured on {datetime.now(UTC):%Y-%m-%d} at commit {_commit()} with `{command}`, on {os.cpu_count()} cores "
        f"of {_processor()}, in {minutes:.0f} minutes:"
    )
    text = README.read_text(encoding="utf-8")
    README.write_text(text.replace(block(text, name), f"{heading}\n\n{table}\n"), encoding="utf-8")


def _commit() -> str:
    command = ["git", "-C", str(ROOT), "rev-parse", "--short=10", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _processor() -> str:
    """Its name in /proc/cpuinfo; "this machine" elsewhere."""
    with contextlib.suppress(OSError):
        if found := re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE):
            return found[1].strip()
    return "this machine"
