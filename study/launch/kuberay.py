"""Kubernetes: a RayJob for the KubeRay operator (1.5.1 or later), and MLflow with PostgreSQL."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, Field, model_validator

from study.launch import mlflow_pods, rayup
from study.launch.cluster import Cluster, Location, Place, Server, Steps, matching
from study.launch.text import as_yaml, command
from study.utils import telemetry
from study.utils.frozen_model import PositiveInt

MOUNT = "/study"  # where the volume claim is mounted
SECRETS = "study-secrets"  # optional: credentials of the bucket and of MLflow, as environment variables
HEAD = {"cpu": "2", "memory": "8Gi"}

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
Label = Annotated[str, AfterValidator(matching(_LABEL, "a Kubernetes name: lower-case letters, digits and '-'"))]
Image = Annotated[str, AfterValidator(matching(r"[a-z0-9][A-Za-z0-9._/:@-]*", "an image such as REGISTRY/study:1"))]
Memory = Annotated[str, AfterValidator(matching(r"[1-9][0-9]*[KMGT]i", "an amount such as 32Gi"))]


class KubeRay(Cluster):
    """A RayJob of the KubeRay operator on Kubernetes."""

    title: ClassVar[str] = "Kubernetes"
    example: ClassVar[Mapping[str, Any]] = {
        "nodes": 3,
        "gpus": 1,
        "image": "registry.example.org/study:1",
        "claim": "shared",
    }

    store: Location = Field(
        f"{MOUNT}/store", description=f"folder in {MOUNT}, where --claim is mounted, or s3:// or gs:// address"
    )
    tracking_uri: Server = Field(
        "http://study-mlflow:5000", description="MLflow server; the default is that of mlflow.yaml"
    )
    image: Image = Field(
        description="name of the image, which is built from the Dockerfile and which the cluster can pull"
    )
    claim: Label | None = Field(None, description="volume claim that many nodes can write (ReadWriteMany)")
    namespace: Label = Field("default", description="Kubernetes namespace")
    cpus: PositiveInt = Field(8, description="CPUs per worker")
    memory: Memory = Field("32Gi", description="memory per worker")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.store_is_address:
            return self
        if not self.store.startswith(f"{MOUNT}/"):
            raise ValueError(f"--store {self.store} is not on a volume; give a folder in {MOUNT}, or s3:// or gs://")
        if self.claim is None:
            raise ValueError(
                "pods share no folder: give a volume claim that many nodes can write with --claim, "
                "or --store s3://BUCKET/NAME or gs://BUCKET/NAME"
            )
        return self

    @property
    def cpus_per_node(self) -> int | None:
        return self.cpus

    def warnings(self) -> tuple[str, ...]:
        return () if self.tracking_host == mlflow_pods.MLFLOW else super().warnings()

    def files(self, place: Place) -> Mapping[str, str]:
        comment = "The study as a RayJob; see README.md."
        files = {
            "rayjob.yaml": as_yaml(comment, self._grid(place), self._job(place)),
            "mlflow.yaml": mlflow_pods.manifest(self.namespace, self.image),
            "Dockerfile": self._dockerfile(),
        }
        return files | ({"reader.yaml": as_yaml("A pod to copy reports from.", self._reader())} if self.claim else {})

    def _metadata(self, name: str) -> dict[str, Any]:
        return {"name": name, "namespace": self.namespace}

    def _grid(self, place: Place) -> dict[str, Any]:
        grid = {"grid.yaml": place.grid}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": self._metadata(place.name), "data": grid}

    def _job(self, place: Place) -> dict[str, Any]:
        driver = self.run("python", "/etc/study/grid.yaml", "--reports", f"{MOUNT if self.claim else '.'}/reports")
        worker = {"cpu": str(self.cpus), "memory": self.memory} | (
            {"nvidia.com/gpu": str(self.gpus)} if self.gpus else {}
        )
        spec = {
            "entrypoint": command(driver),
            "backoffLimit": 2,  # if the head is lost, a new cluster resumes from the store
            "shutdownAfterJobFinishes": True,
            "ttlSecondsAfterFinished": 600,
            "rayClusterSpec": {
                "rayVersion": place.ray,
                "authOptions": {"mode": "token"},  # the operator generates the token and passes it to all pods
                "headGroupSpec": {
                    "rayStartParams": {"num-cpus": "0"},  # only the driver runs there
                    "template": {"spec": self._pod("head", HEAD, place.name)},
                },
                "workerGroupSpecs": [
                    {
                        "groupName": "workers",
                        "replicas": self.nodes,
                        "minReplicas": self.nodes,
                        "maxReplicas": self.nodes,
                        "rayStartParams": {},
                        "template": {"spec": self._pod("worker", worker, None)},
                    }
                ],
            },
        }
        return {"apiVersion": "ray.io/v1", "kind": "RayJob", "metadata": self._metadata(place.name), "spec": spec}

    def _pod(self, name: str, resources: Mapping[str, str], grid: str | None) -> dict[str, Any]:
        volumes: list[dict[str, Any]] = []
        mounts: list[dict[str, Any]] = []
        if self.claim:
            volumes.append({"name": "study", "persistentVolumeClaim": {"claimName": self.claim}})
            mounts.append({"name": "study", "mountPath": MOUNT})
        if grid:
            volumes.append({"name": "grid", "configMap": {"name": grid}})
            mounts.append({"name": "grid", "mountPath": "/etc/study", "readOnly": True})
        container = {
            "name": f"ray-{name}",
            "image": self.image,
            "env": [{"name": variable, "value": value} for variable, value in telemetry.RAY.items()],
            "envFrom": [{"secretRef": {"name": SECRETS, "optional": True}}],
            "resources": {"requests": dict(resources), "limits": dict(resources)},
            "volumeMounts": mounts,
        }
        return {
            "containers": [container],
            "volumes": volumes,
            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
            "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "fsGroup": 1000},
        }

    def _reader(self) -> dict[str, Any]:
        """A pod from which reports are copied."""
        spec = self._pod("reader", {"cpu": "100m", "memory": "256Mi"}, None) | {"restartPolicy": "Never"}
        spec["containers"][0]["command"] = ["sleep", "600"]
        return {"apiVersion": "v1", "kind": "Pod", "metadata": self._metadata("study-reader"), "spec": spec}

    def _dockerfile(self) -> str:
        packages = " ".join(["'ray[default]'", "psycopg2-binary", "s3fs", "gcsfs"])
        return (
            "# Head, workers and MLflow, with the versions of the lock file.\n"
            "FROM python:3.11-slim\n"
            "# wget: for the probes of KubeRay; gcc: for torch.compile\n"
            "RUN apt-get update \\\n"
            " && apt-get install --yes --no-install-recommends gcc libc6-dev wget \\\n"
            " && rm -rf /var/lib/apt/lists/* \\\n"
            " && useradd --create-home --uid 1000 study\n"
            "WORKDIR /opt/study\n"
            "COPY requirements.lock pyproject.toml README.md LICENSE ./\n"
            "COPY study study\n"
            f"RUN python -m pip install --no-cache-dir --constraint requirements.lock . {packages}\n"
            "ARG STUDY_COMMIT=unknown\n"
            "ENV STUDY_COMMIT=$STUDY_COMMIT NVIDIA_DRIVER_CAPABILITIES=compute,utility\n"
            "USER study\n"
            "WORKDIR /home/study\n"
        )

    def steps(self, place: Place) -> Steps:
        kubectl, folder = f"kubectl --namespace {self.namespace}", place.folder
        cluster = f"$({kubectl} get rayjob {place.name} --output jsonpath='{{.status.rayClusterName}}')"
        apply = f"{kubectl} apply --filename {folder}/rayjob.yaml"
        return Steps(
            prepare=(
                f"docker build --file {folder}/Dockerfile --tag {self.image} "
                f'--build-arg STUDY_COMMIT="$({rayup.COMMIT})" .\n'
                f"docker push {self.image}"
            ),
            start=apply,
            watch=(
                f"{kubectl} get rayjob {place.name} --watch\n"
                f"{kubectl} logs --follow job/{place.name}\n"
                f'{kubectl} port-forward "service/{cluster}-head-svc" 8265  # http://localhost:8265; requires the token'
            ),
            resume=f"{kubectl} delete --ignore-not-found rayjob {place.name}\n{apply}",
            stop=f"{kubectl} delete rayjob {place.name}",
            fetch=self._fetch(place),
            mlflow=mlflow_pods.help_text(self.namespace, self.tracking_uri, place.folder, self.command("sync", place)),
            notes=(
                "The KubeRay operator, 1.5.1 or later, generates the token (a Secret) and passes it to all pods.",
                f"Credentials of a bucket or of MLflow can be stored in a Secret named `{SECRETS}`: its entries become "
                "environment variables of all pods.",
                "If the head is lost, a new cluster resumes from the store, at most twice.",
                "On spot nodes a reclaimed worker is replaced, and its stages are retried.",
            ),
        )

    def _fetch(self, place: Place) -> str:
        if self.claim is None:
            return f"{self.command('report', place)}  # on any machine"
        kubectl = f"kubectl --namespace {self.namespace}"
        return (
            f"{kubectl} apply --filename {place.folder}/reader.yaml\n"
            f"{kubectl} wait --for=condition=Ready pod/study-reader\n"
            f"{kubectl} cp study-reader:{MOUNT}/reports reports\n"
            f"{kubectl} delete pod study-reader"
        )
