"""AWS: a small on-demand head and workers that may be spot machines, started by `ray up`."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, Field, model_validator

from study.launch import mlflow_server, rayup
from study.launch.cluster import Cluster, Place, Steps, Word, matching
from study.launch.text import as_yaml
from study.utils.frozen_model import StrictBool
from study.utils.text import plural

MACHINES = {0: ("m7i.2xlarge", 8), 1: ("g6.2xlarge", 8), 4: ("g6.12xlarge", 48), 8: ("g6.48xlarge", 192)}  # GPUs: L4
HEAD = "m7i.xlarge"
PACKAGES = ["boto3", "s3fs"]
IMAGES = "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id"

Image = Annotated[str, AfterValidator(matching(r"ami-[0-9a-f]{8,17}", "an image such as ami-0123456789abcdef0"))]


class Aws(Cluster):
    """EC2 machines: a small head, and spot machines that train."""

    title: ClassVar[str] = "AWS"
    example: ClassVar[Mapping[str, Any]] = {
        "nodes": 2,
        "gpus": 1,
        "store": "s3://bucket/study",
        "tracking_uri": "http://mlflow.example.org:5000",
        "image": "ami-0123456789abcdef0",
    }

    image: Image = Field(
        description="machine image (Ubuntu 24.04); the latest with NVIDIA's driver: aws ssm get-parameter "
        f"--query Parameter.Value --name {IMAGES}"
    )
    region: Word = Field("us-west-2", description="AWS region")
    machine: Word | None = Field(None, description="instance type of the machines that train")
    profile: Word = Field(
        "study-ray", description="instance profile with access to the bucket and the right to start machines"
    )
    on_demand: StrictBool = Field(False, description="do not use spot machines")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.store.startswith("s3://"):
            raise ValueError(f"AWS machines cannot access --store {self.store}; give s3://BUCKET/NAME")
        if self.machine is None and self.gpus not in MACHINES:
            known = ", ".join(map(str, MACHINES))
            raise ValueError(
                f"no default instance type for {plural(self.gpus, 'GPU')}, only for {known}; give --machine"
            )
        return self

    @property
    def cpus_per_node(self) -> int | None:
        return None if self.machine else MACHINES[self.gpus][1]

    def files(self, place: Place) -> Mapping[str, str]:
        return {
            "cluster.yaml": as_yaml("A cluster for `ray up`; see README.md.", self._cluster(place)),
            "role.json": json.dumps(_TRUST, indent=1) + "\n",
            "policy.json": json.dumps(self._policy(), indent=1) + "\n",
            **rayup.files(self, place),
        }

    def _cluster(self, place: Place) -> dict[str, Any]:
        machine = self.machine or MACHINES[self.gpus][0]
        market = {} if self.on_demand else {"InstanceMarketOptions": {"MarketType": "spot"}}
        return {
            "cluster_name": place.name,
            "max_workers": self.nodes,
            "provider": {"type": "aws", "region": self.region, "cache_stopped_nodes": False},
            "auth": {"ssh_user": "ubuntu"},
            "available_node_types": {
                "head": {
                    "resources": {"CPU": 0},  # only the driver runs there
                    "node_config": self._node(HEAD),
                },
                "worker": {
                    "min_workers": self.nodes,
                    "max_workers": self.nodes,
                    "resources": {} if self.machine else {"CPU": MACHINES[self.gpus][1], "GPU": self.gpus},
                    "node_config": self._node(machine) | market,
                },
            },
            "head_node_type": "head",
            **rayup.common(place, "python3", PACKAGES),
            "initialization_commands": [rayup.UBUNTU],
            **rayup.start_commands(" --num-cpus=0 --num-gpus=0", ""),
        }

    def _node(self, machine: str) -> dict[str, Any]:
        disk = {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 200, "VolumeType": "gp3"}}
        return {
            "InstanceType": machine,
            "ImageId": self.image,
            "BlockDeviceMappings": [disk],
            "IamInstanceProfile": {"Name": self.profile},
        }

    def _policy(self) -> dict[str, Any]:
        bucket = f"arn:aws:s3:::{self.store.removeprefix('s3://').split('/')[0]}"
        objects = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
        return {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": [bucket]},
                {"Effect": "Allow", "Action": objects, "Resource": [f"{bucket}/*"]},
                {"Effect": "Allow", "Action": ["ec2:*"], "Resource": ["*"]},
                {"Effect": "Allow", "Action": ["iam:PassRole"], "Resource": [f"arn:aws:iam::*:role/{self.profile}"]},
            ],
        }

    def steps(self, place: Place) -> Steps:
        role, folder = self.profile, place.folder
        return Steps(
            prepare=(
                f"{rayup.prepare(PACKAGES)}\n"
                "# role of the machines: access to the bucket and, for the head, the right to start machines\n"
                f"aws iam create-role --role-name {role} --assume-role-policy-document file://{folder}/role.json\n"
                f"aws iam put-role-policy --role-name {role} --policy-name study --policy-document file://{folder}/policy.json\n"
                f"aws iam create-instance-profile --instance-profile-name {role}\n"
                f"aws iam add-role-to-instance-profile --instance-profile-name {role} --role-name {role}"
            ),
            **rayup.steps(place),
            mlflow=mlflow_server.compose_help(self, place),
            notes=(
                *rayup.notes(self.on_demand),
                "The security group that `ray up` creates allows SSH from anywhere, and other ports within the cluster "
                "only; restrict SSH to your own address if possible.",
            ),
        )


_TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"},
    ],
}
