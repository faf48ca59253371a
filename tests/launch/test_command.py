"""The verb: options reach their kind, those of another kind are refused, and the next step is said."""

import functools

import pytest
import typer
from typer.testing import CliRunner

import study.launch
from study.cli.launch import launch as verb
from study.launch.catalogue import find
from study.utils.errors import StudyError


@pytest.fixture
def call(root, monkeypatch):
    monkeypatch.setattr(study.launch, "write", functools.partial(study.launch.write, root=root))
    app = typer.Typer()
    app.command()(verb)
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=True)


def test_it_writes_and_says_how_to_go_on(call, tiny, root):
    hosts = ["--host", "a", "--host", "b", "--user", "me", "--gpus", 2]
    done = call("onprem", tiny, *hosts, "--store", "/s", "--tracking-uri", "http://mlflow.lan:5000")
    assert done.exit_code == 0, done.output
    assert (root / "launch" / "tiny-onprem" / "cluster.yaml").is_file()
    words = " ".join(done.output.split())
    assert "keep it on a private network" in words
    assert "next: " in words
    assert "ray up --yes launch/tiny-onprem/cluster.yaml" in words


def test_an_option_of_another_kind_is_refused(call, tiny, root):
    done = call("slurm", tiny, "--tracking-uri", "http://127.0.0.1:5000", "--zone", "us-central1-a")
    assert isinstance(done.exception, StudyError)
    assert "launch slurm: --zone is none of its options" in str(done.exception)
    assert not (root / "launch").exists()


@pytest.mark.parametrize("kind", study.launch.KINDS)
def test_every_option_of_every_kind_can_be_given(kind):
    given = set(typer.main.get_command(_app()).make_context("launch", ["x", "y"]).params)
    assert set(find(kind).model_fields) <= given


def _app():
    app = typer.Typer()
    app.command()(verb)
    return app
