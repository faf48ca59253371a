"""GCP: a small on-demand head and workers that may be spot machines, started by `ray up`."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, Field, model_validator

from study.launch import mlflow_server, rayup
from study.launch.cluster import Cluster, Place, Steps, Word, matching
from study.launch.text import as_yaml
from study.utils.frozen_model import StrictBool
from study.utils.text import plural

MACHINES = {  # GPUs: L4
    0: ("n2-standard-8", 8),
    1: ("g2-standard-8", 8),
    2: ("g2-standard-24", 24),
    4: ("g2-standard-48", 48),
    8: ("g2-standard-96", 96),
}
HEAD = "n2-standard-4"
PACKAGES = ["google-api-python-client", "google-auth", "cryptography", "gcsfs"]
ACCOUNT = "ray-autoscaler-sa-v1"  # created by `ray up`, with access to buckets and machines

Zone = Annotated[str, AfterValidator(matching(r"[a-z]+-[a-z]+[0-9]+-[a-z]", "a zone such as us-central1-a"))]
Project = Annotated[str, AfterValidator(matching(r"[a-z][a-z0-9-]{4,28}[a-z0-9]", "a project id"))]
Image = Annotated[
    str,
    AfterValidator(matching(r"projects/[a-z0-9-]+/global/images/[a-z0-9/-]+", "projects/PROJECT/global/images/NAME")),
]


class Gcp(Cluster):
    """Compute Engine machines: a small head, and spot machines that train."""

    title: ClassVar[str] = "GCP"
    example: ClassVar[Mapping[str, Any]] = {
        "nodes": 2,
        "gpus": 1,
        "store": "gs://bucket/study",
        "tracking_uri": "http://mlflow.example.org:5000",
        "project": "my-project",
        "image": "projects/my-project/global/images/study",
    }

    project: Project = Field(description="id of the project to be billed")
    image: Image = Field(
        description="machine image (Ubuntu with Python 3.11 or later), as projects/PROJECT/global/images/NAME; "
        "list images with NVIDIA's driver: gcloud compute images list --no-standard-images "
        "--project deeplearning-platform-release"
    )
    zone: Zone = Field("us-central1-a", description="zone of all machines")
    machine: Word | None = Field(None, description="machine type of the machines that train")
    on_demand: StrictBool = Field(False, description="do not use spot machines")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.store.startswith("gs://"):
            raise ValueError(f"GCP machines cannot access --store {self.store}; give gs://BUCKET/NAME")
        if self.machine is None and self.gpus not in MACHINES:
            known = ", ".join(map(str, MACHINES))
            raise ValueError(
                f"no default machine type for {plural(self.gpus, 'GPU')}, only for {known}; give --machine"
            )
        return self

    @property
    def cpus_per_node(self) -> int | None:
        return None if self.machine else MACHINES[self.gpus][1]

    def files(self, place: Place) -> Mapping[str, str]:
        cluster = as_yaml("A cluster for `ray up`; see README.md.", self._cluster(place))
        return {"cluster.yaml": cluster, **rayup.files(self, place)}

    def _cluster(self, place: Place) -> dict[str, Any]:
        machine = self.machine or MACHINES[self.gpus][0]
        return {
            "cluster_name": place.name,
            "max_workers": self.nodes,
            "provider": {
                "type": "gcp",
                "region": self.zone.rpartition("-")[0],
                "availability_zone": self.zone,
                "project_id": self.project,
            },
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
                    "node_config": self._node(machine) | {"scheduling": self._scheduling()} | self._account(),
                },
            },
            "head_node_type": "head",
            **rayup.common(place, "python3", PACKAGES),
            "initialization_commands": [rayup.UBUNTU],
            **rayup.start_commands(" --num-cpus=0 --num-gpus=0", ""),
        }

    def _node(self, machine: str) -> dict[str, Any]:
        boot = {
            "boot": True,
            "autoDelete": True,
            "type": "PERSISTENT",
            "initializeParams": {"diskSizeGb": 200, "sourceImage": self.image},
        }
        return {"machineType": machine, "disks": [boot]}

    def _scheduling(self) -> dict[str, Any]:
        """GCP can neither migrate a machine with GPUs, nor migrate or restart a spot machine."""
        if self.on_demand:
            return {"onHostMaintenance": "TERMINATE"}
        return {
            "provisioningModel": "SPOT",
            "instanceTerminationAction": "DELETE",
            "onHostMaintenance": "TERMINATE",
            "automaticRestart": False,
        }

    def _account(self) -> dict[str, Any]:
        """Ray gives the head this account; workers need it to access the bucket."""
        email = f"{ACCOUNT}@{self.project}.iam.gserviceaccount.com"
        return {"serviceAccounts": [{"email": email, "scopes": ["https://www.googleapis.com/auth/cloud-platform"]}]}

    def steps(self, place: Place) -> Steps:
        return Steps(
            prepare=f"{rayup.prepare(PACKAGES)}\ngcloud auth application-default login",
            **rayup.steps(place),
            mlflow=mlflow_server.compose_help(self, place),
            notes=rayup.notes(self.on_demand),
        )
