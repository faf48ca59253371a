"""Measured tables in tests/README.md, each between two comments, written by the command that measures."""

import contextlib
import os
import re
import subprocess
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from helpers.paths import ROOT

README = ROOT / "tests" / "README.md"


@dataclass
class Measurement:
    """One measurement, made before it begins."""

    name: str  # of the block
    command: str
    commit: str = field(default_factory=lambda: commit())
    began: float = field(default_factory=time.monotonic)

    def write(self, table: str) -> None:
        """Put a table into its block, headed by when, where and how it was measured."""
        heading = (
            f"Measured on {datetime.now(UTC):%Y-%m-%d} at commit {self.commit} with `{self.command}`, on "
            f"{os.cpu_count()} cores of {processor()}, in {(time.monotonic() - self.began) / 60:.0f} minutes, with a "
            f"load average of {os.getloadavg()[2]:.0f}:"
        )
        text = README.read_text(encoding="utf-8")
        README.write_text(with_block(text, self.name, f"{heading}\n\n{table}\n"), encoding="utf-8")


def block(text: str, name: str) -> str:
    """The block of this name in a document."""
    return text.partition(f"{begin(name)}\n")[2].partition(end(name))[0]


def with_block(text: str, name: str, content: str) -> str:
    """The document with other content in this block."""
    before, line, rest = text.partition(f"{begin(name)}\n")
    return f"{before}{line}{content}{end(name)}{rest.partition(end(name))[2]}"


def rows(text: str) -> dict[str, str]:
    """The first two cells of each row of a Markdown table, without its head."""
    found = re.findall(r"^\| (.+?) \| (.+?) \|", text, re.MULTILINE)
    return dict(found[1:])


def begin(name: str) -> str:
    return f"<!-- {name}: written by nox -s {name} -- --write -->"


def end(name: str) -> str:
    return f"<!-- end of {name} -->"


def commit() -> str:
    command = ["git", "-C", str(ROOT), "rev-parse", "--short=10", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def processor() -> str:
    """Its name in /proc/cpuinfo; "this machine" elsewhere."""
    with contextlib.suppress(OSError):
        if found := re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE):
            return found[1].strip()
    return "this machine"
