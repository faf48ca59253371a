"""What holds for every kind of cluster: all or nothing, nothing secret, text stays text, the same bytes again."""

import re
import tempfile
from pathlib import Path

import pytest
import yaml
from helpers.launch_samples import ASKED, SERVER
from helpers.paths import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

from study.launch import KINDS, write
from study.launch.catalogue import find
from study.launch.cluster import Place
from study.utils.errors import StudyError

KIND = pytest.mark.parametrize("kind", KINDS)


def below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@KIND
def test_files_lie_in_a_folder_named_after_study_and_kind(kind, launch, root, tiny):
    written = launch(kind)
    assert written.folder == root / "launch" / f"tiny-{kind}"
    assert set(written.files) == set(below(written.folder))
    assert (written.folder / "grid.yaml").read_bytes() == tiny.read_bytes()


@KIND
def test_the_same_again_changes_nothing_and_other_content_is_not_overwritten(kind, launch):
    first = launch(kind)
    before = below(first.folder)
    (first.folder / "notes.txt").write_text("mine")
    launch(kind)
    assert below(first.folder) == before | {"notes.txt": b"mine"}
    (first.folder / "README.md").write_text("mine too")
    with pytest.raises(
        StudyError, match=r"holds other content \(README.md\); write over it with --force, or name another"
    ):
        launch(kind)
    with pytest.raises(StudyError, match="holds other content"):
        launch(kind, nodes=1, host=["10.0.0.9"] if kind == "onprem" else None)
    assert below(first.folder) == before | {"notes.txt": b"mine", "README.md": b"mine too"}
    launch(kind, force=True)
    assert below(first.folder) == before | {"notes.txt": b"mine"}


@KIND
def test_the_driver_is_given_grid_store_and_server(kind, launch):
    folder = launch(kind).folder
    text = "".join(path.read_text() for path in folder.iterdir() if path.name in {"job.sh", "sweep.sh", "rayjob.yaml"})
    store = ASKED[kind].get("store", {"slurm": ".study", "kuberay": "/study/store"}.get(kind))
    server = ASKED[kind].get("tracking_uri", "http://study-mlflow:5000")
    words = " ".join(text.split())
    grid = "/etc/study/grid.yaml" if kind == "kuberay" else f"launch/tiny-{kind}/grid.yaml"
    assert f"-m study run {grid} --address auto --store {store} --tracking-uri {server}" in words


@KIND
def test_the_readme_has_the_steps_and_names_files_that_exist(kind, launch, root):
    folder = launch(kind).folder
    text = (folder / "README.md").read_text()
    titles = re.findall(r"^## (.*)$", text, flags=re.MULTILINE)
    assert titles == ["Once", "Start", "Watch", "Resume", "Stop", "The report", "MLflow", "Secrets", "Good to know"]
    named = set(re.findall(rf"launch/tiny-{kind}/([A-Za-z][\w./]*)", text)) - {"commit", "mlflow/postgres_password"}
    assert named
    for name in named:
        assert (folder / name).is_file(), name


@KIND
def test_ray_asks_for_a_token_and_no_token_is_written(kind, launch):
    files = below(launch(kind).folder)
    text = b"\n".join(files.values()).decode()
    assert "RAY_AUTH_MODE=token" in text or "mode: token" in text
    assert not re.search(r"RAY_AUTH_TOKEN=|auth_token: [^~]|PASSWORD: [^/]|password=[^\"]", text)
    assert "usage" in text.lower()  # telemetry is off


@KIND
def test_the_locked_environment_is_what_machines_install(kind, launch):
    text = b"\n".join(below(launch(kind).folder).values()).decode()
    assert re.search(r"pip install [^\n]*--constraint \S*requirements.lock", text)


@KIND
def test_no_page_listens_beyond_localhost_unasked(kind, launch):
    for name, data in below(launch(kind).folder).items():
        text = data.decode()
        assert "--dashboard-host=0.0.0.0" not in text
        if name == "mlflow/compose.yaml":
            assert yaml.safe_load(text)["services"]["mlflow"]["ports"] == ["${MLFLOW_BIND:-127.0.0.1}:5000:5000"]
            assert "ports" not in yaml.safe_load(text)["services"]["postgres"]


