"""Options and errors of single kinds; what holds for every kind is in test_conformance.py."""

import re
import shutil
from pathlib import Path

import pytest
import yaml
from helpers.launch_samples import EXAMPLES
from hypothesis import given
from hypothesis import strategies as st

from study.launch import write
from study.launch.catalogue import find
from study.launch.cluster import Place
from study.utils.errors import StudyError


@pytest.mark.parametrize(
    ("kind", "store", "server", "grid"),
    [
        ("slurm", ".study", "http://mlflow.example.org:5000", "launch/tiny-slurm/grid.yaml"),
        ("kuberay", "/study/store", "http://study-mlflow:5000", "/etc/study/grid.yaml"),
        ("onprem", "/shared/store", "http://mlflow.example.org:5000", "launch/tiny-onprem/grid.yaml"),
    ],
)
def test_defaults_of_store_and_server(kind, store, server, grid, launch):
    text = " ".join((launch(kind).folder / name).read_text() for name in _driver_files(launch(kind).folder))
    assert f"-m study run {grid} --address auto --store {store} --tracking-uri {server}" in " ".join(text.split())


def _driver_files(folder):
    return [path.name for path in folder.iterdir() if path.name in {"job.sh", "sweep.sh", "rayjob.yaml"}]


def test_an_unencrypted_server_is_a_warning(launch):
    assert "keep it on a private network" in launch("slurm").warnings[0]


@pytest.mark.parametrize("server", ["http://127.0.0.1:5000", "https://mlflow.example.org"])
def test_a_local_or_encrypted_server_gives_no_warning(launch, server):
    assert launch("slurm", tracking_uri=server).warnings == ()


@pytest.mark.parametrize(
    ("kind", "changed", "message"),
    [
        ("slurm", {"nodes": 0}, r"launch slurm: --nodes: invalid value 0: must be greater than or equal to 1"),
        ("slurm", {"gpus": -1}, "--gpus: invalid value -1"),
        ("slurm", {"tracking_uri": None}, "--tracking-uri is missing: address of the MLflow server"),
        ("slurm", {"tracking_uri": "sqlite:///x.db"}, "--tracking-uri: invalid value 'sqlite:///x.db'"),
        ("slurm", {"partition": "gpu; rm -rf /"}, "--partition: invalid value 'gpu; rm -rf /': must be letters"),
        ("slurm", {"time": "1 day"}, "--time: invalid value '1 day': must be HH:MM:SS or D-HH:MM:SS"),
        ("slurm", {"time": "00:05:00"}, "--time: 00:05:00 is too short"),
        ("slurm", {"store": "$(id)"}, r"--store: invalid value '\$\(id\)': must be a path"),
        ("slurm", {"host": ["a"]}, "unknown option --host; possible: nodes, gpus"),
        ("slurm", {"claim": "x"}, "unknown option --claim"),
        ("kuberay", {"claim": None}, "pods share no folder"),
        ("kuberay", {"store": "/data"}, "--store /data is not on a volume"),
        ("kuberay", {"image": None}, "--image is missing"),
        ("kuberay", {"memory": "lots"}, "--memory: invalid value 'lots': must be an amount such as 32Gi"),
        ("aws", {"store": ".study"}, r"AWS machines cannot access --store .study; give s3://BUCKET/NAME"),
        ("aws", {"store": None}, "--store is missing"),
        ("aws", {"gpus": 3}, r"no default instance type for 3 GPUs, only for 0, 1, 4, 8; give --machine"),
        ("aws", {"image": None}, "--image is missing: machine image .* aws ssm get-parameter"),
        ("aws", {"image": "latest"}, "--image: invalid value 'latest': must be an image such as ami-"),
        ("gcp", {"project": None}, "--project is missing"),
        ("gcp", {"zone": "us-central1"}, "--zone: invalid value 'us-central1': must be a zone such as"),
        ("gcp", {"store": "s3://bucket/x"}, "give gs://BUCKET/NAME"),
        ("onprem", {"host": None}, "--host is missing: a host; repeat for every host, the head first"),
        ("onprem", {"host": []}, "--host"),
        ("onprem", {"host": ["a", "a"]}, "--host contains a host twice"),
        ("onprem", {"nodes": 5}, "--nodes is 5, but there are 3 hosts; omit --nodes"),
        ("onprem", {"host": ["a b"]}, "--host: invalid value 'a b': must be a host name or an address"),
        ("onprem", {"store": "store"}, "would be a different folder on every host"),
    ],
)
def test_an_invalid_option_is_one_message_and_nothing_is_written(kind, changed, message, launch, root):
    with pytest.raises(StudyError, match=message):
        launch(kind, **changed)
    assert list(root.iterdir()) == [root / "requirements.lock"]


def test_an_unknown_kind_suggests_the_nearest(tiny, root):
    with pytest.raises(StudyError, match="unknown kind of cluster 'slrum'; did you mean 'slurm'"):
        write("slrum", tiny, {}, root=root)


