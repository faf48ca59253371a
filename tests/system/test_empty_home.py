"""Every verb with an empty home folder: what is written outside the store and the reports, and who is called."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import typer
from helpers.paths import ROOT
from helpers.ports import free_port
from helpers.tiny_grid import ONE_REPLICATE

from study.cli.app import app

GRID = "".join(line for line in ONE_REPLICATE.splitlines(True) if not line.startswith(("  mode:", "  pre-training:")))
CLAIM = "claims: [{claim: More heads help, kind: greater, cells: {kv heads: 2}}]\n"
WRITTEN = {  # outside the working folder: why
    r"home/\.cache/lightweight-vit-study/data/[0-9a-f]{32}\S*": "decoded images, in STUDY_CACHE",
    r"home/\.cache/matplotlib/fontlist-v\S+\.json": "the fonts of this machine, found once",
    r"home/\.config/matplotlib": "an empty folder of Matplotlib",
    r"tmp/torchinductor_\w+": "an empty folder of PyTorch",
    r"tmp/ray-\d+/ray/session_latest": "a link to Ray's session, whose folder is removed",
}
CALLED = {  # besides this machine: why
    "169.254.169.254": "Ray looks for the kind of cloud, at an address that is never routed",
    "metadata.google.internal": "likewise",
}
GUARD = """
import os, sys
def hook(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.getaddrinfo"):
        with open(os.environ["CALLS"], "a") as file:
            print(repr(arguments[0] if event.endswith("getaddrinfo") else arguments[1]), file=file)
sys.addaudithook(hook)
"""


@dataclass
class Machine:
    """A home folder, a folder for temporary files, and a working folder, all new."""

    root: Path
    outputs: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> Mapping[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
        paths = {"HOME": self.root / "home", "TMPDIR": self.root / "tmp", "CALLS": self.root / "calls"}
        path = os.pathsep.join([str(ROOT), str(self.root / "guard")])
        own = {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "LANG": "C.UTF-8", "STUDY_COMMIT": "0" * 40}
        return kept | {name: str(place) for name, place in paths.items()} | own

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "study", *arguments]
        pipe = subprocess.PIPE
        return subprocess.Popen(
            command, cwd=self.root / "work", env=self.environment, stdout=pipe, stderr=subprocess.STDOUT, text=True
        )

    def run(self, *arguments: str) -> None:
        process = self.start(*arguments)
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 0, output
        self.outputs[arguments[0]] = output

    def outside(self) -> list[str]:
        """Files, links and empty folders outside the working folder."""
        places = [path for name in ("home", "tmp") for path in (self.root / name).rglob("*")]
        left = [path for path in places if path.is_symlink() or not path.is_dir() or not any(path.iterdir())]
        return sorted(str(path.relative_to(self.root)) for path in left)

    def called(self) -> set[str]:
        """Addresses and names other than those of this machine."""
        lines = set((self.root / "calls").read_text().splitlines())
        hosts = {match[1] for line in lines if (match := re.match(r"\(?b?'([^'/]*)'", line))}
        return {
            host for host in hosts if not re.fullmatch(r"127\..*|localhost|0\.0\.0\.0|::1?|", host)
        } - own_addresses()


def own_addresses() -> set[str]:
    found = subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=False).stdout.split()
    return {*found, os.uname().nodename}


@pytest.fixture
def machine() -> Iterator[Machine]:
    with tempfile.TemporaryDirectory(prefix="m-", dir="/tmp") as folder:  # a short path: those of sockets are limited
        yield prepared(Path(folder))


def prepared(root: Path) -> Machine:
    for name in ("home", "tmp", "work", "guard"):
        (root / name).mkdir()
    (root / "guard" / "sitecustomize.py").write_text(GUARD)
    (root / "work" / "grid.yaml").write_text(GRID + CLAIM)
    return Machine(root)


@pytest.mark.system
def test_every_verb_with_an_empty_home(machine: Machine) -> None:
    """Run in the order of a user. A verb that is new must be added here."""
    work = machine.root / "work"
    np.savez(
        work / "own.npz", train_images=np.arange(640, dtype=np.uint8).reshape(40, 4, 4), train_labels=np.arange(40) % 4
    )
    machine.run("plan", "grid.yaml")
    assert machine.outside() == []
    machine.run("schema")
    machine.run("doctor", "grid.yaml")
    machine.run("data", "convert", "own.npz", "own")
    machine.run("plan", "grid.yaml", "--measure")
    machine.run("run", "grid.yaml")
    machine.run("report", "grid.yaml")
    machine.run("replicate", "grid.yaml")
    machine.run("export", "grid.yaml")
    machine.run("verify", "grid.yaml")
    machine.run("list")
    machine.run("status", "grid.yaml")
    machine.run("failures")
    machine.run("show", next((work / ".study" / "finetune").iterdir()).name)
    machine.run("sync", "grid.yaml")
    machine.run("gc")
    machine.run("rm", "grid.yaml")
    machine.run("launch", "slurm", "grid.yaml", "--tracking-uri", "http://localhost:5000")
    serve(machine)
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]  # it is a group
    assert machine.outputs.keys() == commands.keys()
    assert [path for path in machine.outside() if not any(re.fullmatch(pattern, path) for pattern in WRITTEN)] == []
    assert machine.called() <= CALLED.keys()


def serve(machine: Machine) -> None:
    """The verb `ui`, until its server has started."""
    server = machine.start("ui", "--port", str(free_port()))
    assert server.stdout is not None
    machine.outputs["ui"] = server.stdout.readline()
    server.terminate()
    server.communicate(timeout=60)
    assert machine.outputs["ui"].startswith("MLflow: http://127.0.0.1:")