def test_a_server_over_the_network_is_a_warning(launch):
    assert "keep it on a private network" in launch("slurm").warnings[0]


@pytest.mark.parametrize("server", ["http://127.0.0.1:5000", "https://mlflow.example.org"])
def test_a_server_on_this_machine_or_encrypted_is_none(launch, server):
    assert launch("slurm", tracking_uri=server).warnings == ()


@pytest.mark.parametrize(
    ("kind", "changed", "message"),
    [
        ("slurm", {"nodes": 0}, r"launch slurm: --nodes: 0 is not possible; it must be greater than or equal to 1"),
        ("slurm", {"gpus": -1}, "--gpus: -1 is not possible"),
        ("slurm", {"tracking_uri": None}, "--tracking-uri is missing: the MLflow server as the driver reaches it"),
        ("slurm", {"tracking_uri": "sqlite:///x.db"}, "--tracking-uri: 'sqlite:///x.db' is not possible"),
        ("slurm", {"partition": "gpu; rm -rf /"}, "--partition: 'gpu; rm -rf /' is not possible; it must be letters"),
        ("slurm", {"time": "1 day"}, "--time: '1 day' is not possible; it must be HH:MM:SS or D-HH:MM:SS"),
        ("slurm", {"time": "00:05:00"}, "--time: 00:05:00 is too short"),
        ("slurm", {"store": "$(id)"}, r"--store: '\$\(id\)' is not possible; it must be a path"),
        ("slurm", {"host": ["a"]}, "--host is none of its options; possible: nodes, gpus"),
        ("slurm", {"claim": "x"}, "--claim is none of its options"),
        ("kuberay", {"claim": None}, "pods share no folder by themselves"),
        ("kuberay", {"store": "/data"}, "--store /data is in no volume"),
        ("kuberay", {"image": None}, "--image is missing"),
        ("kuberay", {"memory": "lots"}, "--memory: 'lots' is not possible; it must be an amount such as 32Gi"),
        ("aws", {"store": ".study"}, r"--store .study is not seen by machines of AWS; give s3://BUCKET/NAME"),
        ("aws", {"store": None}, "--store is missing"),
        ("aws", {"gpus": 3}, r"no instance type is known for 3 GPUs \(0, 1, 4, 8 are\); name one with --machine"),
        ("aws", {"image": None}, "--image is missing: machine image .* aws ssm get-parameter"),
        ("aws", {"image": "latest"}, "--image: 'latest' is not possible; it must be an image such as ami-"),
        ("gcp", {"project": None}, "--project is missing"),
        ("gcp", {"zone": "us-central1"}, "--zone: 'us-central1' is not possible; it must be a zone such as"),
        ("gcp", {"store": "s3://bucket/x"}, "give gs://BUCKET/NAME"),
        ("onprem", {"host": None}, "--host is missing: every host, the head first"),
        ("onprem", {"host": []}, "--host"),
        ("onprem", {"host": ["a", "a"]}, "--host names a host twice"),
        ("onprem", {"nodes": 5}, "--nodes is 5 but --host names 3; leave --nodes out"),
        ("onprem", {"host": ["a b"]}, "--host: 'a b' is not possible; it must be a host name or an address"),
        ("onprem", {"store": "store"}, "would be another folder on every host"),
    ],
)
def test_a_mistake_is_one_message_and_nothing_is_written(kind, changed, message, launch, root):
    with pytest.raises(StudyError, match=message):
        launch(kind, **changed)
    assert list(root.iterdir()) == [root / "requirements.lock"]


def test_a_password_in_the_servers_address_is_refused_and_not_repeated(launch, root):
    with pytest.raises(StudyError, match="--tracking-uri: has a user name or password in it") as caught:
        launch("slurm", tracking_uri="http://me:hunter2@mlflow.example.org")
    assert "hunter2" not in str(caught.value)
    assert not (root / "launch").exists()


