"""The RayJob and the other manifests, validated against their schemas."""

import shlex

import jsonschema
import pytest
import yaml
from helpers.rayjob_definition import POD, RAYJOB


def documents(folder, name):
    return list(yaml.safe_load_all((folder / name).read_text()))


@pytest.mark.parametrize("changed", [{}, {"gpus": 0}, {"claim": None, "store": "s3://bucket/x"}, {"namespace": "lab"}])
def test_the_job_is_a_rayjob(launch, changed):
    config, job = documents(launch("kuberay", **changed).folder, "rayjob.yaml")
    jsonschema.validate(job, RAYJOB)
    volumes = job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["volumes"]
    assert {"name": "grid", "configMap": {"name": config["metadata"]["name"]}} in volumes
    mounted = {mount["name"] for mount in head(job)["volumeMounts"]}
    assert mounted == {volume["name"] for volume in volumes}


def head(job):
    return job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["containers"][0]


def workers(job):
    return job["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]


def test_an_unknown_field_is_not_a_rayjob(launch):
    """The validation above can fail."""
    _, job = documents(launch("kuberay").folder, "rayjob.yaml")
    job["spec"]["rayClusterSpec"]["workerGroupSpecs"][0].pop("maxReplicas")
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(job, RAYJOB)


def test_the_operator_generates_the_token_and_the_version_is_locked(launch):
    _, job = documents(launch("kuberay").folder, "rayjob.yaml")
    assert job["spec"]["rayClusterSpec"]["authOptions"] == {"mode": "token"}
    assert job["spec"]["rayClusterSpec"]["rayVersion"] == "2.60.0"


def test_workers_train_and_the_head_runs_the_driver(launch):
    _, job = documents(launch("kuberay").folder, "rayjob.yaml")
    assert workers(job)["replicas"] == 3
    limits = workers(job)["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert limits == {"cpu": "8", "memory": "32Gi", "nvidia.com/gpu": "1"}
    assert job["spec"]["rayClusterSpec"]["headGroupSpec"]["rayStartParams"] == {"num-cpus": "0"}
    assert "nvidia.com/gpu" not in head(job)["resources"]["limits"]
    assert shlex.split(job["spec"]["entrypoint"])[-2:] == ["--reports", "/study/reports"]


def test_the_grid_is_copied_unchanged(launch, tiny):
    """The grid is data: templates, anchors, tags and block marks in it have no effect on the manifest."""
    evil = tiny.read_text().replace("Do all parts work together?", "'{{ x }} ${HOME} $(id) %(a)s <b> # --- \\\\ é | >'")
    tiny.write_text(evil + "# ---\n# - *anchor !!python/object:os.system\n", encoding="utf-8")
    config, _ = documents(launch("kuberay").folder, "rayjob.yaml")
    assert config["data"]["grid.yaml"] == tiny.read_text(encoding="utf-8")


def test_mlflow_and_postgres_have_a_volume_a_pod_and_a_service_each(launch):
    found = documents(launch("kuberay", namespace="lab").folder, "mlflow.yaml")
    kinds = [(item["kind"], item["metadata"]["name"]) for item in found]
    parts = ["PersistentVolumeClaim", "Deployment", "Service"]
    assert kinds == [(kind, name) for name in ("study-postgres", "study-mlflow") for kind in parts]
    for item in found:
        assert item["metadata"]["namespace"] == "lab"
        if item["kind"] == "Deployment":
            jsonschema.validate(item["spec"]["template"]["spec"], POD)
            assert item["spec"]["selector"]["matchLabels"] == item["spec"]["template"]["metadata"]["labels"]
        if item["kind"] == "Service":
            assert item["spec"].get("type", "ClusterIP") == "ClusterIP"  # not reachable from outside


def test_reports_are_copied_from_the_claim_or_built_from_the_bucket(launch, root):
    with_claim = launch("kuberay")
    jsonschema.validate(documents(with_claim.folder, "reader.yaml")[0]["spec"], POD)
    assert "reader.yaml" in with_claim.steps.fetch
    with_bucket = launch("kuberay", claim=None, store="gs://bucket/x", folder=root / "launch" / "other")
    assert "reader.yaml" not in with_bucket.files
    assert "study report" in with_bucket.steps.fetch


def test_the_image_uses_the_lock_and_records_its_commit(launch):
    written = launch("kuberay")
    dockerfile = (written.folder / "Dockerfile").read_text()
    assert "--constraint requirements.lock . 'ray[default]'" in dockerfile
    assert "ENV STUDY_COMMIT=$STUDY_COMMIT" in dockerfile
    assert "USER study" in dockerfile
    assert "STUDY_COMMIT=\"$(git describe --always --dirty --abbrev=40 --exclude='*')\"" in written.steps.prepare
