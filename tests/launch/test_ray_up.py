"""The cluster files of AWS, GCP and own hosts, validated by Ray."""

import json
import logging

import pytest
import yaml

from study.utils import telemetry

KINDS = pytest.mark.parametrize("kind", ["aws", "gcp", "onprem"])


@pytest.fixture
def cluster(launch):
    def cluster(kind, **changed):
        return yaml.safe_load((launch(kind, **changed).folder / "cluster.yaml").read_text())

    return cluster


@pytest.fixture
def prepared():
    """A cluster file after `ray up` has completed and validated it, before it contacts a cloud."""
    from ray.autoscaler._private.util import prepare_config, validate_config

    def prepared(config):
        logging.disable(logging.WARNING)
        try:
            full = prepare_config(config)
            validate_config(full)
        finally:
            logging.disable(logging.NOTSET)
        return full

    return prepared


@KINDS
def test_ray_accepts_the_file(kind, cluster, prepared):
    full = prepared(cluster(kind))
    worker = {"aws": "worker", "gcp": "worker", "onprem": "local.cluster.node"}[kind]
    assert full["available_node_types"][worker]["min_workers"] == 2
    assert full["available_node_types"][worker]["max_workers"] == 2


def test_ray_refuses_a_file_with_an_unknown_key(cluster, prepared):
    """The validation above can fail."""
    import jsonschema

    with pytest.raises(jsonschema.ValidationError):
        prepared(cluster("aws") | {"nonsense": 1})


@KINDS
def test_every_node_gets_the_token_and_starts_ray_with_it(kind, cluster):
    config = cluster(kind)
    assert config["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    assert config["setup_commands"][0] == "chmod 700 ~/.ray && chmod 600 ~/.ray/auth_token"
    for commands in (config["head_start_ray_commands"], config["worker_start_ray_commands"]):
        assert " ~/study-env/bin/ray start" in commands[-1]
        environment = commands[-1].partition(" ~/study-env/bin/ray start")[0]
        for setting in ("RAY_AUTH_MODE=token", *(f"{name}={value}" for name, value in telemetry.RAY.items())):
            assert setting in environment
    assert "--dashboard-host=127.0.0.1" in config["head_start_ray_commands"][-1]


@KINDS
def test_the_mounted_files_are_in_the_repository(kind, cluster):
    mounts = cluster(kind)["file_mounts"]
    assert mounts["~/study/study"] == "study"
    assert mounts[f"~/study/launch/tiny-{kind}"] == f"launch/tiny-{kind}"
    assert not any(source.startswith("/") for source in mounts.values())


def test_workers_of_aws_are_spot_machines_and_the_head_is_not(cluster):
    types = cluster("aws")["available_node_types"]
    assert types["worker"]["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
    assert types["worker"]["resources"] == {"CPU": 8, "GPU": 1}
    assert "InstanceMarketOptions" not in types["head"]["node_config"]
    assert types["head"]["resources"] == {"CPU": 0}


def test_machines_of_aws_may_access_only_their_bucket(launch):
    folder = launch("aws").folder
    statements = json.loads((folder / "policy.json").read_text())["Statement"]
    buckets = [resource for item in statements if item["Action"][0].startswith("s3") for resource in item["Resource"]]
    assert buckets == ["arn:aws:s3:::bucket", "arn:aws:s3:::bucket/*"]
    types = yaml.safe_load((folder / "cluster.yaml").read_text())["available_node_types"]
    assert {types[name]["node_config"]["IamInstanceProfile"]["Name"] for name in types} == {"study-ray"}


def test_workers_of_gcp_are_spot_machines_with_the_service_account(cluster):
    types = cluster("gcp")["available_node_types"]
    scheduling = types["worker"]["node_config"]["scheduling"]
    assert (scheduling["provisioningModel"], scheduling["automaticRestart"]) == ("SPOT", False)
    account = types["worker"]["node_config"]["serviceAccounts"][0]["email"]
    assert account == "ray-autoscaler-sa-v1@my-project.iam.gserviceaccount.com"
    assert "scheduling" not in types["head"]["node_config"]


@pytest.mark.parametrize("kind", ["aws", "gcp"])
def test_machines_can_be_on_demand_and_of_another_type(kind, cluster, prepared):
    config = cluster(kind, on_demand=True, machine="special-1", gpus=3)
    worker = config["available_node_types"]["worker"]
    assert "spot" not in str(worker).lower()
    assert "special-1" in worker["node_config"].values()
    assert worker["resources"] == {}  # Ray detects them on the machine
    prepared(config)


def test_own_hosts_head_first_each_with_gpus(cluster, prepared):
    config = cluster("onprem", key="~/.ssh/id_ed25519", python="python3.12")
    assert config["provider"] == {"type": "local", "head_ip": "10.0.0.1", "worker_ips": ["10.0.0.2", "node-3"]}
    assert config["auth"] == {"ssh_user": "me", "ssh_private_key": "~/.ssh/id_ed25519"}
    assert config["head_start_ray_commands"][-1].endswith("--num-gpus=2")
    assert config["worker_start_ray_commands"][-1].endswith("--num-gpus=2")
    assert "python3.12 -m venv" in config["setup_commands"][1]
    prepared(config)


def test_a_single_host_is_a_cluster(cluster, prepared):
    assert prepared(cluster("onprem", host=["10.0.0.1"]))["max_workers"] == 0