def test_an_unknown_kind_names_the_nearest(tiny, root):
    with pytest.raises(StudyError, match="'slrum' is no kind of cluster; did you mean 'slurm'"):
        write("slrum", tiny, {}, root=root)


def test_a_grid_that_does_not_load_writes_nothing(tiny, launch, root):
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
        ("{cpu: 9}", "one trial takes 9 processors, but a machine has 8"),
        ("{gpu: 2}", "one trial takes 2 GPUs, but a machine has 1"),
    ],
)
def test_a_trial_that_fits_on_no_machine_is_refused(tiny, launch, resources, message):
    tiny.write_text(tiny.read_text() + f"resources: {resources}\n")
    with pytest.raises(StudyError, match=message):
        launch("aws")


def test_the_folder_lies_in_the_repository(launch, root, tmp_path):
    for folder, message in [
        (tmp_path / "elsewhere", "must be a folder in the repository"),
        (root, "must be a folder in the repository"),
        (root / ".." / "elsewhere", "must be a folder in the repository"),
        (root / "with blanks", "can have letters"),
        (root / "$HOME", "can have letters"),
        (root / "requirements.lock", "is a file"),
    ]:
        with pytest.raises(StudyError, match=message):
            launch("slurm", folder=folder)
    assert not (tmp_path / "elsewhere").exists()
    assert launch("slurm", folder=root / "my" / "sweep").folder == root / "my" / "sweep"
    assert "my/sweep/grid.yaml" in (root / "my" / "sweep" / "job.sh").read_text()


def test_outside_a_checkout_it_says_so(tiny, tmp_path):
    with pytest.raises(StudyError, match="does not pin ray; run this from a checkout"):
        write("slurm", tiny, ASKED["slurm"], root=tmp_path)


NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True)


@given(NAMES)
def test_every_study_has_a_name_that_kubernetes_and_clouds_take(name):
    found = Place(study=name, grid="", folder=Path(), ray="").name
    assert re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", found)
    assert len(found) <= 47


def test_two_studies_have_two_names():
    names = {Place(study=name, grid="", folder=Path(), ray="").name for name in ("a.b", "a-b", "A-b", "a_b", "x" * 64)}
    assert len(names) == 5


EVIL_MARKS = " $`'\"\\\n\t{}%;&|<>*?#é\x00"
EVIL = st.text(st.sampled_from(f"ab0./:-_~@{EVIL_MARKS}"), max_size=12)


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(list(KINDS)),
    name=st.sampled_from(sorted({name for kind in KINDS for name in find(kind).model_fields} | {"nonsense"})),
    value=EVIL | st.integers(-2, 3) | st.none() | st.lists(EVIL, max_size=2) | st.booleans(),
)
def test_whatever_is_asked_it_is_written_whole_or_refused_in_one_sentence(kind, name, value):
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        (root / "requirements.lock").write_text("ray==2.60.0\n")
        grid = ROOT / "grids" / "quickstart.yaml"
        try:
            written = write(kind, grid, ASKED[kind] | {name: value}, root=root)
        except StudyError:
            assert not (root / "launch").exists()
            return
        for path in written.folder.rglob("*.yaml"):
            list(yaml.safe_load_all(path.read_text()))
        text = "".join(path.read_text() for path in written.folder.rglob("*.sh"))
        assert not (isinstance(value, str) and set(value) & set(EVIL_MARKS) and value in text)


def test_the_server_is_the_example_with_postgresql(launch):
    compose = yaml.safe_load((launch("slurm").folder / "mlflow" / "compose.yaml").read_text())
    assert compose["services"]["postgres"]["environment"]["POSTGRES_PASSWORD_FILE"] == "/run/secrets/postgres_password"
    assert "postgresql+psycopg2://mlflow@postgres/mlflow" in compose["services"]["mlflow"]["command"][0]
    allowed = compose["services"]["mlflow"]["environment"]["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")
    assert {"localhost:*", "mlflow.example.org:*"} <= set(allowed)
    assert compose["services"]["mlflow"]["build"]["context"] == "../../.."  # from launch/tiny-slurm/mlflow
    assert SERVER in (launch("slurm").folder / "README.md").read_text()
