"""`study launch` on the command line: each kind has its own options."""

import functools
import re
import shlex
import sys

import pytest
import typer
from helpers.paths import ROOT
from typer.testing import CliRunner

import study.launch
from study.cli.launch import example, launch
from study.launch import KINDS, catalogue
from study.launch.catalogue import find
from study.utils.errors import StudyError

KIND = pytest.mark.parametrize("kind", KINDS)
TOY = '''
from typing import ClassVar

from pydantic import Field

from study.launch.cluster import Cluster, Steps


class Toy(Cluster):
    """A toy cluster."""

    title: ClassVar[str] = "Toy"
    example: ClassVar[dict] = {"store": "/s", "tracking_uri": "http://localhost:5000", "flavour": ["a", "b"]}

    flavour: tuple[str, ...] = Field(description="a flavour; repeat for more")
    speed: int | None = Field(3, description="speed of the toy")
    loud: bool = Field(False, description="make noise")

    def files(self, place):
        return {"toy.txt": f"{self.flavour} {self.speed} {self.loud}"}

    def steps(self, place):
        return Steps(**dict.fromkeys(["prepare", "start", "watch", "resume", "stop", "fetch", "mlflow"], "toy"))
'''


@pytest.fixture
def call(root, monkeypatch):
    """Run `study launch` with these words."""
    monkeypatch.setattr(study.launch, "write", functools.partial(study.launch.write, root=root))
    monkeypatch.setenv("COLUMNS", "200")
    app = typer.Typer()
    app.add_typer(launch, name="launch")
    app.command()(lambda: None)  # a second command, so that `launch` has to be named
    return lambda *words: CliRunner().invoke(app, ["launch", *map(str, words)])


@KIND
def test_the_example_of_every_kind_works(kind, call, tiny, root):
    words = shlex.split(example(kind))
    assert words[:4] == ["study", "launch", kind, "grids/quickstart.yaml"]
    done = call(kind, tiny, *words[4:])
    assert done.exit_code == 0, done.output
    shown = " ".join(done.output.split())
    assert f"launch/tiny-{kind}: README.md, grid.yaml" in shown
    assert f"launch/tiny-{kind}/README.md, or in {root.resolve()} " in shown  # its commands have paths from there
    assert (root / "launch" / f"tiny-{kind}" / "README.md").is_file()


@KIND
def test_the_help_of_a_kind_shows_its_options_and_no_others(kind, call):
    shown = call(kind, "--help").output
    flags = set(re.findall(r"^│ (--[a-z-]+)", shown, flags=re.MULTILINE))
    fields = find(kind).model_fields
    assert flags == {f"--{name.replace('_', '-')}" for name in fields} | {"--output", "--force", "--help"}
    words = " ".join(re.sub("[│╭╮╰╯─]", " ", shown).split())
    for field in fields.values():
        assert field.description
        assert " ".join(field.description.split()) in words or len(field.description) > 100  # long ones are wrapped


def test_the_help_lists_all_kinds(call):
    shown = call("--help").output
    assert [line.split()[1] for line in shown.partition("Commands")[2].splitlines() if re.match("│ [a-z]", line)] == [
        *KINDS
    ]


def test_values_reach_the_launcher(call, tiny, root):
    hosts = ["--host", "a", "--host", "b", "--user", "me", "--gpus", 2]
    done = call("onprem", tiny, *hosts, "--store", "/s", "--tracking-uri", "http://mlflow.lan:5000")
    assert done.exit_code == 0, done.output
    assert "keep it on a private network" in " ".join(done.output.split())
    assert "--num-gpus=2" in (root / "launch" / "tiny-onprem" / "cluster.yaml").read_text()
    assert (root / "launch" / "tiny-onprem" / "cluster.yaml").read_text().count("- b") == 1


def test_a_tilde_is_the_home_folder(call, tiny, root, monkeypatch):
    monkeypatch.setenv("HOME", str(root))
    (root / "tiny.yaml").write_text(tiny.read_text())
    done = call("slurm", "~/tiny.yaml", *shlex.split(example("slurm"))[4:], "--output", "~/files")
    assert done.exit_code == 0, done.output
    assert (root / "files" / "README.md").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["slurm", "GRID", "--zone", "us-central1-a"], "No such option"),
        (["slurm", "GRID", "--nodes", "many"], "Invalid value"),
        (["slurm"], "Missing argument"),
        (["slrum", "GRID"], "No such command"),
    ],
)
def test_wrong_words_are_usage_errors(words, message, call, tiny, root):
    done = call(*[tiny if word == "GRID" else word for word in words])
    assert done.exit_code == 2
    assert message in done.output
    assert not (root / "launch").exists()


def test_a_missing_option_is_explained(call, tiny, root):
    done = call("slurm", tiny)
    assert isinstance(done.exception, StudyError)
    assert "launch slurm: --tracking-uri is missing: address of the MLflow server" in str(done.exception)
    assert not (root / "launch").exists()


def test_a_new_kind_is_one_file_and_one_line(call, tiny, root, tmp_path, monkeypatch):
    (tmp_path / "toy_launcher.py").write_text(TOY)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(catalogue.KINDS, "toy", "toy_launcher:Toy")
    assert "A toy cluster." in call("--help").output
    shown = call("toy", "--help").output
    for text in ("--flavour", "a flavour; repeat for more (required)", "speed of the toy (default: 3)", "make noise"):
        assert text in shown
    server = ["--store", "/s", "--tracking-uri", "http://localhost:5000"]
    done = call("toy", tiny, *server, "--flavour", "x", "--flavour", "y", "--speed", 5, "--loud")
    assert done.exit_code == 0, done.output
    assert (root / "launch" / "tiny-toy" / "toy.txt").read_text() == "('x', 'y') 5 True"
    sys.modules.pop("toy_launcher")


def test_the_real_command_line_has_the_verb():
    from study.cli.app import app

    done = CliRunner().invoke(app, ["launch", "slurm", str(ROOT / "grids" / "quickstart.yaml"), "--help"])
    assert done.exit_code == 0
    assert "--partition" in done.output