def test_an_invalid_grid_writes_nothing(tiny, launch, root):
    tiny.write_text(tiny.read_text().replace("replicates: 2", "replicates: none"))
    with pytest.raises(StudyError, match=r"tiny.yaml:\d+: replicates"):
        launch("slurm")
    tiny.write_text(tiny.read_text().replace("replicates: none", "replicates: 2").replace("digits", "digitz"))
    with pytest.raises(StudyError, match="digitz"):
        launch("slurm")
    assert not (root / "launch").exists()


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        ("{cpu: 9}", "a trial requests 9 CPUs, but a machine has 8"),
        ("{gpu: 2}", "a trial requests 2 GPUs, but a machine has 1"),
    ],
)
def test_a_trial_that_fits_on_no_machine_is_rejected(tiny, launch, resources, message):
    tiny.write_text(tiny.read_text() + f"resources: {resources}\n")
    with pytest.raises(StudyError, match=message):
        launch("aws")


def test_the_folder_must_be_in_the_repository(launch, root, tmp_path):
    for folder, message in [
        (tmp_path / "elsewhere", "must be in the repository"),
        (root, "must be in the repository"),
        (root / ".." / "elsewhere", "must be in the repository"),
        (root / "with blanks", "must consist of letters"),
        (root / "$HOME", "must consist of letters"),
        (root / "requirements.lock", "is a file"),
    ]:
        with pytest.raises(StudyError, match=message):
            launch("slurm", folder=folder)
    assert not (tmp_path / "elsewhere").exists()
    assert launch("slurm", folder=root / "my" / "sweep").folder == root / "my" / "sweep"
    assert "my/sweep/grid.yaml" in (root / "my" / "sweep" / "job.sh").read_text()


def test_outside_a_checkout_is_an_error(tiny, tmp_path):
    with pytest.raises(StudyError, match="does not pin ray; run this from a checkout"):
        write("slurm", tiny, EXAMPLES["slurm"], root=tmp_path)


NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True)


@given(NAMES)
def test_every_study_has_a_valid_name_for_kubernetes_and_clouds(name):
    found = Place(study=name, grid="", folder=Path(), ray="").name
    assert re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", found)
    assert len(found) <= 47


def test_different_studies_have_different_names():
    names = {Place(study=name, grid="", folder=Path(), ray="").name for name in ("a.b", "a-b", "A-b", "a_b", "x" * 64)}
    assert len(names) == 5


def test_the_example_server_uses_postgresql(launch):
    compose = yaml.safe_load((launch("slurm").folder / "mlflow" / "compose.yaml").read_text())
    assert compose["services"]["postgres"]["environment"]["POSTGRES_PASSWORD_FILE"] == "/run/secrets/postgres_password"
    assert "postgresql+psycopg2://mlflow@postgres/mlflow" in compose["services"]["mlflow"]["command"][0]
    allowed = compose["services"]["mlflow"]["environment"]["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")
    assert {"localhost:*", "mlflow.example.org:*"} <= set(allowed)
    assert compose["services"]["mlflow"]["build"]["context"] == "../../.."  # from launch/tiny-slurm/mlflow
    assert "http://mlflow.example.org:5000" in (launch("slurm").folder / "README.md").read_text()


def test_a_linked_folder_is_not_written_through(launch, root, tmp_path):
    """The files of the MLflow server are in a subfolder."""
    folder = launch("slurm").folder
    written = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    shutil.move(folder / "mlflow", tmp_path / "elsewhere")
    (folder / "mlflow").symlink_to(tmp_path / "elsewhere")
    for path in (tmp_path / "elsewhere").iterdir():
        path.write_text("mine")
    with pytest.raises(StudyError, match=r"mlflow is a link out of .*; remove it"):
        launch("slurm", force=True)
    assert {path.read_text() for path in (tmp_path / "elsewhere").iterdir()} == {"mine"}
    (folder / "mlflow").unlink()
    launch("slurm")
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == written


EVIL = (
    *(
        "../x",
        "a/../../x",
        "a\nb",
        "a'b",
        'a"b',
        "$(touch ran)",
        "`touch ran`",
        "a;b",
        "a|b",
        "a b",
        "--x",
        "a&b",
        "a\tb",
    ),
    *("a\u202eb", "%s", "{0}", "a\\b", "*", "", "s3://b/../x", "s3://b/$(x)", "http://h/$(x)", "http://h/..", "a\n"),
)


@pytest.mark.parametrize("kind", EXAMPLES)
def test_no_text_option_takes_anything_that_a_shell_or_yaml_would_read(kind, launch, root):
    for name in find(kind).model_fields:
        for value in EVIL:
            for text in (value, [value]):
                with pytest.raises(StudyError):
                    launch(kind, **{name: text})
    assert list(root.iterdir()) == [root / "requirements.lock"]
