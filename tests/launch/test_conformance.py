"""The conformance suite of launchers: it runs on every kind in the table, with the options of its example."""

import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import get_args

import pytest
import yaml
from helpers.launch_samples import EXAMPLES
from helpers.paths import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

from study.launch import KINDS, write
from study.launch.catalogue import find
from study.launch.write import read
from study.utils.errors import StudyError

KIND = pytest.mark.parametrize("kind", KINDS)
needs_shellcheck = pytest.mark.skipif(
    shutil.which("shellcheck") is None, reason="shellcheck is not installed (apt-get install shellcheck)"
)


def below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def scripts(folder: Path) -> dict[str, str]:
    """All scripts, and all blocks of commands in the README."""
    found = {path.name: path.read_text() for path in folder.glob("*.sh")}
    blocks = re.findall(r"```bash\n(.*?)```", (folder / "README.md").read_text(), flags=re.DOTALL)
    return found | {f"README block {number}": f"#!/bin/bash\n{block}" for number, block in enumerate(blocks, start=1)}


@KIND
def test_a_kind_is_documented(kind):
    cluster = find(kind)
    assert cluster.__doc__
    assert cluster.title
    assert all(field.description for field in cluster.model_fields.values())


@KIND
def test_the_folder_is_named_after_study_and_kind(kind, launch, root, tiny):
    written = launch(kind)
    assert written.folder == root / "launch" / f"tiny-{kind}"
    assert set(written.files) == set(below(written.folder))
    assert (written.folder / "grid.yaml").read_bytes() == tiny.read_bytes()


@KIND
def test_writing_again_changes_nothing_and_other_content_is_not_overwritten(kind, launch):
    first = launch(kind)
    before = below(first.folder)
    (first.folder / "notes.txt").write_text("mine")
    launch(kind)
    assert below(first.folder) == before | {"notes.txt": b"mine"}
    (first.folder / "README.md").write_text("mine too")
    with pytest.raises(StudyError, match=r"different content \(README.md\); overwrite them with --force, or choose"):
        launch(kind)
    assert below(first.folder) == before | {"notes.txt": b"mine", "README.md": b"mine too"}
    launch(kind, force=True)
    assert below(first.folder) == before | {"notes.txt": b"mine"}


@KIND
def test_changed_options_do_not_overwrite(kind, launch):
    launch(kind)
    with pytest.raises(StudyError, match="different content"):
        launch(kind, tracking_uri="http://other.example.org:5000")


@KIND
def test_files_of_known_formats_are_valid(kind, launch):
    for name, data in below(launch(kind).folder).items():
        if name.endswith(".yaml"):
            assert list(yaml.safe_load_all(data))
        if name.endswith(".json"):
            assert json.loads(data)


@KIND
def test_bash_can_parse_every_script_and_command(kind, launch):
    found = scripts(launch(kind).folder)
    assert len(found) >= 6
    for name, text in found.items():
        done = subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True)
        assert done.returncode == 0, f"{name}: {done.stderr}"


@needs_shellcheck
@KIND
def test_shellcheck_finds_nothing(kind, launch):
    for name, text in scripts(launch(kind).folder).items():
        done = subprocess.run(["shellcheck", "-"], input=text, text=True, capture_output=True)
        assert done.returncode == 0, f"{name}: {done.stdout}"


@KIND
def test_the_driver_gets_grid_store_and_server(kind, launch):
    text = b"\n".join(below(launch(kind).folder).values()).decode()
    cluster = read(kind, EXAMPLES[kind])
    words = " ".join(text.split())
    where = f"--address auto --store {cluster.store} --tracking-uri {cluster.tracking_uri}"
    assert re.search(rf"-m study run \S*grid\.yaml {re.escape(where)}", words)


@KIND
def test_the_readme_has_all_steps_and_names_existing_files(kind, launch):
    written = launch(kind)
    text = (written.folder / "README.md").read_text()
    titles = re.findall(r"^## (.*)$", text, flags=re.MULTILINE)
    assert titles == ["Set up", "Start", "Watch", "Resume", "Stop", "Report", "MLflow", "Secrets", "Notes"]
    for command in (written.steps.start, written.steps.watch, written.steps.resume, written.steps.stop):
        assert command.strip()
        assert command.strip() in text
    named = set(re.findall(rf"launch/tiny-{kind}/([A-Za-z][\w./]*)", text)) - {"commit", "mlflow/postgres_password"}
    assert named
    for name in named:
        assert (written.folder / name).is_file(), name


@KIND
def test_ray_requires_a_token_and_no_secret_is_written(kind, launch):
    text = b"\n".join(below(launch(kind).folder).values()).decode()
    assert "RAY_AUTH_MODE=token" in text or "mode: token" in text
    assert not re.search(r"RAY_AUTH_TOKEN=|auth_token: [^~]|PASSWORD: [^/]|password=[^\"]", text)
    assert "usage" in text.lower()  # telemetry is disabled


@KIND
def test_a_password_in_the_server_uri_is_rejected_and_not_printed(kind, launch, root):
    with pytest.raises(StudyError, match="--tracking-uri: contains a user name or password") as caught:
        launch(kind, tracking_uri="http://me:hunter2@mlflow.example.org")
    assert "hunter2" not in str(caught.value)
    assert not (root / "launch").exists()


@KIND
def test_parent_folders_in_paths_are_rejected(kind, launch, root):
    texts = [name for name, field in find(kind).model_fields.items() if field.annotation not in (int, bool)]
    assert {"store", "tracking_uri"} <= set(texts)
    for name in texts:
        is_list = get_args(find(kind).model_fields[name].annotation)[1:] == (...,)
        for value in ("a/../b", "../b", "/a/../b", "..", "s3://bucket/../b", "gs://bucket/../b", "http://host/../b"):
            with pytest.raises(StudyError, match=name.replace("_", "-")):
                launch(kind, **{name: [value] if is_list else value})
    with pytest.raises(StudyError, match="must be in the repository"):
        launch(kind, folder=root / ".." / "elsewhere")
    assert not (root / "launch").exists()


@KIND
def test_machines_install_the_locked_environment(kind, launch):
    text = b"\n".join(below(launch(kind).folder).values()).decode()
    assert re.search(r"pip install [^\n]*--constraint \S*requirements.lock", text)


@KIND
def test_pages_listen_on_localhost_by_default(kind, launch):
    for name, data in below(launch(kind).folder).items():
        text = data.decode()
        assert "--dashboard-host=0.0.0.0" not in text
        if name == "mlflow/compose.yaml":
            assert yaml.safe_load(text)["services"]["mlflow"]["ports"] == ["${MLFLOW_BIND:-127.0.0.1}:5000:5000"]
            assert "ports" not in yaml.safe_load(text)["services"]["postgres"]


HOSTILE_MARKS = " $`'\"\\\n\t{}%;&|<>*?#é\x00"
HOSTILE = st.text(st.sampled_from(f"ab0./:-_~@{HOSTILE_MARKS}"), max_size=12)


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(list(KINDS)),
    name=st.sampled_from(sorted({name for kind in KINDS for name in find(kind).model_fields} | {"nonsense"})),
    value=HOSTILE | st.integers(-2, 3) | st.none() | st.lists(HOSTILE, max_size=2) | st.booleans(),
)
def test_any_options_are_either_written_completely_or_rejected(kind, name, value):
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        (root / "requirements.lock").write_text("ray==2.60.0\n")
        grid = ROOT / "grids" / "quickstart.yaml"
        try:
            written = write(kind, grid, EXAMPLES[kind] | {name: value}, root=root)
        except StudyError:
            assert not (root / "launch").exists()
            return
        for path in written.folder.rglob("*.yaml"):
            list(yaml.safe_load_all(path.read_text()))
        text = "".join(path.read_text() for path in written.folder.rglob("*.sh"))
        assert not (isinstance(value, str) and set(value) & set(HOSTILE_MARKS) and value in text)
